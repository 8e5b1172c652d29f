#include <algorithm>
#include <numeric>

#include "store/backup.h"
#include "store/mvcc.h"
#include "store/row_format.h"

namespace km::store {

// The put at `revision`; none if its row was dropped. For any thread.
Result<std::optional<KeyValue>> MvccStore::readRow(Revision revision) {
  KM_ASSIGN(std::optional<std::string> bytes, rows_->read(revisionKey(revision)));
  if (!bytes) return std::optional<KeyValue>();
  RowView row;
  if (!decodeRow(*bytes, row))
    return rows_->damaged("revision " + std::to_string(revision) + " cannot be decoded");
  return std::optional(toKeyValue(revision, row));
}

// Under indexMutex_.
Status MvccStore::checkReadable(Revision revision) const {
  if (revision > revision_) return futureRevisionError();
  if (revision < compacted_) return compactedError();
  return {};
}

Result<std::optional<KeyValue>> MvccStore::get(std::string_view key) {
  for (;;) {
    Revision at, revision;
    {
      std::shared_lock lock(indexMutex_);
      at = revision_;
      revision = index_.find(key, at);
      if (revision == 0) return std::optional<KeyValue>();
      if (const EventPtr* recent = window_.find(revision)) return std::optional((*recent)->kv);
    }
    Result<std::optional<KeyValue>> kv = readRow(revision);
    if (!kv.ok() || kv->has_value()) return kv;
    // Replaced and compacted since the look at the index: look again. There is no other way for a row to go.
    if (compacted_ <= at) return rows_->damaged("revision " + std::to_string(revision) + " is missing");
  }
}

Result<RangeResult> MvccStore::range(const RangeRequest& request) {
  if (request.revision < 0 || request.limit < 0) return errors::badRequest("negative revision or limit");
  for (;;) {
    RangeResult result;
    std::vector<KeyIndex::Found> found;
    std::vector<EventPtr> recent;
    {
      std::shared_lock lock(indexMutex_);
      if (request.revision != 0) KM_TRY(checkReadable(request.revision));
      result.revision = request.revision != 0 ? request.revision : revision_.load();
      int64_t limit = request.countOnly ? 0 : request.limit == 0 ? -1 : request.limit;
      result.count = index_.walk(request.start, request.end, result.revision, limit, found);
      recent.resize(request.keysOnly ? 0 : found.size());
      for (size_t i = 0; i < recent.size(); ++i) {
        if (const EventPtr* event = window_.find(found[i].revision)) recent[i] = *event;
      }
    }
    result.more = !request.countOnly && result.count > static_cast<int64_t>(found.size());
    result.kvs.resize(found.size());
    if (request.keysOnly) {
      for (size_t i = 0; i < found.size(); ++i) {
        result.kvs[i].key = std::move(found[i].key);
        result.kvs[i].modRevision = found[i].revision;
      }
      return result;
    }
    // Read in the order of the rows on disk, so that each block is read and unpacked once.
    std::vector<uint32_t> order(found.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(),
              [&](uint32_t a, uint32_t b) { return found[a].revision < found[b].revision; });
    bool again = false;
    for (uint32_t i : order) {
      if (recent[i]) {
        result.kvs[i] = recent[i]->kv;
        continue;
      }
      Result<std::optional<KeyValue>> kv = readRow(found[i].revision);
      if (!kv.ok()) return kv.status();
      if (!kv->has_value()) {
        if (compacted_ <= result.revision) {
          return rows_->damaged("revision " + std::to_string(found[i].revision) + " is missing");
        }
        again = true;  // compacted under our feet; a request for that very revision fails in the next round
        break;
      }
      result.kvs[i] = std::move(**kv);
    }
    if (!again) return result;
  }
}

Status MvccStore::backup(const std::string& path) {
  return writeBackup(*rows_, path);
}

Stats MvccStore::stats() {
  Stats stats;
  stats.bytesOnDisk = rows_->bytesOnDisk();
  stats.leases = leaseCount_;
  stats.watches = watchCount_;
  {
    std::shared_lock lock(indexMutex_);
    stats.keys = index_.liveKeys();
    stats.history = index_.historySize();
    stats.revision = revision_;
    stats.compacted = compacted_;
  }
  std::lock_guard lock(statsMutex_);
  stats.transactions = transactions_;
  stats.sync = sync_;
  return stats;
}

}  // namespace km::store
