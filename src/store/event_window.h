// The newest events, one for each revision without gap, kept in memory: most watches start and most previous
// values are looked up among them.
#pragma once

#include <deque>

#include "store/store.h"

namespace km::store {

class EventWindow {
 public:
  // What the window may hold besides the batch being delivered. A few seconds of a busy cluster.
  static constexpr size_t kMaxEvents = 2048;
  static constexpr size_t kMaxBytes = 2 << 20;

  void push(EventPtr event) {
    bytes_ += sizeOf(*event);
    events_.push_back(std::move(event));
  }
  void trim() {
    while (events_.size() > kMaxEvents || (bytes_ > kMaxBytes && !events_.empty())) {
      bytes_ -= sizeOf(*events_.front());
      events_.pop_front();
    }
  }

  bool empty() const { return events_.empty(); }
  Revision first() const { return events_.front()->revision(); }  // only if not empty
  const EventPtr* find(Revision revision) const {
    if (events_.empty() || revision < first()) return nullptr;
    auto i = static_cast<size_t>(revision - first());
    return i < events_.size() ? &events_[i] : nullptr;
  }

 private:
  static size_t sizeOf(const Event& event) {
    size_t size = 256 + 2 * event.kv.key.size();
    if (event.kv.value) size += event.kv.value->size();
    if (event.prev) size += event.prev->value->size();
    return size;
  }

  std::deque<EventPtr> events_;
  size_t bytes_ = 0;
};

}  // namespace km::store
