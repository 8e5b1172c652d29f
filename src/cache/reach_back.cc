// The part of ResourceCache that serves those who come back from further than its window: after a restart it is empty,
// while the store still has the history.
#include <algorithm>
#include <unordered_map>

#include "api/types/meta_v1.h"
#include "base/log.h"
#include "cache/resource_cache.h"

namespace km::cache {
namespace {

// Who has missed more than this is better served by a list.
constexpr size_t kMaxReach = 20'000;
constexpr size_t kMaxReachBytes = 16 << 20;

}  // namespace

bool ResourceCache::reaches(int64_t revision) const {
  std::shared_lock lock(mutex_);
  return windowStart_ <= revision;
}

void ResourceCache::reachBack(int64_t revision, std::function<void()> done) {
  {
    std::lock_guard lock(returningMutex_);
    returning_.push_back({revision, std::move(done)});
    if (std::exchange(reachingBack_, true)) return;
  }
  for (;;) {
    std::vector<Returning> now;
    {
      std::lock_guard lock(returningMutex_);
      now.swap(returning_);
      if (now.empty()) {
        reachingBack_ = false;
        return;
      }
    }
    // Who was away for longest reads for all, unless it was too long.
    std::ranges::sort(now, {}, &Returning::revision);
    for (Returning& r : now) extendTo(r.revision);
    for (Returning& r : now) r.done();
  }
}

// Reads what is before the window while the window goes on at its end.
void ResourceCache::extendTo(int64_t revision) {
  int64_t through = 0;
  size_t room = 0;
  {
    std::unique_lock lock(mutex_);
    if (windowStart_ <= revision || revision < reachEnd_) return;
    through = windowStart_;
    room = window_.size() < kMaxReach ? kMaxReach - window_.size() : 0;
    extending_ = true;
  }
  Result<store::History> history = store_.history(config_.prefix, revision, through, room, kMaxReachBytes);
  std::vector<EventPtr> events;
  if (history.ok()) {
    events = past(*history);
  } else if (!history.status().is("Expired")) {
    KM_LOG(WARNING, "the history of {} cannot be read: {}", config_.prefix, history.status().message());
  }
  std::unique_lock lock(mutex_);
  extending_ = false;
  if (history.ok() && history->after > revision) reachEnd_ = history->after;
  if (history.status().is("Expired")) reachEnd_ = revision + 1;
  // Read anew meanwhile: then the window has another beginning.
  if (windowStart_ != through || !history.ok()) return;
  Duration now = clock_.monotonic();
  std::vector<Dated> dated;
  dated.reserve(events.size());
  for (EventPtr& e : events) dated.push_back({std::move(e), now});
  window_.insert(window_.begin(), std::make_move_iterator(dated.begin()), std::make_move_iterator(dated.end()));
  windowStart_ = history->after;
  lock.unlock();
  untidy();
}

// The events as the cache would have made them when they happened.
std::vector<EventPtr> ResourceCache::past(const store::History& history) const {
  std::vector<EventPtr> events;
  events.reserve(history.events.size());
  std::unordered_map<int64_t, api::ObjectPtr> versions;
  auto object = [&](const store::KeyValue& kv, const std::shared_ptr<const void>& attachment) -> api::ObjectPtr {
    auto [it, fresh] = versions.try_emplace(kv.modRevision);
    if (!fresh) return it->second;
    {
      std::shared_lock lock(mutex_);
      auto current = objects_.find(std::string_view(kv.key).substr(config_.prefix.size()));
      if (current != objects_.end() && current->second->meta().resourceVersion == std::to_string(kv.modRevision)) {
        return it->second = current->second;
      }
    }
    if (attachment) return it->second = std::static_pointer_cast<const api::Object>(attachment);
    auto decoded = decode(kv);
    if (decoded.ok()) {
      it->second = std::move(*decoded);
    } else {
      KM_LOG(ERROR, "{}", decoded.status().message());
    }
    return it->second;
  };
  for (const store::EventPtr& e : history.events) {
    api::ObjectPtr prev = e->prev ? object(*e->prev, nullptr) : nullptr;
    if (e->type == store::EventType::kDelete) {
      if (prev) events.push_back(std::make_shared<Event>(EventType::kDeleted, withRevision(*prev, e->revision()), prev, e->revision()));
    } else if (api::ObjectPtr now = object(e->kv, e->attachment)) {
      EventType type = prev ? EventType::kModified : EventType::kAdded;
      events.push_back(std::make_shared<Event>(type, std::move(now), std::move(prev), e->revision()));
    }
  }
  return events;
}

}  // namespace km::cache
