// Expectations: what a controller has done and its informer has not shown yet. A key with open expectations is not acted on
// again, so that a lagging cache does not lead to a second set of pods. Any thread.
#pragma once

#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"

namespace km::controllers {

class Expectations {
 public:
  explicit Expectations(Clock& clock) : clock_(clock) {}

  void expectCreations(const std::string& key, int count);
  // Deletions are told apart by the objects' keys, since each shows twice: as terminating and as gone.
  void expectDeletions(const std::string& key, std::vector<std::string> objects);
  void creationObserved(const std::string& key);
  void deletionObserved(const std::string& key, const std::string& object);
  // Nothing is open, or it was for five minutes, or nothing was ever expected.
  bool satisfied(const std::string& key) const;
  // How long until it is satisfied by time, if nothing else comes: what was made and gone between two lists of the informer is never shown.
  Duration untilTimeout(const std::string& key) const;
  void forget(const std::string& key);

 private:
  static constexpr Duration kTimeout = std::chrono::minutes(5);
  struct Open {
    int creations = 0;
    std::set<std::string> deletions;
    Duration since{0};
  };
  Clock& clock_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Open> open_;
};

}  // namespace km::controllers
