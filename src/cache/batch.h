// Events as those see them who select the same: found once, and what is made from them is made once.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cache/event.h"

namespace km::cache {

// An event as one selection sees it: an object that enters or leaves it is added or deleted for it.
struct Delivery {
  EventType type;
  api::ObjectPtr object;
  int64_t revision;
};

class Batch {
 public:
  explicit Batch(std::vector<Delivery> events) : events_(std::move(events)) {}

  const std::vector<Delivery>& events() const { return events_; }  // at least one, in order
  size_t size() const { return events_.size(); }
  int64_t revision() const { return events_.back().revision; }

  // The events' bytes in one of the forms that consumers know by number (below kForms). `make` runs at the first call, on
  // its thread, while others wait: it must always give the same for one form.
  static constexpr int kForms = 2;
  api::SharedBytes encoded(int form, const std::function<std::string(const Batch&)>& make) const {
    std::lock_guard lock(mutex_);
    if (!encoded_[form]) encoded_[form] = std::make_shared<const std::string>(make(*this));
    return encoded_[form];
  }

 private:
  const std::vector<Delivery> events_;
  mutable std::mutex mutex_;
  mutable api::SharedBytes encoded_[kForms];
};
using BatchPtr = std::shared_ptr<const Batch>;

}  // namespace km::cache
