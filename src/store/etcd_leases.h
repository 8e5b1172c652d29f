// Leases of keys that only live for a while, shared: etcd pays for each lease. As upstream's lease manager: one
// is used for a minute or a thousand keys, and lives that minute longer.
#pragma once

#include <functional>
#include <vector>

#include "base/clock.h"
#include "store/store.h"

namespace km::store {

// On one thread.
class EtcdLeases {
 public:
  using Callback = Store::Callback<LeaseId>;
  using Grant = std::function<void(int64_t ttlSeconds, Callback done)>;
  EtcdLeases(Grant grant, Clock& clock) : grant_(std::move(grant)), clock_(clock) {}

  void get(int64_t ttlSeconds, Callback done);

 private:
  static constexpr int64_t kReuseSeconds = 60;
  static constexpr int kMaxKeys = 1000;

  Grant grant_;
  Clock& clock_;
  LeaseId lease_ = 0;
  Duration ends_{0};
  int keys_ = 0;
  int64_t asked_ = 0;  // the time to live of those that wait
  std::vector<Callback> waiting_;
};

}  // namespace km::store
