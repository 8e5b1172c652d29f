// What the multi-version engine stands on: an ordered map from bytes to bytes, written in atomic batches.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace km::store {

struct Mutation {
  std::string key;
  std::optional<std::string> value;  // none: remove
};

// One thread writes; any thread reads beside it.
class RowStore {
 public:
  virtual ~RowStore() = default;

  // All or nothing, in the order of the calls. `sync`: on return the batch, and all before it, survive loss
  // of power.
  virtual Status write(const std::vector<Mutation>& batch, bool sync) = 0;

  // None if there is no such row. An error means damage or a failing disk, never absence.
  virtual Result<std::optional<std::string>> read(std::string_view key) = 0;

  // Calls `visit` for the rows of [start, end) in order, as they were at one instant, until it returns an
  // error. An empty `end` means no bound. Checks the checksum of all it reads.
  using Visit = std::function<Status(std::string_view key, std::string_view value)>;
  virtual Status scan(std::string_view start, std::string_view end, const Visit& visit) = 0;

  virtual int64_t bytesOnDisk() = 0;

  // Turns the engine's words on damage into words for the administrator.
  virtual Status damaged(std::string_view what) = 0;
};

// In memory, for tests.
std::unique_ptr<RowStore> memoryRows();

// RocksDB in `directory`, made if missing. Errors are those of openEmbedded.
Result<std::unique_ptr<RowStore>> openRocksRows(const std::string& directory);

}  // namespace km::store
