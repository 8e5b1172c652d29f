#include <map>
#include <mutex>
#include <shared_mutex>

#include "store/rows.h"

namespace km::store {
namespace {

class MemoryRows final : public RowStore {
 public:
  Status write(const std::vector<Mutation>& batch, bool) override {
    std::unique_lock lock(mutex_);
    for (const Mutation& m : batch) {
      if (m.value) {
        rows_.insert_or_assign(m.key, *m.value);
      } else {
        rows_.erase(m.key);
      }
    }
    return {};
  }

  Result<std::optional<std::string>> read(std::string_view key) override {
    std::shared_lock lock(mutex_);
    auto it = rows_.find(key);
    if (it == rows_.end()) return std::optional<std::string>();
    return std::optional<std::string>(it->second);
  }

  Status scan(std::string_view start, std::string_view end, const Visit& visit) override {
    std::shared_lock lock(mutex_);
    for (auto it = rows_.lower_bound(start); it != rows_.end() && (end.empty() || it->first < end); ++it) {
      KM_TRY(visit(it->first, it->second));
    }
    return {};
  }

  int64_t bytesOnDisk() override { return 0; }

  Status damaged(std::string_view what) override {
    return errors::failed("the store in memory is damaged: " + std::string(what));
  }

 private:
  std::shared_mutex mutex_;
  std::map<std::string, std::string, std::less<>> rows_;
};

}  // namespace

std::unique_ptr<RowStore> memoryRows() {
  return std::make_unique<MemoryRows>();
}

}  // namespace km::store
