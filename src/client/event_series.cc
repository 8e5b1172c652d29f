#include "client/event_series.h"

#include <fmt/format.h>

#include <deque>
#include <map>
#include <mutex>

#include "api/types/core_v1.h"
#include "api/types/events_v1.h"
#include "base/log.h"
#include "client/event_correlator.h"
#include "client/event_writing.h"

namespace km::client {
namespace {

using api::events_v1::Event;

constexpr size_t kMaxNote = 1024;
constexpr int64_t kSeriesEnds = 6 * 60;   // seconds without another of its kind
constexpr int64_t kSeriesTold = 30 * 60;  // seconds between two writes of a series that goes on

std::string keyOf(const Event& e) {
  return fmt::format("{}|{}|{}|{}|{}|{}", e.type.view(), e.action.view(), e.reason.view(),
                     e.regarding.kind.view(), e.regarding.uid.view(), e.regarding.name.view());
}

}  // namespace

// One write at a time; all of it on the lane but `waiting`.
struct SeriesRecorder::Core : std::enable_shared_from_this<SeriesRecorder::Core> {
  Core(Client& c, WorkerPool& p, Timers& t, std::string name, std::string at)
      : client(c), timers(t), controller(std::move(name)), instance(std::move(at)), lane(p, 1) {}

  // What is known of events like one that was written.
  struct Series {
    std::string ns, name;
    int32_t count = 1;
    codec::MicroTime last;
    int64_t told = 0;  // when it was last written, in seconds
  };
  struct Write {
    Event event;        // to create, or
    std::string patch;  // of the event of this name
    std::string ns, name;
    int tries = 0;
  };

  Client& client;
  Timers& timers;
  const std::string controller, instance;
  std::mutex mutex;  // guards what follows
  std::deque<Write> waiting;
  std::map<std::string, Series> known;
  bool writing = false, stopped = false;
  Timers::Id retry = 0, sweep = 0;
  Lane lane;

  void add(Event e) {
    std::lock_guard lock(mutex);
    if (stopped) return;
    int64_t now = e.eventTime.seconds;
    auto [at, fresh] = known.try_emplace(keyOf(e));
    Series& s = at->second;
    if (!fresh) {
      s.count++;
      s.last = e.eventTime;
      if (s.count == 2 || now - s.told >= kSeriesTold) tell(s, now);
      return;
    }
    s = {e.metadata.namespace_.str(), e.metadata.name.str(), 1, e.eventTime, now};
    Write w;
    w.ns = s.ns;
    w.name = s.name;
    w.event = std::move(e);
    push(std::move(w));
    scheduleSweep();
  }

  // Under the mutex.
  void tell(Series& s, int64_t now) {
    s.told = now;
    Write w;
    w.ns = s.ns;
    w.name = s.name;
    w.patch = fmt::format(R"({{"series":{{"count":{},"lastObservedTime":"{}"}}}})", s.count, s.last.str());
    push(std::move(w));
  }
  void push(Write w) {
    if (waiting.size() >= kMaxWaiting) return;
    waiting.push_back(std::move(w));
    if (std::exchange(writing, true)) return;
    lane.post([self = shared_from_this()] { self->next(); });
  }
  // Forgets what was not seen for a while; what was counted and not told is told.
  void scheduleSweep() {
    if (sweep != 0 || known.empty()) return;
    sweep = timers.after(std::chrono::seconds(kSeriesEnds), [weak = weak_from_this()] {
      auto self = weak.lock();
      if (!self) return;
      std::lock_guard lock(self->mutex);
      self->sweep = 0;
      if (self->stopped) return;
      int64_t now = self->timers.clock().now().seconds;
      for (auto at = self->known.begin(); at != self->known.end();) {
        Series& s = at->second;
        bool over = now - s.last.seconds >= kSeriesEnds;
        if (over && s.count > 2 && s.last.seconds > s.told) self->tell(s, now);
        at = over ? self->known.erase(at) : std::next(at);
      }
      self->scheduleSweep();
    });
  }

  void next() {
    std::lock_guard lock(mutex);
    if (stopped || waiting.empty()) {
      writing = false;
      return;
    }
    Write& w = waiting.front();
    auto done = [self = shared_from_this()](Result<ObjectPtr> r) {
      self->lane.post([self, r = std::move(r)] { self->settle(r.status()); });
    };
    if (w.patch.empty()) {
      client.create(target(Event::kType, w.ns), api::Object::of(Event(w.event)), {}, std::move(done));
    } else {
      client.patch(target(Event::kType, w.ns, w.name), PatchType::kStrategicMerge, w.patch, {},
                   std::move(done));
    }
  }

  void settle(const Status& s) {
    {
      std::lock_guard lock(mutex);
      if (stopped || waiting.empty()) {
        writing = false;
        return;
      }
      Write& w = waiting.front();
      if (!s.ok() && !isRefused(s) && ++w.tries < kMaxTries) {
        retry = timers.after(kRetryAfter, [weak = weak_from_this()] {
          if (auto self = weak.lock()) self->lane.post([self] { self->next(); });
        });
        return;
      }
      if (!s.ok()) KM_VINFO(5, "Event was not written", {{"event", w.name}, {"err", s}});
      waiting.pop_front();
    }
    next();
  }
};

SeriesRecorder::SeriesRecorder(Client& client, WorkerPool& pool, Timers& timers, std::string controller,
                               std::string instance)
    : core_(std::make_shared<Core>(client, pool, timers, std::move(controller), std::move(instance))) {}

SeriesRecorder::~SeriesRecorder() {
  stop();
}

void SeriesRecorder::event(const api::core_v1::ObjectReference& regarding, std::string_view type,
                           std::string_view reason, std::string_view action, std::string_view note) const {
  WallTime now = core_->timers.clock().now();
  Event e;
  e.metadata.name = eventName(regarding.name, now);
  e.metadata.namespace_ =
      regarding.namespace_.empty() ? std::string_view("default") : regarding.namespace_.view();
  e.eventTime = codec::MicroTime(now);
  e.reportingController = core_->controller;
  e.reportingInstance = core_->instance;
  e.regarding = regarding;
  e.type = type;
  e.reason = reason;
  e.action = action;
  e.note = note.substr(0, kMaxNote);
  core_->add(std::move(e));
}

void SeriesRecorder::stop() {
  {
    std::lock_guard lock(core_->mutex);
    core_->stopped = true;
    core_->waiting.clear();
    core_->timers.cancel(core_->retry);
    core_->timers.cancel(core_->sweep);
  }
  core_->lane.close();
}

}  // namespace km::client
