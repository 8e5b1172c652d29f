#include "client/leader_election.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "api/types/coordination_v1.h"
#include "client/testing/fake_client.h"
#include "client/testing/fake_clock.h"

namespace km::client {
namespace {

using api::coordination_v1::Lease;
using std::chrono::seconds;

LeaderElection options(std::string identity) {
  LeaderElection o;
  o.name = "lock";
  o.identity = std::move(identity);
  return o;
}

struct LeaderTest : testing::Test {
  FakeClock clock;
  FakeClient client{clock};
  LeaderElector a{client, options("a"), {}, clock};
  LeaderElector b{client, options("b"), {}, clock};
  auto lease() { return client.find<Lease>("kube-system", "lock"); }
};

TEST_F(LeaderTest, OneHoldsTheLeaseUntilItRunsOut) {
  EXPECT_TRUE(a.tryAcquireOrRenew());
  EXPECT_FALSE(b.tryAcquireOrRenew());
  EXPECT_EQ(b.leader(), "a");
  clock.advance(seconds(10));
  EXPECT_TRUE(a.tryAcquireOrRenew());
  clock.advance(seconds(10));
  EXPECT_FALSE(b.tryAcquireOrRenew());  // sees the renewal only now
  clock.advance(seconds(14));
  EXPECT_FALSE(b.tryAcquireOrRenew());
  clock.advance(seconds(1));
  EXPECT_TRUE(b.tryAcquireOrRenew());
  EXPECT_EQ(lease()->spec.leaseTransitions, 1);
  EXPECT_EQ(*lease()->spec.holderIdentity, "b");
  EXPECT_FALSE(a.tryAcquireOrRenew());
  EXPECT_FALSE(a.isLeader());
}

TEST_F(LeaderTest, AReleasedLeaseIsTakenAtOnce) {
  EXPECT_TRUE(a.tryAcquireOrRenew());
  EXPECT_TRUE(a.release());
  EXPECT_EQ(*lease()->spec.holderIdentity, "");
  EXPECT_TRUE(b.tryAcquireOrRenew());
}

TEST(LeaderRunTest, LeadsAndStops) {
  FakeClient client;
  std::atomic<int> started{0}, stopped{0};
  std::stop_source stop;
  auto o = options("a");
  o.releaseOnStop = true;
  LeaderElector elector(client, o,
                        {[&](std::stop_token t) {
                           started++;
                           stop.request_stop();
                           while (!t.stop_requested()) std::this_thread::yield();
                         },
                         [&] { stopped++; }, nullptr});
  elector.run(stop.get_token());
  EXPECT_EQ(started, 1);
  EXPECT_EQ(stopped, 1);
  EXPECT_EQ(*client.find<Lease>("kube-system", "lock")->spec.holderIdentity, "");
}

}  // namespace
}  // namespace km::client
