#include "store/row_format.h"

#include <gtest/gtest.h>

#include "store/store_testing.h"

namespace km::store {
namespace {

using namespace std::string_literals;

// These bytes are on the disks of users.
TEST(RowFormat, GoldenBytes) {
  KeyValue kv{"/registry/a", bytes("value"), 2, 300, 3, 0x1234};
  EXPECT_EQ(encodePut(kv), "\x01\x02\x03\xb4\x24\x0b/registry/avalue"s);
  EXPECT_EQ(encodeTombstone("/registry/a"), "\x02/registry/a"s);
  EXPECT_EQ(revisionKey(300), "r\x00\x00\x00\x00\x00\x00\x01\x2c"s);
  EXPECT_EQ(leaseKey(0x0102030405060708), "l\x01\x02\x03\x04\x05\x06\x07\x08"s);
  EXPECT_EQ(encodeLease({3600, 1'700'000'000}), "\0\0\0\0\0\0\x0e\x10\0\0\0\0\x65\x53\xf1\0"s);
}

TEST(RowFormat, ReadsBackWhatItWrote) {
  KeyValue kv{"/k", bytes("v\0w"s), INT64_MAX, 7, INT64_MAX, INT64_MAX};
  RowView row;
  std::string encoded = encodePut(kv);
  ASSERT_TRUE(decodeRow(encoded, row));
  KeyValue back = toKeyValue(7, row);
  EXPECT_EQ(back.key, kv.key);
  EXPECT_EQ(*back.value, *kv.value);
  EXPECT_EQ(back.createRevision, kv.createRevision);
  EXPECT_EQ(back.version, kv.version);
  EXPECT_EQ(back.lease, kv.lease);
  ASSERT_TRUE(decodeRow(encodeTombstone("/k"), row));
  EXPECT_TRUE(row.tombstone);
}

TEST(RowFormat, RefusesWhatItDidNotWrite) {
  RowView row;
  EXPECT_FALSE(decodeRow("", row));
  EXPECT_FALSE(decodeRow("\x03key", row));
  EXPECT_FALSE(decodeRow("\x01\x02\x03"s, row));
  EXPECT_FALSE(decodeRow("\x01\x02\x01\x00\x7fkey"s, row));
  EXPECT_FALSE(decodeRow("\x01\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"s, row));
  Revision revision;
  EXPECT_FALSE(parseRevisionKey("r123", revision));
  EXPECT_FALSE(parseRevisionKey("x\0\0\0\0\0\0\0\x01"s, revision));
  LeaseRow lease;
  EXPECT_FALSE(decodeLease("short", lease));
}

}  // namespace
}  // namespace km::store
