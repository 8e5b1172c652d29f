#include "store/row_format.h"

namespace km::store {
namespace {

constexpr char kPutKind = 1;
constexpr char kTombstoneKind = 2;

void appendVarint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

bool takeVarint(std::string_view& in, uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 64 && !in.empty(); shift += 7) {
    uint64_t byte = static_cast<unsigned char>(in.front());
    in.remove_prefix(1);
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

bool takeInt(std::string_view& in, int64_t& value) {
  uint64_t raw = 0;
  if (!takeVarint(in, raw)) return false;
  value = static_cast<int64_t>(raw);
  return true;
}

std::string tagged(char tag, int64_t number) {
  std::string key(1, tag);
  key += encodeNumber(number);
  return key;
}

bool untag(char tag, std::string_view key, int64_t& number) {
  return !key.empty() && key.front() == tag && decodeNumber(key.substr(1), number);
}

}  // namespace

std::string encodeNumber(int64_t number) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(static_cast<uint64_t>(number) >> (56 - 8 * i));
  return bytes;
}

bool decodeNumber(std::string_view bytes, int64_t& number) {
  if (bytes.size() != 8) return false;
  uint64_t value = 0;
  for (char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  number = static_cast<int64_t>(value);
  return true;
}

std::string revisionKey(Revision revision) {
  return tagged('r', revision);
}
bool parseRevisionKey(std::string_view key, Revision& revision) {
  return untag('r', key, revision) && revision > 0;
}
std::string leaseKey(LeaseId lease) {
  return tagged('l', lease);
}
bool parseLeaseKey(std::string_view key, LeaseId& lease) {
  return untag('l', key, lease);
}

std::string encodePut(const KeyValue& kv) {
  std::string out;
  out.reserve(kv.key.size() + kv.value->size() + 40);
  out.push_back(kPutKind);
  appendVarint(out, static_cast<uint64_t>(kv.createRevision));
  appendVarint(out, static_cast<uint64_t>(kv.version));
  appendVarint(out, static_cast<uint64_t>(kv.lease));
  appendVarint(out, kv.key.size());
  out += kv.key;
  out += *kv.value;
  return out;
}

std::string encodeTombstone(std::string_view key) {
  std::string out(1, kTombstoneKind);
  out += key;
  return out;
}

bool decodeRow(std::string_view bytes, RowView& row) {
  if (bytes.empty()) return false;
  row = {};
  char kind = bytes.front();
  bytes.remove_prefix(1);
  if (kind == kTombstoneKind) {
    row.tombstone = true;
    row.key = bytes;
    return true;
  }
  uint64_t keySize = 0;
  if (kind != kPutKind || !takeInt(bytes, row.createRevision) || !takeInt(bytes, row.version) ||
      !takeInt(bytes, row.lease) || !takeVarint(bytes, keySize) || keySize > bytes.size()) {
    return false;
  }
  row.key = bytes.substr(0, keySize);
  row.value = bytes.substr(keySize);
  return true;
}

KeyValue toKeyValue(Revision revision, const RowView& row) {
  KeyValue kv;
  kv.key = row.key;
  if (!row.tombstone) kv.value = std::make_shared<const std::string>(row.value);
  kv.createRevision = row.createRevision;
  kv.modRevision = revision;
  kv.version = row.version;
  kv.lease = row.lease;
  return kv;
}

std::string encodeLease(const LeaseRow& lease) {
  return encodeNumber(lease.ttlSeconds) + encodeNumber(lease.endSeconds);
}

bool decodeLease(std::string_view bytes, LeaseRow& lease) {
  return bytes.size() == 16 && decodeNumber(bytes.substr(0, 8), lease.ttlSeconds) &&
         decodeNumber(bytes.substr(8), lease.endSeconds);
}

}  // namespace km::store
