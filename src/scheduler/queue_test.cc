#include "scheduler/queue.h"

#include <gtest/gtest.h>

#include "scheduler/cluster.h"

namespace km::scheduler {
namespace {

using std::chrono::seconds;

PodPtr pod(const char* uid, int priority = 0) {
  auto p = std::make_shared<api::core_v1::Pod>();
  p->metadata.uid = uid;
  p->spec.priority = priority;
  return p;
}

Queue make() {
  return Queue([](const QueuedPod&, const ClusterEvent&) { return true; });
}

void fail(Queue& q, QueuedPod p, uint32_t wakes, Duration now) {
  p.failures++;
  p.rejectors = 1;
  p.wakes = wakes;
  q.failed(std::move(p), now);
}

TEST(Queue, HighestPriorityFirstThenInOrder) {
  Queue q = make();
  q.set(pod("a"), seconds(1));
  q.set(pod("b", 10), seconds(1));
  q.set(pod("c"), seconds(1));
  EXPECT_EQ(q.pop(seconds(1))->pod->metadata.uid, "b");
  EXPECT_EQ(q.pop(seconds(1))->pod->metadata.uid, "a");
  EXPECT_EQ(q.pop(seconds(1))->pod->metadata.uid, "c");
  EXPECT_FALSE(q.pop(seconds(1)));
}

TEST(Queue, AFailedPodWaitsForAnEventThatMayHelp) {
  Queue q = make();
  q.set(pod("a"), seconds(1));
  fail(q, *q.pop(seconds(1)), kNodeAdd, seconds(1));
  EXPECT_EQ(q.unschedulable(), 1u);
  q.changed({kAssignedPodDelete, nullptr, nullptr}, seconds(1));
  EXPECT_EQ(q.unschedulable(), 1u);
  q.changed({kNodeAdd, nullptr, nullptr}, seconds(1));
  EXPECT_EQ(q.backingOff(), 1u);
  EXPECT_EQ(q.nextTime(), Duration(seconds(2)));
  // Nothing else is to do: it need not wait for its time.
  EXPECT_TRUE(q.pop(seconds(1)));
}

TEST(Queue, APodThatBacksOffWaitsBehindActiveOnes) {
  Queue q = make();
  q.set(pod("a", 10), seconds(1));
  fail(q, *q.pop(seconds(1)), kNodeAdd, seconds(1));
  q.set(pod("b"), seconds(1));
  q.changed({kNodeAdd, nullptr, nullptr}, seconds(1));
  EXPECT_EQ(q.pop(seconds(1))->pod->metadata.uid, "b");
  EXPECT_EQ(q.pop(seconds(1))->pod->metadata.uid, "a");
}

TEST(Queue, AfterAnErrorTheTimeIsKept) {
  Queue q = make();
  q.set(pod("a"), seconds(1));
  auto p = *q.pop(seconds(1));
  p.errors = 1;
  q.failed(p, seconds(1));
  EXPECT_FALSE(q.pop(seconds(1)));
  EXPECT_EQ(q.nextTime(), Duration(seconds(2)));
  p = *q.pop(seconds(2));
  p.errors = 2;
  q.failed(p, seconds(2));
  EXPECT_EQ(q.nextTime(), Duration(seconds(4)));
}

TEST(Queue, AnEventDuringTheAttemptIsNotMissed) {
  Queue q = make();
  q.set(pod("a"), seconds(1));
  auto p = *q.pop(seconds(1));
  q.changed({kNodeAdd, nullptr, nullptr}, seconds(1));
  fail(q, p, kNodeAdd, seconds(1));
  EXPECT_EQ(q.unschedulable(), 0u);
  EXPECT_EQ(q.backingOff(), 1u);
}

TEST(Queue, AGatedPodIsNotTried) {
  Queue q = make();
  q.set(pod("a"), seconds(1), "gates");
  EXPECT_FALSE(q.pop(seconds(1)));
  EXPECT_EQ(q.gated(), 1u);
  q.set(pod("a"), seconds(2));
  EXPECT_TRUE(q.pop(seconds(2)));
}

TEST(Queue, GatesAreAskedAgain) {
  Queue q = make();
  q.set(pod("a"), seconds(1), "claim");
  q.recheckGates([](const api::core_v1::Pod&) { return "claim"; }, seconds(1));
  EXPECT_FALSE(q.pop(seconds(1)));
  q.recheckGates([](const api::core_v1::Pod&) { return ""; }, seconds(1));
  EXPECT_TRUE(q.pop(seconds(1)));
}

TEST(Queue, ANewsOfAnUnschedulablePodThatDoesNotHelpLeavesItThere) {
  Queue q = make();
  q.set(pod("a"), seconds(1));
  fail(q, *q.pop(seconds(1)), kSelfToleration, seconds(1));
  q.set(pod("a"), seconds(2));
  EXPECT_EQ(q.unschedulable(), 1u);
  q.set(pod("a"), seconds(2), "", {kSelfToleration, nullptr, nullptr});
  EXPECT_EQ(q.unschedulable(), 0u);
}

TEST(Queue, AfterFiveMinutesItIsTriedAnyhow) {
  Queue q = make();
  q.set(pod("a"), seconds(1));
  fail(q, *q.pop(seconds(1)), kNodeAdd, seconds(1));
  EXPECT_FALSE(q.pop(seconds(300)));
  EXPECT_TRUE(q.pop(seconds(301)));
}

}  // namespace
}  // namespace km::scheduler
