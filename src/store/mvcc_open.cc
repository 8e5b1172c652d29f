#include <algorithm>

#include "store/mvcc.h"
#include "store/row_format.h"

namespace km::store {

Result<std::unique_ptr<Store>> MvccStore::open(std::unique_ptr<RowStore> rows, Clock& clock) {
  std::unique_ptr<MvccStore> store(new MvccStore(std::move(rows), clock));
  KM_TRY(store->load());
  store->committer_ = std::thread([raw = store.get()] { raw->run(); });
  return std::unique_ptr<Store>(std::move(store));
}

Status MvccStore::check(std::unique_ptr<RowStore> rows) {
  MvccStore store(std::move(rows), Clock::system());
  return store.load();
}

Status MvccStore::load() {
  KM_TRY(loadMeta());
  return loadRows();
}

Status MvccStore::loadMeta() {
  KM_ASSIGN(std::optional<std::string> format, rows_->read(kFormatKey));
  if (!format) {
    Status any =
        rows_->scan("", "", [](std::string_view, std::string_view) { return errors::failed("a row"); });
    if (!any.ok()) return rows_->damaged("it holds rows, but not their format");
    return rows_->write({{std::string(kFormatKey), std::string(kFormatVersion)}}, true);
  }
  if (*format != kFormatVersion) {
    return errors::failed("the store has format " + *format + "; this km knows format " +
                          std::string(kFormatVersion) + ": start the version of km that wrote it");
  }
  KM_ASSIGN(std::optional<std::string> compacted, rows_->read(kCompactedKey));
  int64_t revision = 0;
  if (compacted && (!decodeNumber(*compacted, revision) || revision <= 0)) {
    return rows_->damaged("the compacted revision cannot be decoded");
  }
  compacted_ = revision;
  compacting_ = revision > 0;
  return {};
}

// Every revision after the last compaction has its row: a gap is damage, even where all checksums hold.
Status MvccStore::loadRows() {
  std::unordered_map<std::string, LeaseId> attached;
  Revision last = 0;
  const Revision compacted = compacted_;
  Status s =
      rows_->scan(kRevisionStart, kRevisionEnd, [&](std::string_view key, std::string_view value) -> Status {
        Revision revision = 0;
        RowView row;
        if (!parseRevisionKey(key, revision) || !decodeRow(value, row))
          return rows_->damaged("a row cannot be decoded");
        Revision expected = std::max({last, compacted, Revision{1}}) + 1;
        if (revision > expected)
          return rows_->damaged("revision " + std::to_string(expected) + " is missing");
        last = revision;
        index_.add(row.key, revision, row.tombstone);
        if (row.lease != 0) {
          attached[std::string(row.key)] = row.lease;
        } else if (!attached.empty()) {
          attached.erase(std::string(row.key));
        }
        return {};
      });
  KM_TRY(s);
  if (last < compacted) return rows_->damaged("revision " + std::to_string(compacted) + " is missing");
  revision_ = std::max<Revision>(last, 1);
  return loadLeases(attached);
}

// A lease keeps what was left of its time when the store was last open, counted by the wall clock, but never
// gets more than its whole time: the wall clock may have been set back.
Status MvccStore::loadLeases(const std::unordered_map<std::string, LeaseId>& attached) {
  int64_t now = clock_.now().seconds;
  Duration monotonic = clock_.monotonic();
  Status s = rows_->scan(kLeaseStart, kLeaseEnd, [&](std::string_view key, std::string_view value) -> Status {
    LeaseId id = 0;
    LeaseRow lease;
    if (!parseLeaseKey(key, id) || !decodeLease(value, lease))
      return rows_->damaged("a lease cannot be decoded");
    int64_t left = std::clamp<int64_t>(lease.endSeconds - now, 0, lease.ttlSeconds);
    leases_.add(id, monotonic + std::chrono::seconds(left));
    return {};
  });
  KM_TRY(s);
  for (const auto& [key, lease] : attached) {
    if (!leases_.has(lease)) leases_.add(lease, monotonic);  // its end was lost; so end it now
    leases_.attach(lease, key);
  }
  leaseCount_ = static_cast<int64_t>(leases_.size());
  return {};
}

}  // namespace km::store
