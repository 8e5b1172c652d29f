#include "controllers/expectations.h"

namespace km::controllers {

void Expectations::expectCreations(const std::string& key, int count) {
  std::lock_guard lock(mutex_);
  open_[key] = {count, {}, clock_.monotonic()};
}

void Expectations::expectDeletions(const std::string& key, std::vector<std::string> objects) {
  std::lock_guard lock(mutex_);
  open_[key] = {0, {objects.begin(), objects.end()}, clock_.monotonic()};
}

void Expectations::creationObserved(const std::string& key) {
  std::lock_guard lock(mutex_);
  auto it = open_.find(key);
  if (it != open_.end() && it->second.creations > 0) it->second.creations--;
}

void Expectations::deletionObserved(const std::string& key, const std::string& object) {
  std::lock_guard lock(mutex_);
  auto it = open_.find(key);
  if (it != open_.end()) it->second.deletions.erase(object);
}

bool Expectations::satisfied(const std::string& key) const {
  std::lock_guard lock(mutex_);
  auto it = open_.find(key);
  if (it == open_.end()) return true;
  const Open& o = it->second;
  return (o.creations <= 0 && o.deletions.empty()) || clock_.monotonic() - o.since > kTimeout;
}

Duration Expectations::untilTimeout(const std::string& key) const {
  std::lock_guard lock(mutex_);
  auto it = open_.find(key);
  return it == open_.end() ? Duration(0) : it->second.since + kTimeout + Duration(1) - clock_.monotonic();
}

void Expectations::forget(const std::string& key) {
  std::lock_guard lock(mutex_);
  open_.erase(key);
}

}  // namespace km::controllers
