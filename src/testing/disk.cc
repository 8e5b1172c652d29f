#include "testing/disk.h"

#include "testing/threads.h"

namespace km::testing {

struct Disk::State {
  std::unique_ptr<store::RowStore> rows = store::memoryRows();
  uint32_t slowOneIn = 0;
  Duration slowMax{0};
  bool full = false;
  uint64_t writes = 0;
};

namespace {

class Rows final : public store::RowStore {
 public:
  explicit Rows(std::shared_ptr<Disk::State> disk) : disk_(std::move(disk)) {}

  Status write(const std::vector<store::Mutation>& batch, bool sync) override {
    disk_->writes++;
    if (disk_->full || failed_) {
      bool first = !std::exchange(failed_, true);
      if (first && oneIn(2)) (void)disk_->rows->write(batch, sync).ok();
      return errors::serviceUnavailable("the store cannot write: No space left on device");
    }
    if (!oneIn(disk_->slowOneIn)) return disk_->rows->write(batch, sync);
    Duration time = drawDuration(disk_->slowMax);
    if (oneIn(2)) {
      sleepFor(time);
      return disk_->rows->write(batch, sync);
    }
    Status s = disk_->rows->write(batch, sync);
    sleepFor(time);
    return s;
  }
  Result<std::optional<std::string>> read(std::string_view key) override { return disk_->rows->read(key); }
  Status scan(std::string_view start, std::string_view end, const Visit& visit) override { return disk_->rows->scan(start, end, visit); }
  int64_t bytesOnDisk() override { return disk_->rows->bytesOnDisk(); }
  Status damaged(std::string_view what) override { return disk_->rows->damaged(what); }

 private:
  std::shared_ptr<Disk::State> disk_;
  bool failed_ = false;
};

}  // namespace

Disk::Disk() : state_(std::make_shared<State>()) {}
Disk::~Disk() = default;

std::unique_ptr<store::RowStore> Disk::open() {
  state_->full = false;
  return std::make_unique<Rows>(state_);
}
void Disk::setSlow(uint32_t oneIn, Duration upTo) {
  state_->slowOneIn = oneIn;
  state_->slowMax = upTo;
}
void Disk::fill() { state_->full = true; }
uint64_t Disk::writes() const { return state_->writes; }

}  // namespace km::testing
