// Disk: what the API server's store has written. It outlives the server; it can be slow, and full.
#pragma once

#include <memory>

#include "base/clock.h"
#include "store/rows.h"

namespace km::testing {

class Disk {
 public:
  Disk();
  ~Disk();
  // Rows on this disk, for one store at a time.
  std::unique_ptr<store::RowStore> open();

  // One write in so many takes up to so long. It happens at the beginning or the end of that time.
  void setSlow(uint32_t oneIn, Duration upTo);
  // From now on writes fail; the first of them may have happened all the same. Until rows are opened again.
  void fill();
  uint64_t writes() const;

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace km::testing
