#include "scheduler/queue.h"

#include <gtest/gtest.h>

#include "scheduler/framework.h"

namespace km::scheduler {
namespace {

using std::chrono::seconds;

PodPtr pod(const char* uid, int priority = 0) {
  auto p = std::make_shared<api::core_v1::Pod>();
  p->metadata.uid = uid;
  p->spec.priority = priority;
  return p;
}

TEST(Queue, HighestPriorityFirstThenInOrder) {
  Queue q;
  q.set(pod("a"), seconds(1), false);
  q.set(pod("b", 10), seconds(1), false);
  q.set(pod("c"), seconds(1), false);
  EXPECT_EQ(q.pop(seconds(1))->pod->metadata.uid, "b");
  EXPECT_EQ(q.pop(seconds(1))->pod->metadata.uid, "a");
  EXPECT_EQ(q.pop(seconds(1))->pod->metadata.uid, "c");
  EXPECT_FALSE(q.pop(seconds(1)));
}

TEST(Queue, AFailedPodWaitsForAChangeThatMayHelpAndForItsBackoff) {
  Queue q;
  q.set(pod("a"), seconds(1), false);
  q.pop(seconds(1));
  q.failed("a", bit(Change::kNodeAdded), seconds(1));
  EXPECT_EQ(q.unschedulable(), 1u);
  q.changed(bit(Change::kPodRemoved), seconds(1));
  EXPECT_EQ(q.unschedulable(), 1u);
  q.changed(bit(Change::kNodeAdded), seconds(1));
  EXPECT_EQ(q.backingOff(), 1u);
  EXPECT_FALSE(q.pop(seconds(1)));
  EXPECT_EQ(q.nextTime(), Duration(seconds(2)));
  EXPECT_TRUE(q.pop(seconds(2)));
}

TEST(Queue, AChangeDuringTheAttemptIsNotMissed) {
  Queue q;
  q.set(pod("a"), seconds(1), false);
  q.pop(seconds(1));
  q.changed(bit(Change::kNodeAdded), seconds(1));
  q.failed("a", bit(Change::kNodeAdded), seconds(1));
  EXPECT_EQ(q.unschedulable(), 0u);
  EXPECT_EQ(q.backingOff(), 1u);
}

TEST(Queue, AGatedPodIsNotTried) {
  Queue q;
  q.set(pod("a"), seconds(1), true);
  EXPECT_FALSE(q.pop(seconds(1)));
  q.set(pod("a"), seconds(2), false);
  EXPECT_TRUE(q.pop(seconds(2)));
}

TEST(Cluster, CountsWhatPodsNeed) {
  api::core_v1::Pod p;
  p.metadata.uid = "u";
  auto add = [](codec::List<api::core_v1::Container>& list, const char* cpu) { list.add().resources.requests["cpu"] = *codec::Quantity::parse(cpu); };
  add(p.spec.containers, "100m");
  add(p.spec.containers, "200m");
  add(p.spec.initContainers, "500m");
  EXPECT_EQ(podRequests(p).milliCpu, 500);
  p.spec.initContainers[0].restartPolicy = codec::String("Always");
  EXPECT_EQ(podRequests(p).milliCpu, 800);

  Cluster c;
  auto node = std::make_shared<api::core_v1::Node>();
  node->metadata.name = "n";
  node->status.allocatable["cpu"] = *codec::Quantity::parse("1");
  c.setNode(node);
  c.assume(p, "n");
  EXPECT_EQ(c.find("n")->requested.milliCpu, 800);
  c.forget("u");
  EXPECT_EQ(c.find("n")->requested.milliCpu, 0);
}

}  // namespace
}  // namespace km::scheduler
