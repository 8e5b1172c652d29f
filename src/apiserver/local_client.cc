#include "apiserver/local_client.h"

#include <fmt/format.h>

#include <atomic>
#include <condition_variable>
#include <thread>

#include "api/types/meta_v1.h"
#include "apiserver/render.h"
#include "base/metrics.h"

namespace km::apiserver {
namespace {

// Calls of parts of this process are no requests, and counted apart.
void countLocalCall(std::string_view verb, std::string_view group, std::string_view resource) {
  static auto& calls = MetricRegistry::process().counter("km_local_calls_total", "Calls to the API by parts of the API server's own process.",
                                                         {"group", "resource", "verb"});
  calls.with({group, resource, verb}).inc();
}

client::EventType eventType(cache::EventType t) {
  switch (t) {
    case cache::EventType::kAdded:
      return client::EventType::kAdded;
    case cache::EventType::kModified:
      return client::EventType::kModified;
    case cache::EventType::kDeleted:
      return client::EventType::kDeleted;
  }
  return client::EventType::kError;
}

// A watch of the cache, pumped on the worker pool.
class LocalWatch : public std::enable_shared_from_this<LocalWatch> {
 public:
  LocalWatch(Operations& operations, CallPtr call, client::WorkerPool& pool,
             std::shared_ptr<client::WatchSink> sink)
      : operations_(operations), call_(std::move(call)), pool_(pool), sink_(std::move(sink)) {}

  void begin() {
    std::weak_ptr<LocalWatch> weak = weak_from_this();
    auto wake = [weak] {
      if (auto self = weak.lock()) self->schedule();
    };
    operations_.watch(call_, wake, [self = shared_from_this()](Result<WatchResult> r) {
      {
        std::lock_guard lock(self->mutex_);
        self->opened_ = std::make_unique<Result<WatchResult>>(std::move(r));
      }
      self->schedule();
    });
  }

  // No call of the sink runs or comes afterwards, unless this is called from inside one.
  void stop() {
    std::unique_lock lock(mutex_);
    stopped_ = true;
    if (runner_ != std::this_thread::get_id()) idle_.wait(lock, [this] { return !running_; });
    lock.unlock();
    std::lock_guard guard(watcherMutex_);
    watcher_.reset();
  }

 private:
  void schedule() {
    pool_.post([self = shared_from_this()] { self->run(); });
  }

  // One turn at a time; what comes meanwhile makes another one.
  void run() {
    {
      std::unique_lock lock(mutex_);
      if (stopped_) return;
      if (running_) {
        again_ = true;
        return;
      }
      running_ = true;
      runner_ = std::this_thread::get_id();
    }
    for (;;) {
      turn();
      {
        std::unique_lock lock(mutex_);
        if (!again_ || stopped_) {
          running_ = false;
          runner_ = {};
          idle_.notify_all();
          return;
        }
        again_ = false;
      }
    }
  }

  // A wake may come before the watcher that it is about, and while its turn lasts the watcher.
  void turn() {
    std::unique_ptr<Result<WatchResult>> opened;
    {
      std::lock_guard lock(mutex_);
      opened.swap(opened_);
    }
    opened ? begun(*opened) : pump();
  }

  bool stopped() {
    std::lock_guard lock(mutex_);
    return stopped_;
  }

  void begun(Result<WatchResult>& r) {
    if (!r.ok()) {
      if (r.status().is("Expired")) sink_->onEvent({client::EventType::kError, nullptr, r.status()});
      return end(r.status());
    }
    {
      std::lock_guard guard(watcherMutex_);
      watcher_ = std::move(r->watcher);
    }
    for (const api::ObjectPtr& o : r->initial) {
      if (!deliver(cache::EventType::kAdded, o)) return;
    }
    pump();
  }

  bool deliver(cache::EventType type, const api::ObjectPtr& o) {
    if (stopped()) return false;
    auto shown = operations_.toServed(*call_, o);
    if (!shown.ok()) {
      end(shown.status());
      return false;
    }
    sink_->onEvent({eventType(type), *shown, {}});
    return !stopped();
  }

  void pump() {
    for (;;) {
      batches_.clear();
      Status s;
      {
        std::lock_guard guard(watcherMutex_);
        if (!watcher_) return;
        s = watcher_->drain(batches_);
      }
      for (const cache::BatchPtr& b : batches_) {
        for (const cache::Delivery& d : b->events()) {
          if (!deliver(d.type, d.object)) return;
        }
      }
      if (!s.ok()) {
        sink_->onEvent({client::EventType::kError, nullptr, s});
        return end(s);
      }
      if (batches_.empty()) return;
    }
  }

  void end(const Status& s) {
    if (stopped()) return;
    sink_->onEnd(s);
    std::lock_guard lock(mutex_);
    stopped_ = true;
  }

  Operations& operations_;
  CallPtr call_;
  client::WorkerPool& pool_;
  std::shared_ptr<client::WatchSink> sink_;
  std::vector<cache::BatchPtr> batches_;
  std::mutex watcherMutex_;
  std::unique_ptr<cache::Watcher> watcher_;

  std::mutex mutex_;
  std::condition_variable idle_;
  bool running_ = false, again_ = false, stopped_ = false;
  std::thread::id runner_;
  std::unique_ptr<Result<WatchResult>> opened_;  // not looked at yet
};

class WatchHandle : public client::Watch {
 public:
  explicit WatchHandle(std::shared_ptr<LocalWatch> watch) : watch_(std::move(watch)) {}
  ~WatchHandle() override { watch_->stop(); }

 private:
  std::shared_ptr<LocalWatch> watch_;
};

class LocalClient : public client::Client {
 public:
  LocalClient(Operations& operations, const Subresources& subresources, const authz::Authorizer& authorizer,
              client::WorkerPool& pool, authn::UserInfo user, std::string userAgent)
      : operations_(operations),
        subresources_(subresources),
        authorizer_(authorizer),
        pool_(pool),
        user_(std::move(user)),
        userAgent_(std::move(userAgent)) {}

  void get(const client::Target& t, client::ObjectCallback done) override {
    auto call = prepare(t, "get");
    if (!call.ok()) return done(call.status());
    if (!(*call)->served->isOwn(t.subresource)) {
      const SubresourceOps* ops = find(t);
      if (ops == nullptr || !ops->get) return done(unknown(t));
      return ops->get(*call, std::move(done));
    }
    operations_.get(*call, served(*call, std::move(done)));
  }

  void list(const client::Target& t, const client::ListOptions& options, client::ListCallback done) override {
    auto call = prepare(t, "list", options.fieldSelector);
    if (!call.ok()) return done(call.status());
    fill(**call, options);
    operations_.list(*call, [&operations = operations_, call = *call, done = std::move(done)](Result<ListResult> r) {
      if (!r.ok()) return done(r.status());
      client::ObjectList out;
      out.resourceVersion = r->resourceVersion;
      out.continueToken = std::move(r->continueToken);
      out.remainingItemCount = r->remaining;
      out.items = std::move(r->items);
      if (call->served->converts()) {
        for (api::ObjectPtr& o : out.items) {
          auto converted = operations.toServed(*call, o);
          if (!converted.ok()) return done(converted.status());
          o = std::move(*converted);
        }
      }
      done(std::move(out));
    });
  }

  std::unique_ptr<client::Watch> watch(const client::Target& t, const client::ListOptions& options,
                                       std::shared_ptr<client::WatchSink> sink) override {
    auto call = prepare(t, "watch", options.fieldSelector);
    if (!call.ok()) {
      pool_.post([sink, s = call.status()] { sink->onEnd(s); });
      return std::make_unique<NoWatch>();
    }
    fill(**call, options);
    (*call)->bookmarks = true;
    auto watch = std::make_shared<LocalWatch>(operations_, *call, pool_, std::move(sink));
    watch->begin();
    return std::make_unique<WatchHandle>(std::move(watch));
  }

  void create(const client::Target& t, client::ObjectPtr object, const client::WriteOptions& options,
              client::ObjectCallback done) override {
    auto call = prepare(t, "create");
    if (!call.ok()) return done(call.status());
    fill(**call, options);
    api::MutableObject o = object->clone();
    if (const SubresourceOps* ops = find(t)) {
      if (!ops->create) return done(unknown(t));
      return ops->create(*call, std::move(o), std::move(done));
    }
    if ((*call)->served->registry == nullptr) return done(unknown(t));
    (*call)->name.clear();
    operations_.create(*call, std::move(o), served(*call, std::move(done)));
  }

  void update(const client::Target& t, client::ObjectPtr object, const client::WriteOptions& options,
              client::ObjectCallback done) override {
    auto call = prepare(t, "update");
    if (!call.ok()) return done(call.status());
    fill(**call, options);
    if ((*call)->name.empty()) (*call)->name = object->name();
    api::MutableObject o = object->clone();
    if (!(*call)->served->isOwn(t.subresource)) {
      const SubresourceOps* ops = find(t);
      if (ops == nullptr || !ops->update) return done(unknown(t));
      return ops->update(*call, std::move(o), std::move(done));
    }
    operations_.update(*call, std::move(o), updated(*call, std::move(done)));
  }

  void patch(const client::Target& t, client::PatchType type, std::string body,
             const client::WriteOptions& options, client::ObjectCallback done) override {
    auto call = prepare(t, "patch");
    if (!call.ok()) return done(call.status());
    fill(**call, options);
    if (!(*call)->served->isOwn(t.subresource)) {
      const SubresourceOps* ops = find(t);
      if (ops == nullptr || !ops->patch) return done(unknown(t));
      return ops->patch(*call, static_cast<PatchKind>(type), std::move(body), std::move(done));
    }
    operations_.patch(*call, static_cast<PatchKind>(type), std::move(body), updated(*call, std::move(done)));
  }

  void remove(const client::Target& t, const client::DeleteOptions& options,
              client::StatusCallback done) override {
    auto call = prepare(t, "delete");
    if (!call.ok()) return done(call.status());
    (*call)->dryRun = options.dryRun;
    operations_.remove(*call, deleteOptions(options), [done = std::move(done)](Result<registry::Deleted> r) {
      done(r.ok() ? Status() : r.status());
    });
  }

  void removeCollection(const client::Target& t, const client::ListOptions& which,
                        const client::DeleteOptions& options, client::StatusCallback done) override {
    auto call = prepare(t, "deletecollection");
    if (!call.ok()) return done(call.status());
    fill(**call, which);
    (*call)->dryRun = options.dryRun;
    operations_.removeCollection(
        *call, deleteOptions(options),
        [done = std::move(done)](Result<ListResult> r) { done(r.ok() ? Status() : r.status()); });
  }

 private:
  class NoWatch : public client::Watch {};

  // A field selector that names one object makes a list or watch one of that object, for authorization.
  static std::string_view namedBy(std::string_view fieldSelector) {
    constexpr std::string_view kName = "metadata.name=";
    if (!fieldSelector.starts_with(kName) || fieldSelector.find(',') != std::string_view::npos) return {};
    return fieldSelector.substr(kName.size());
  }

  Result<CallPtr> prepare(const client::Target& t, std::string_view verb,
                          std::string_view fieldSelector = {}) const {
    if (t.resource == nullptr) return errors::badRequest("no resource is named");
    const api::Resource& r = *t.resource;
    authz::Attributes a{.user = &user_,
                        .verb = verb,
                        .isResource = true,
                        .group = r.group,
                        .version = r.version,
                        .resource = r.name,
                        .subresource = t.subresource,
                        .ns = t.ns,
                        .name = t.name,
                        .fieldSelector = fieldSelector};
    if (a.name.empty()) a.name = namedBy(fieldSelector);
    countLocalCall(verb, r.group, r.name);
    authz::Answer answer = authorizer_.authorize(a);
    if (answer.decision != authz::Decision::kAllow) return forbiddenBy(a, answer.reason);
    auto call = std::make_shared<Call>();
    call->user = user_;
    call->served = operations_.resources().find(r.group, r.version, r.name);
    if (call->served == nullptr) return errors::notFound({r.group, r.name}, t.name);
    call->verb = verb;
    call->ns = r.namespaced ? t.ns : "";
    call->name = t.name;
    call->subresource = t.subresource;
    call->userAgent = userAgent_;
    return call;
  }

  const SubresourceOps* find(const client::Target& t) const {
    return subresources_.find(t.resource->group, t.resource->name, t.subresource);
  }
  static Status unknown(const client::Target& t) {
    return Status(404, "NotFound",
                  fmt::format("the server could not find the requested resource ({}/{})", t.resource->name,
                              t.subresource));
  }

  static void fill(Call& call, const client::ListOptions& o) {
    call.labelSelector = o.labelSelector;
    call.fieldSelector = o.fieldSelector;
    call.resourceVersion = o.resourceVersion;
    call.resourceVersionMatch = o.resourceVersionMatch;
    call.limit = o.limit;
    call.continueToken = o.continueToken;
  }
  static void fill(Call& call, const client::WriteOptions& o) {
    call.fieldManager = o.fieldManager;
    call.dryRun = o.dryRun;
    call.force = o.force;
  }
  static registry::DeleteOptions deleteOptions(const client::DeleteOptions& o) {
    registry::DeleteOptions d;
    d.gracePeriodSeconds = o.gracePeriodSeconds;
    d.propagationPolicy = o.propagationPolicy;
    if (!o.uid.empty()) d.uid = o.uid;
    if (!o.resourceVersion.empty()) d.resourceVersion = o.resourceVersion;
    return d;
  }

  // Answers may come when the client is gone; the operations are still there.
  registry::ObjectCallback served(CallPtr call, client::ObjectCallback done) {
    return [&operations = operations_, call, done = std::move(done)](Result<api::ObjectPtr> r) {
      if (!r.ok()) return done(r.status());
      done(operations.toServed(*call, *r));
    };
  }
  registry::UpdateCallback updated(CallPtr call, client::ObjectCallback done) {
    return [&operations = operations_, call, done = std::move(done)](Result<registry::UpdateResult> r) {
      if (!r.ok()) return done(r.status());
      done(operations.toServed(*call, r->object));
    };
  }

  Operations& operations_;
  const Subresources& subresources_;
  const authz::Authorizer& authorizer_;
  client::WorkerPool& pool_;
  const authn::UserInfo user_;
  const std::string userAgent_;
};

}  // namespace

Status forbiddenBy(const authz::Attributes& a, const std::string& reason) {
  std::string tail = reason.empty() ? "" : ": " + reason;
  if (!a.isResource) {
    return errors::forbidden(
        {"", ""}, "", fmt::format("User \"{}\" cannot {} path \"{}\"{}", a.user->name, a.verb, a.path, tail));
  }
  std::string resource(a.resource);
  if (!a.subresource.empty()) resource += fmt::format("/{}", a.subresource);
  std::string where = a.ns.empty() ? "at the cluster scope" : fmt::format("in the namespace \"{}\"", a.ns);
  return errors::forbidden({a.group, a.resource}, a.name,
                           fmt::format("User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {}{}",
                                       a.user->name, a.verb, resource, a.group, where, tail));
}

std::unique_ptr<client::Client> makeLocalClient(Operations& operations, const Subresources& subresources,
                                                const authz::Authorizer& authorizer, client::WorkerPool& pool,
                                                authn::UserInfo user, std::string userAgent) {
  return std::make_unique<LocalClient>(operations, subresources, authorizer, pool, std::move(user),
                                       std::move(userAgent));
}

}  // namespace km::apiserver
