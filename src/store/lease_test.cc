#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/store_testing.h"

namespace km::store {
namespace {

using testing::ElementsAre;

TEST(Lease, EndDeletesItsKeysWithEvents) {
  FakeClock clock;
  auto store = openMemory(clock);
  RecordingSink sink;
  auto watch = store->watch("", 0, sink);
  auto lease = leaseGrantAndWait(*store, 60);
  ASSERT_TRUE(lease.ok());
  put(*store, "b", "1", *lease);
  put(*store, "a", "1", *lease);
  put(*store, "c", "1");
  EXPECT_EQ((*store->get("a"))->lease, *lease);
  clock.advance(59);
  store->clockMoved();
  put(*store, "c", "2");
  EXPECT_EQ(store->stats().keys, 3);
  clock.advance(1);
  store->clockMoved();
  sink.waitCount(6);
  EXPECT_THAT(tell(sink.events()), ElementsAre("2 PUT b=1", "3 PUT a=1", "4 PUT c=1", "5 PUT c=2 was 1",
                                               "6 DEL a was 1", "7 DEL b was 1"));
  EXPECT_EQ(store->stats().leases, 0);
}

TEST(Lease, FollowsTheLastPut) {
  FakeClock clock;
  auto store = openMemory(clock);
  LeaseId one = *leaseGrantAndWait(*store, 60), two = *leaseGrantAndWait(*store, 60);
  put(*store, "detached", "1", one);
  put(*store, "detached", "2");
  put(*store, "moved", "1", one);
  put(*store, "moved", "2", two);
  put(*store, "deleted", "1", one);
  erase(*store, "deleted");
  put(*store, "deleted", "2");
  EXPECT_TRUE(leaseRevokeAndWait(*store, one).ok());
  EXPECT_EQ(list(*store, RangeRequest::prefix("")), "deleted=2 detached=2 moved=2");
  EXPECT_TRUE(leaseRevokeAndWait(*store, two).ok());
  EXPECT_EQ(list(*store, RangeRequest::prefix("")), "deleted=2 detached=2");
  Status again = leaseRevokeAndWait(*store, two);
  EXPECT_EQ(again.code(), 404);
  EXPECT_EQ(again.message(), "etcdserver: requested lease not found");
  auto refused = commitAndWait(*store, Txn::put("x", bytes("1"), two));
  EXPECT_EQ(refused.status().message(), "etcdserver: requested lease not found");
}

TEST(Lease, SurvivesARestartWithWhatWasLeft) {
  TempDir dir;
  FakeClock clock;
  {
    auto store = openEmbedded({dir / "data", &clock});
    LeaseId lease = *leaseGrantAndWait(**store, 100);
    put(**store, "a", "1", lease);
    put(**store, "b", "1", lease);
    put(**store, "b", "2");
  }
  clock.advance(60);
  {
    auto store = openEmbedded({dir / "data", &clock});
    ASSERT_TRUE(store.ok());
    EXPECT_EQ((*store)->stats().leases, 1);
    RecordingSink sink;
    auto watch = (*store)->watch("", 0, sink);
    clock.advance(39);
    (*store)->clockMoved();
    put(**store, "c", "1");
    EXPECT_TRUE((*store)->get("a")->has_value());
    clock.advance(1);
    (*store)->clockMoved();
    sink.waitCount(2);
    EXPECT_THAT(tell(sink.events()), ElementsAre("5 PUT c=1", "6 DEL a was 1"));
  }
  auto store = openEmbedded({dir / "data", &clock});
  EXPECT_EQ((*store)->stats().leases, 0);
  EXPECT_EQ(list(**store, RangeRequest::prefix("")), "b=2 c=1");
}

TEST(Lease, EndsOnTheRealClock) {
  auto store = openMemory();
  RecordingSink sink;
  auto watch = store->watch("", 0, sink);
  put(*store, "a", "1", *leaseGrantAndWait(*store, 1));
  sink.waitCount(2);
  EXPECT_EQ(tell(*sink.events().back()), "3 DEL a was 1");
}

}  // namespace
}  // namespace km::store
