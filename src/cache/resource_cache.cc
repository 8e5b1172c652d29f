#include "cache/resource_cache.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/selector.h"
#include "api/types/meta_v1.h"
#include "base/log.h"
#include "codec/json.h"
#include "codec/proto.h"

namespace km::cache {
namespace {

// Events are kept at least this long, for watches that come back: upstream's eventFreshDuration.
constexpr Duration kKeep = std::chrono::seconds(75);
constexpr size_t kMinWindow = 100;
constexpr size_t kMaxWindow = 100 * 1024;

std::string_view below(std::string_view key, const std::string& prefix) { return key.substr(prefix.size()); }

std::string cacheKey(std::string_view ns, std::string_view name) {
  if (ns.empty()) return std::string(name);
  return fmt::format("{}/{}", ns, name);
}

}  // namespace

ResourceCache::ResourceCache(store::Store& store, Config config, Clock& clock)
    : store_(store), config_(std::move(config)), clock_(clock) {}

ResourceCache::~ResourceCache() {
  if (lister_.joinable()) {
    lister_.request_stop();
    lister_.join();
  }
  watch_ = nullptr;
  watchOwner_.reset();
  endedWatch_.reset();
  failWaiters(errors::serviceUnavailable("the server is shutting down"));
}

Result<std::map<std::string, api::ObjectPtr, std::less<>>> ResourceCache::readAll(int64_t& revision) {
  KM_ASSIGN(store::RangeResult all, store_.range(store::RangeRequest::prefix(config_.prefix)));
  std::map<std::string, api::ObjectPtr, std::less<>> objects;
  for (const store::KeyValue& kv : all.kvs) {
    KM_ASSIGN(api::MutableObject o, decode(kv));
    objects.emplace_hint(objects.end(), below(kv.key, config_.prefix), std::move(o));
  }
  revision = all.revision;
  return objects;
}

Status ResourceCache::start() {
  int64_t revision = 0;
  KM_ASSIGN(auto objects, readAll(revision));
  {
    std::unique_lock lock(mutex_);
    objects_ = std::move(objects);
    windowStart_ = lastEvent_ = revision;
  }
  follow(revision + 1);
  return {};
}

void ResourceCache::follow(int64_t from) {
  std::lock_guard lock(followMutex_);
  endedWatch_ = std::move(watchOwner_);
  watchOwner_ = store_.watch(config_.prefix, from, *this);
  watch_ = watchOwner_.get();
}

// Not on the committer thread: reading may block. Ends when the watch stands again.
void ResourceCache::listAgain(std::stop_token stop) {
  Duration wait = std::chrono::milliseconds(50);
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(listMutex_);
      if (!listWanted_.wait(lock, stop, [&] { return listAgain_; })) return;
    }
    int64_t revision = 0;
    auto objects = readAll(revision);
    if (!objects.ok()) {
      KM_LOG(WARNING, "{} cannot be read: {}", config_.prefix, objects.status().message());
      {
        std::lock_guard lock(waitersMutex_);
        broken_ = objects.status();
      }
      failWaiters(objects.status());
      std::unique_lock lock(listMutex_);
      listWanted_.wait_for(lock, stop, wait, [] { return false; });
      wait = std::min<Duration>(wait * 2, std::chrono::seconds(5));
      continue;
    }
    wait = std::chrono::milliseconds(50);
    {
      std::lock_guard lock(listMutex_);
      listAgain_ = false;
    }
    {
      std::unique_lock lock(mutex_);
      objects_ = std::move(*objects);
      window_.clear();
      windowStart_ = lastEvent_ = revision;
      {
        std::lock_guard snapshotLock(snapshotMutex_);
        wholeList_.reset();
      }
      watchers_.each([](Watcher& w) { w.park(); });
    }
    {
      std::lock_guard lock(waitersMutex_);
      broken_ = {};
    }
    follow(revision + 1);
    logInfo("Listed again", {{"prefix", config_.prefix}, {"revision", std::to_string(revision)}});
    wakeWaiters(revision);
  }
}

std::string ResourceCache::storeKey(std::string_view ns, std::string_view name) const {
  return config_.prefix + cacheKey(ns, name);
}

Result<api::MutableObject> ResourceCache::decode(const store::KeyValue& kv) const {
  const codec::TypeInfo& type = *config_.resource->type;
  api::MutableObject o = api::Object::make(type);
  std::string_view bytes = *kv.value;
  Status s;
  if (bytes.substr(0, codec::kProtoMagic.size()) == codec::kProtoMagic) {
    KM_ASSIGN(codec::Envelope envelope, codec::openEnvelope(bytes));
    s = codec::decodeProto(envelope.raw, o->data(), type);
  } else {
    s = codec::decodeJson(bytes, o->data(), type);
  }
  if (!s.ok()) return errors::internal(fmt::format("stored value of {} cannot be read: {}", kv.key, s.message()));
  o->meta().resourceVersion = std::to_string(kv.modRevision);
  return o;
}

std::string ResourceCache::indexValue(const api::Object& o) const {
  if (config_.indexField.empty()) return "";
  return api::fieldText(o.data(), o.type(), config_.indexField);
}

// --- reading ------------------------------------------------------------------------------------------

api::ObjectPtr ResourceCache::get(std::string_view ns, std::string_view name) const {
  std::string key = cacheKey(ns, name);
  untidy();
  std::shared_lock lock(mutex_);
  auto it = objects_.find(key);
  return it == objects_.end() ? nullptr : it->second;
}

Snapshot ResourceCache::list(std::string_view ns) const {
  Snapshot s;
  untidy();
  s.revision = revision();
  std::shared_lock lock(mutex_);
  s.revision = std::max(s.revision, lastEvent_);
  if (ns.empty()) {
    s.objects = whole();
    return s;
  }
  auto some = std::make_shared<std::vector<api::ObjectPtr>>();
  std::string prefix = fmt::format("{}/", ns);
  for (auto it = objects_.lower_bound(prefix); it != objects_.end() && it->first.starts_with(prefix); ++it) {
    some->push_back(it->second);
  }
  s.objects = std::move(some);
  return s;
}

std::shared_ptr<const std::vector<api::ObjectPtr>> ResourceCache::whole() const {
  std::lock_guard snapshotLock(snapshotMutex_);
  if (!wholeList_) {
    auto all = std::make_shared<std::vector<api::ObjectPtr>>();
    all->reserve(objects_.size());
    for (const auto& [key, o] : objects_) all->push_back(o);
    wholeList_ = std::move(all);
  }
  return wholeList_;
}

std::span<const api::ObjectPtr> ResourceCache::part(const std::vector<api::ObjectPtr>& objects, std::string_view ns, std::string_view start) {
  auto from = [&](std::string_view key) {
    return std::lower_bound(objects.begin(), objects.end(), key, [](const api::ObjectPtr& o, std::string_view k) { return o->key() < k; });
  };
  auto begin = objects.begin(), end = objects.end();
  if (!ns.empty()) {
    // '0' follows '/'.
    begin = from(fmt::format("{}/", ns));
    end = from(fmt::format("{}0", ns));
  }
  if (!start.empty()) begin = std::clamp(from(start), begin, end);
  return {begin, end};
}

std::shared_ptr<const std::vector<api::ObjectPtr>> ResourceCache::listAt(int64_t revision) const {
  if (this->revision() < revision) return nullptr;
  {
    std::shared_lock lock(mutex_);
    if (lastEvent_ <= revision) return whole();
  }
  std::lock_guard snapshotLock(snapshotMutex_);
  for (const Kept& k : kept_) {
    if (k.snapshot.revision == revision) return k.snapshot.objects;
  }
  return nullptr;
}

void ResourceCache::keep(const Snapshot& snapshot) {
  {
    std::lock_guard snapshotLock(snapshotMutex_);
    if (!kept_.empty() && kept_.back().snapshot.revision == snapshot.revision) return;
    kept_.push_back({snapshot, clock_.monotonic()});
    if (kept_.size() > kMaxKept) kept_.pop_front();
  }
  untidy();
}

Snapshot ResourceCache::listIndexed(std::string_view value) const {
  Snapshot whole = list();
  auto some = std::make_shared<std::vector<api::ObjectPtr>>();
  for (const api::ObjectPtr& o : *whole.objects) {
    if (indexValue(*o) == value) some->push_back(o);
  }
  return {std::move(some), whole.revision};
}

size_t ResourceCache::size() const {
  std::shared_lock lock(mutex_);
  return objects_.size();
}

int64_t ResourceCache::revision() const {
  const store::Watch* watch = watch_;
  int64_t delivered = watch != nullptr ? watch->delivered() : 0;
  std::shared_lock lock(mutex_);
  return std::max(delivered, lastEvent_);
}

void ResourceCache::whenFresh(std::function<void(Status)> done) {
  store_.freshRevision([this, done = std::move(done)](Result<store::Revision> current) mutable {
    if (!current.ok()) return done(current.status());
    whenAt(*current, std::move(done));
  });
}

uint64_t ResourceCache::whenAt(int64_t revision, std::function<void(Status)> done) {
  if (this->revision() >= revision) {
    done({});
    return 0;
  }
  Status broken;
  uint64_t id = 0;
  {
    std::lock_guard lock(waitersMutex_);
    broken = broken_;
    if (broken.ok()) {
      id = nextWait_++;
      waiters_.push_back({revision, std::move(done), id});
    }
  }
  if (id == 0) {
    done(broken);
    return 0;
  }
  // Events may have passed between the look and the enlisting; the answer comes in any case.
  if (store::Watch* watch = watch_) watch->requestProgress(revision);
  return id;
}

void ResourceCache::forget(uint64_t wait) {
  std::function<void(Status)> dropped;  // destroyed outside the lock
  std::lock_guard lock(waitersMutex_);
  for (Waiter& w : waiters_) {
    if (w.id != wait) continue;
    dropped = std::move(w.done);
    std::swap(w, waiters_.back());
    waiters_.pop_back();
    return;
  }
}

// --- following the store (committer thread) -----------------------------------------------------------

void ResourceCache::onEvents(std::span<const store::EventPtr> events) {
  {
    // One step for all: a watcher is enlisted with all events before, and then gets all events after; readers see a batch
    // as it was made durable.
    std::unique_lock lock(mutex_);
    for (const store::EventPtr& e : events) {
      if (EventPtr event = apply(*e)) {
        std::string now, before;
        if (watchers_.byIndex()) {
          now = indexValue(*event->object);
          if (event->prev) before = indexValue(*event->prev);
        }
        watchers_.collect(*event, now, before);
      }
      lastEvent_ = std::max(lastEvent_, e->revision());
    }
    watchers_.flush([](const WatchGroup& group, const BatchPtr& batch) {
      for (Watcher* w : group.watchers) w->push(batch);
    });
  }
  trimWindow();
  untidy();
  wakeWaiters(events.back()->revision());
}

EventPtr ResourceCache::apply(const store::Event& e) {
  std::string_view key = below(e.kv.key, config_.prefix);
  auto it = objects_.find(key);
  api::ObjectPtr prev = it == objects_.end() ? nullptr : it->second;
  api::ObjectPtr object;
  EventType type;
  if (e.type == store::EventType::kDelete) {
    if (!prev) return nullptr;
    type = EventType::kDeleted;
    // A writer that deletes may bring the last version along; else it is the one before.
    object = withRevision(*prev, e.revision());
    objects_.erase(it);
  } else {
    if (e.attachment) {
      // The writer's object, mostly not yet published: this is where its resourceVersion becomes known.
      auto brought = std::static_pointer_cast<api::Object>(std::const_pointer_cast<void>(e.attachment));
      if (brought->meta().resourceVersion.empty()) brought->meta().resourceVersion = std::to_string(e.revision());
      object = std::move(brought);
    } else {
      auto decoded = decode(e.kv);
      if (!decoded.ok()) {
        KM_LOG(ERROR, "{}", decoded.status().message());
        return nullptr;
      }
      object = std::move(*decoded);
    }
    type = prev ? EventType::kModified : EventType::kAdded;
    if (prev) {
      it->second = object;
    } else {
      objects_.emplace(key, object);
    }
  }
  {
    std::lock_guard snapshotLock(snapshotMutex_);
    wholeList_.reset();
  }
  auto event = std::make_shared<Event>(type, std::move(object), std::move(prev), e.revision());
  window_.push_back({event, clock_.monotonic()});
  return event;
}

// Whether time will make more of it old.
bool ResourceCache::trimWindow() {
  std::vector<Dated> dropped;  // destroyed outside the lock
  std::unique_lock lock(mutex_);
  Duration oldest = clock_.monotonic() - kKeep;
  while (!extending_ && window_.size() > kMinWindow && (window_.size() > kMaxWindow || window_.front().at < oldest)) {
    windowStart_ = window_.front().event->revision;
    dropped.push_back(std::move(window_.front()));
    window_.pop_front();
  }
  if (!dropped.empty() && window_.size() <= kMinWindow) window_.shrink_to_fit();
  return window_.size() > kMinWindow;
}

bool ResourceCache::tidy() {
  untidy_ = false;
  bool more = trimWindow();
  {
    std::lock_guard snapshotLock(snapshotMutex_);
    Duration oldest = clock_.monotonic() - kKeep;
    while (!kept_.empty() && kept_.front().at < oldest) kept_.pop_front();
    more = more || !kept_.empty();
  }
  // A piece at a time, so that writers don't wait.
  std::vector<api::ObjectPtr> some;
  std::string from;
  bool end = false;
  while (!end) {
    some.clear();
    {
      std::shared_lock lock(mutex_);
      auto it = from.empty() ? objects_.begin() : objects_.upper_bound(from);
      for (; it != objects_.end() && some.size() < 1000; ++it) some.push_back(it->second);
      end = it == objects_.end();
      if (!end) from = std::prev(it)->first;
    }
    for (const api::ObjectPtr& o : some) more = o->letGoOfEncodings() || more;
  }
  if (more) untidy_ = true;
  return more;
}

void ResourceCache::onProgress(store::Revision revision) { wakeWaiters(revision); }

void ResourceCache::onError(const Status& status) {
  KM_LOG(WARNING, "the watch of {} ended: {}", config_.prefix, status.message());
  std::lock_guard lock(listMutex_);
  listAgain_ = true;
  listWanted_.notify_all();
  if (!lister_.joinable()) lister_ = std::jthread([this](std::stop_token stop) { listAgain(stop); });
}

void ResourceCache::failWaiters(const Status& status) {
  std::vector<Waiter> left;
  {
    std::lock_guard lock(waitersMutex_);
    left.swap(waiters_);
  }
  for (Waiter& w : left) w.done(status);
}

void ResourceCache::wakeWaiters(int64_t revision) {
  std::vector<Waiter> due;
  int64_t next = 0;
  {
    std::lock_guard lock(waitersMutex_);
    if (waiters_.empty()) return;
    auto split = std::partition(waiters_.begin(), waiters_.end(), [&](const Waiter& w) { return w.revision > revision; });
    due.assign(std::make_move_iterator(split), std::make_move_iterator(waiters_.end()));
    waiters_.erase(split, waiters_.end());
    for (const Waiter& w : waiters_) next = next == 0 ? w.revision : std::min(next, w.revision);
  }
  store::Watch* watch = watch_;
  if (next != 0 && watch != nullptr) watch->requestProgress(next);
  for (Waiter& w : due) w.done({});
}

// --- watching -----------------------------------------------------------------------------------------

void ResourceCache::enlist(Watcher& w, Selection selection) {
  w.group_ = watchers_.add(&w, std::move(selection), w.place_);
}

void ResourceCache::delist(Watcher* w) {
  std::unique_lock lock(mutex_);
  if (w->group_ == nullptr) return;
  if (Watcher* moved = watchers_.remove(w->group_, w->place_)) moved->place_ = w->place_;
}

bool ResourceCache::replay(int64_t revision, const Selection& selection, std::vector<Delivery>& out) const {
  if (revision < windowStart_) return false;
  auto it = std::upper_bound(window_.begin(), window_.end(), revision,
                             [](int64_t r, const Dated& d) { return r < d.event->revision; });
  for (; it != window_.end(); ++it) {
    Delivery d;
    if (selection.classify(*it->event, d)) out.push_back(std::move(d));
  }
  return true;
}

Result<std::unique_ptr<Watcher>> ResourceCache::watchFrom(int64_t revision, Selection selection, std::function<void()> wake) {
  auto w = std::make_unique<Watcher>(*this, std::move(wake));
  bool signal = false;
  Status s;
  {
    std::unique_lock lock(mutex_);
    enlist(*w, std::move(selection));
    w->seen_ = revision;
    s = w->replay();
    signal = w->signalled_ = !w->queue_.empty();
  }
  KM_TRY(s);
  if (signal) w->wake_();
  return w;
}

std::unique_ptr<Watcher> ResourceCache::watchWithInitial(Selection selection, std::function<void()> wake, Snapshot& initial) {
  auto w = std::make_unique<Watcher>(*this, std::move(wake));
  auto selected = std::make_shared<std::vector<api::ObjectPtr>>();
  const store::Watch* watch = watch_;
  int64_t delivered = watch != nullptr ? watch->delivered() : 0;
  std::unique_lock lock(mutex_);
  const Selection& s = selection;
  if (!s.name.empty()) {
    auto it = objects_.find(cacheKey(s.ns, s.name));
    if (it != objects_.end() && s.selects(*it->second)) selected->push_back(it->second);
  } else {
    std::string prefix = s.ns.empty() ? "" : s.ns + "/";
    for (auto it = objects_.lower_bound(prefix); it != objects_.end() && it->first.starts_with(prefix); ++it) {
      if (s.selects(*it->second)) selected->push_back(it->second);
    }
  }
  w->seen_ = lastEvent_;
  initial.revision = std::max(lastEvent_, delivered);
  initial.objects = std::move(selected);
  enlist(*w, std::move(selection));
  return w;
}

}  // namespace km::cache
