#include "store/etcd_leases.h"

namespace km::store {

void EtcdLeases::get(int64_t ttlSeconds, Callback done) {
  Duration now = clock_.monotonic();
  // It must outlive the key, but not by more than the minute.
  Duration earliest = now + std::chrono::seconds(ttlSeconds);
  if (lease_ != 0 && keys_ < kMaxKeys && ends_ >= earliest && ends_ <= earliest + std::chrono::seconds(kReuseSeconds)) {
    ++keys_;
    return done(lease_);
  }
  if (!waiting_.empty() && asked_ == ttlSeconds) return waiting_.push_back(std::move(done));
  if (!waiting_.empty()) return grant_(ttlSeconds, std::move(done));
  asked_ = ttlSeconds;
  waiting_.push_back(std::move(done));
  int64_t granted = ttlSeconds + kReuseSeconds;
  grant_(granted, [this, now, granted](Result<LeaseId> lease) {
    auto waiting = std::move(waiting_);
    waiting_.clear();
    if (lease.ok()) {
      lease_ = *lease;
      ends_ = now + std::chrono::seconds(granted);
      keys_ = static_cast<int>(waiting.size());
    }
    for (auto& one : waiting) one(lease);
  });
}

}  // namespace km::store
