// FakeClient: an API server's storage in memory, for unit tests of what runs over a Client. It keeps resourceVersions, uids,
// generations (of spec), generated names, finalizers and deletionTimestamp, conflicts, preconditions, the status
// subresource, selectors, watches with history, and merge patches; it does not default, validate or admit.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "client/client.h"

namespace km::client {

class FakeClient : public Client {
 public:
  explicit FakeClient(Clock& clock = Clock::system());
  ~FakeClient() override;

  using Client::create;
  using Client::get;
  using Client::list;
  using Client::patch;
  using Client::remove;
  using Client::removeCollection;
  using Client::update;
  void get(const Target& t, ObjectCallback done) override;
  void list(const Target& t, const ListOptions& options, ListCallback done) override;
  std::unique_ptr<Watch> watch(const Target& t, const ListOptions& options, std::shared_ptr<WatchSink> sink) override;
  void create(const Target& t, ObjectPtr object, const WriteOptions& options, ObjectCallback done) override;
  void update(const Target& t, ObjectPtr object, const WriteOptions& options, ObjectCallback done) override;
  void patch(const Target& t, PatchType type, std::string body, const WriteOptions& options, ObjectCallback done) override;
  void remove(const Target& t, const DeleteOptions& options, StatusCallback done) override;
  void removeCollection(const Target& t, const ListOptions& which, const DeleteOptions& options, StatusCallback done) override;

  // For a test's arrangement: puts the object as it is (a uid, creationTimestamp and resourceVersion are made if missing).
  template <typename T>
  std::shared_ptr<const T> put(T value) {
    return api::share<T>(putObject(api::Object::of(std::move(value))));
  }
  ObjectPtr putObject(ObjectPtr object);
  // Null if absent.
  template <typename T>
  std::shared_ptr<const T> find(std::string_view ns, std::string_view name) const {
    ObjectPtr o = findObject(T::kType, ns, name);
    return o ? api::share<T>(o) : nullptr;
  }
  ObjectPtr findObject(const codec::TypeInfo& type, std::string_view ns, std::string_view name) const;
  template <typename T>
  std::vector<std::shared_ptr<const T>> all(std::string_view ns = "") const {
    std::vector<std::shared_ptr<const T>> out;
    for (const ObjectPtr& o : allObjects(T::kType, ns)) out.push_back(api::share<T>(o));
    return out;
  }
  std::vector<ObjectPtr> allObjects(const codec::TypeInfo& type, std::string_view ns = "") const;  // by key

  // One line a write, in order: "create pods ns/name", "update deployments/status ns/name", "patch ...", "delete ...".
  std::vector<std::string> actions() const;
  void clearActions();
  // Asked before each call; an error is the call's answer. `verb`: get, list, watch, create, update, patch, delete.
  using Reactor = std::function<Status(std::string_view verb, const Target& t, const ObjectPtr& object)>;
  void setReactor(Reactor reactor);
  // Ends every watch with an Expired error and forgets the history.
  void expireWatches();
  // Ends every watch in peace.
  void endWatches();
  size_t watchCount() const;

  struct Core;

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace km::client
