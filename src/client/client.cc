#include "client/client.h"

#include <future>

namespace km::client {
namespace {

// Runs an asynchronous call and waits for what it hands to its callback.
template <typename R, typename F>
R await(F start) {
  auto promise = std::make_shared<std::promise<R>>();
  auto future = promise->get_future();
  start([promise](R result) { promise->set_value(std::move(result)); });
  return future.get();
}

}  // namespace

Target target(const codec::TypeInfo& type, std::string_view ns, std::string_view name, std::string_view subresource) {
  auto [group, version] = api::splitApiVersion(type.apiVersion);
  return {api::findResourceByKind(group, version, type.name), std::string(ns), std::string(name),
          std::string(subresource)};
}

Result<ObjectPtr> Client::get(const Target& t) {
  return await<Result<ObjectPtr>>([&](auto done) { get(t, done); });
}
Result<ObjectList> Client::list(const Target& t, const ListOptions& options) {
  return await<Result<ObjectList>>([&](auto done) { list(t, options, done); });
}
Result<ObjectPtr> Client::create(const Target& t, ObjectPtr object, const WriteOptions& options) {
  return await<Result<ObjectPtr>>([&](auto done) { create(t, std::move(object), options, done); });
}
Result<ObjectPtr> Client::update(const Target& t, ObjectPtr object, const WriteOptions& options) {
  return await<Result<ObjectPtr>>([&](auto done) { update(t, std::move(object), options, done); });
}
Result<ObjectPtr> Client::patch(const Target& t, PatchType type, std::string body, const WriteOptions& options) {
  return await<Result<ObjectPtr>>([&](auto done) { patch(t, type, std::move(body), options, done); });
}
Status Client::remove(const Target& t, const DeleteOptions& options) {
  return await<Status>([&](auto done) { remove(t, options, done); });
}
Status Client::removeCollection(const Target& t, const ListOptions& which, const DeleteOptions& options) {
  return await<Status>([&](auto done) { removeCollection(t, which, options, done); });
}

}  // namespace km::client
