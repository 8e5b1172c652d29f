#include "client/events.h"

#include <condition_variable>
#include <deque>
#include <mutex>

#include "api/types/core_v1.h"
#include "base/log.h"
#include "base/rand.h"
#include "client/event_correlator.h"
#include "client/event_writing.h"

namespace km::client {
namespace {

using api::core_v1::Event;
using api::core_v1::ObjectReference;

}  // namespace

ObjectReference makeReference(const codec::TypeInfo& type, const api::meta_v1::ObjectMeta& meta) {
  ObjectReference r;
  r.kind = type.name;
  r.apiVersion = type.apiVersion;
  r.namespace_ = meta.namespace_;
  r.name = meta.name;
  r.uid = meta.uid;
  r.resourceVersion = meta.resourceVersion;
  return r;
}

ObjectReference referenceTo(const api::Object& object) { return makeReference(object.type(), object.meta()); }

// One event at a time is written: `current`, through the answers of asynchronous calls.
struct EventBroadcaster::Core : std::enable_shared_from_this<EventBroadcaster::Core> {
  Core(Client& c, WorkerPool& pool, Timers& t) : client(c), timers(t), lane(pool, 1) {}
  Client& client;
  Timers& timers;
  std::mutex mutex;
  std::condition_variable idle;
  std::deque<Event> waiting;
  bool writing = false;
  bool stopped = false;
  Timers::Id timer = 0;
  // Of the step in progress only: no two steps run at once.
  EventCorrelator correlator;
  EventCorrelator::Outcome current;
  int tries = 0;
  Lane lane;

  void add(Event event) {
    {
      std::lock_guard lock(mutex);
      if (stopped || waiting.size() >= kMaxWaiting) return;
      waiting.push_back(std::move(event));
      if (writing) return;
      writing = true;
    }
    step(&Core::next);
  }

  void step(void (Core::*what)()) {
    lane.post([self = shared_from_this(), what] { (self.get()->*what)(); });
  }

  // Takes the next event that is worth writing.
  void next() {
    while (true) {
      {
        std::lock_guard lock(mutex);
        if (stopped || waiting.empty()) {
          writing = false;
          idle.notify_all();
          return;
        }
        current = correlator.correlate(std::move(waiting.front()), timers.clock().now());
        waiting.pop_front();
      }
      if (!current.skip) break;
    }
    tries = 0;
    write();
  }

  void write() { current.patch.empty() ? create() : patch(); }

  void patch() {
    const auto& meta = current.event.metadata;
    client.patch(target(Event::kType, meta.namespace_, meta.name), PatchType::kStrategicMerge, current.patch, {},
                 [self = shared_from_this()](Result<ObjectPtr> r) { self->answered(std::move(r), true); });
  }

  void create() {
    current.event.metadata.resourceVersion.clear();
    Target where = target(Event::kType, current.event.metadata.namespace_);
    client.create(where, api::Object::of(Event(current.event)), {},
                  [self = shared_from_this()](Result<ObjectPtr> r) { self->answered(std::move(r), false); });
  }

  void answered(Result<ObjectPtr> result, bool patched) {
    lane.post([self = shared_from_this(), result = std::move(result), patched] { self->settle(result, patched); });
  }

  void settle(const Result<ObjectPtr>& result, bool patched) {
    if (result.ok()) {
      correlator.remember(current.key, (*result)->as<Event>());
      return next();
    }
    const Status& why = result.status();
    if (patched && why.code() == 404) return create();  // it expired meanwhile
    if (isRefused(why)) {
      KM_VINFO(5, "Server rejected event (will not retry!)", {{"event", current.event.metadata.name.view()}, {"err", why}});
      return next();
    }
    if (++tries >= kMaxTries) {
      logError(why, "Unable to write event (retry limit exceeded!)");
      return next();
    }
    Duration wait = tries == 1 ? Duration(static_cast<int64_t>(kRetryAfter.count() * randomFraction())) : kRetryAfter;
    std::lock_guard lock(mutex);
    if (stopped) {
      writing = false;
      idle.notify_all();
      return;
    }
    timer = timers.after(wait, [weak = weak_from_this()] {
      if (auto self = weak.lock()) self->step(&Core::write);
    });
  }
};

struct EventRecorder::Source {
  std::weak_ptr<EventBroadcaster::Core> core;
  std::string component;
  std::string host;
};

void EventRecorder::event(const ObjectReference& about, std::string_view type, std::string_view reason,
                          std::string_view message, const Extra& extra) const {
  auto core = source_ ? source_->core.lock() : nullptr;
  if (!core) return;
  WallTime now = core->timers.clock().now();
  Event e;
  e.metadata.name = eventName(about.name, now);
  e.metadata.namespace_ = about.namespace_.empty() ? std::string_view("default") : about.namespace_.view();
  for (const auto& [key, value] : extra.annotations) e.metadata.annotations[key] = value;
  e.involvedObject = about;
  if (!extra.fieldPath.empty()) e.involvedObject.fieldPath = extra.fieldPath;
  e.reason = reason;
  e.message = message;
  e.source.component = source_->component;
  e.source.host = source_->host;
  e.firstTimestamp = e.lastTimestamp = codec::Time(now);
  e.count = 1;
  e.type = type;
  e.action = extra.action;
  e.reportingComponent = source_->component;
  e.reportingInstance = source_->host;
  KM_VINFO(3, "Event occurred",
           {{"object", about.name.view()}, {"kind", about.kind.view()}, {"type", type}, {"reason", reason}, {"message", message}});
  core->add(std::move(e));
}

void EventRecorder::event(const ObjectReference& about, std::string_view type, std::string_view reason,
                          std::string_view message) const {
  event(about, type, reason, message, {});
}

void EventRecorder::event(const api::Object& about, std::string_view type, std::string_view reason,
                          std::string_view message) const {
  if (source_) event(referenceTo(about), type, reason, message, {});
}

EventBroadcaster::EventBroadcaster(Client& client, WorkerPool& pool, Timers& timers)
    : core_(std::make_shared<Core>(client, pool, timers)) {}

EventBroadcaster::~EventBroadcaster() { stop(); }

EventRecorder EventBroadcaster::recorder(std::string_view component, std::string_view host) {
  EventRecorder out;
  out.source_ = std::make_shared<EventRecorder::Source>(
      EventRecorder::Source{core_, std::string(component), std::string(host)});
  return out;
}

bool EventBroadcaster::flush(Duration timeout) {
  std::unique_lock lock(core_->mutex);
  return core_->idle.wait_for(lock, timeout, [&] { return !core_->writing; });
}

void EventBroadcaster::stop() {
  {
    std::lock_guard lock(core_->mutex);
    core_->stopped = true;
    core_->waiting.clear();
    core_->timers.cancel(core_->timer);
  }
  core_->lane.close();
}

}  // namespace km::client
