// The bytes of the store's rows. Told in docs/wire/store.md, held by golden bytes in row_format_test.cc: rows
// once written stay readable.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "store/store.h"

namespace km::store {

inline constexpr std::string_view kFormatKey = "mformat";
inline constexpr std::string_view kFormatVersion = "1";
inline constexpr std::string_view kCompactedKey = "mcompacted";
inline constexpr std::string_view kRevisionStart = "r", kRevisionEnd = "s";
inline constexpr std::string_view kLeaseStart = "l", kLeaseEnd = "m";

// Numbers inside row keys are big-endian, so that the order of bytes is the order of numbers.
std::string encodeNumber(int64_t number);
bool decodeNumber(std::string_view bytes, int64_t& number);

std::string revisionKey(Revision revision);  // "r" and the number
bool parseRevisionKey(std::string_view key, Revision& revision);
std::string leaseKey(LeaseId lease);  // "l" and the number
bool parseLeaseKey(std::string_view key, LeaseId& lease);

// One revision of one key; views into the row.
struct RowView {
  bool tombstone = false;
  Revision createRevision = 0;
  int64_t version = 0;
  LeaseId lease = 0;
  std::string_view key;
  std::string_view value;
};

std::string encodePut(const KeyValue& kv);
std::string encodeTombstone(std::string_view key);
bool decodeRow(std::string_view bytes, RowView& row);
KeyValue toKeyValue(Revision revision, const RowView& row);

struct LeaseRow {
  int64_t ttlSeconds = 0;
  int64_t endSeconds = 0;  // wall-clock time of its end, since 1970
};
std::string encodeLease(const LeaseRow& lease);
bool decodeLease(std::string_view bytes, LeaseRow& lease);

}  // namespace km::store
