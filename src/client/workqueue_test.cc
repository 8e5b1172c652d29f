#include "client/workqueue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "client/testing/fake_clock.h"

namespace km::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct QueueTest : testing::Test {
  FakeClock clock;
  Timers timers{clock};
  WorkQueue queue{"test", timers};
  std::string take() { return queue.tryGet().value_or("-"); }
  void pass(Duration d) {
    clock.advance(d);
    timers.runDue();
  }
};

TEST_F(QueueTest, KeysComeOutOnceAndInOrder) {
  queue.add("a");
  queue.add("b");
  queue.add("a");
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_EQ(take(), "a");
  EXPECT_EQ(take(), "b");
  EXPECT_EQ(take(), "-");
}

TEST_F(QueueTest, AKeyAddedWhileWorkedOnComesAgainAfterDone) {
  queue.add("a");
  EXPECT_EQ(take(), "a");
  queue.add("a");
  queue.add("a");
  EXPECT_EQ(take(), "-");
  queue.done("a");
  EXPECT_EQ(take(), "a");
  queue.done("a");
  EXPECT_EQ(take(), "-");
}

TEST_F(QueueTest, OfSeveralDelaysTheEarliestCounts) {
  queue.addAfter("a", seconds(10));
  queue.addAfter("a", seconds(5));
  queue.addAfter("a", seconds(20));
  pass(seconds(4));
  EXPECT_EQ(take(), "-");
  pass(seconds(1));
  EXPECT_EQ(take(), "a");
  queue.done("a");
  pass(seconds(60));
  EXPECT_EQ(take(), "-");
}

TEST_F(QueueTest, FailuresWaitLongerEachTime) {
  for (int i = 0; i < 4; i++) {
    queue.addRateLimited("a");
    pass(milliseconds(5 << i) - milliseconds(1));
    EXPECT_EQ(take(), "-");
    pass(milliseconds(1));
    EXPECT_EQ(take(), "a");
    queue.done("a");
  }
  EXPECT_EQ(queue.failures("a"), 4);
  queue.forget("a");
  EXPECT_EQ(queue.failures("a"), 0);
  queue.addRateLimited("a");
  pass(milliseconds(5));
  EXPECT_EQ(take(), "a");
}

TEST_F(QueueTest, TheBucketHoldsBackManyKeys) {
  for (int i = 0; i < 110; i++) queue.addRateLimited("key" + std::to_string(i));
  pass(milliseconds(5));
  EXPECT_EQ(queue.size(), 100u);
  pass(milliseconds(500));
  EXPECT_EQ(queue.size(), 105u);
  pass(milliseconds(600));
  EXPECT_EQ(queue.size(), 110u);
}

TEST_F(QueueTest, AShutQueueGivesOutWhatItHolds) {
  queue.add("a");
  queue.addAfter("b", seconds(1));
  queue.shutDown();
  queue.add("c");
  EXPECT_EQ(queue.get(), "a");
  queue.done("a");
  EXPECT_EQ(queue.get(), std::nullopt);
  pass(seconds(2));
  EXPECT_EQ(take(), "-");
}

TEST_F(QueueTest, DrainWaitsForTheWorkInProgress) {
  queue.add("a");
  auto key = queue.get();
  std::atomic<bool> drained{false};
  std::thread t([&] {
    queue.shutDownWithDrain();
    drained = true;
  });
  EXPECT_FALSE(drained);
  queue.done(*key);
  t.join();
  EXPECT_TRUE(drained);
}

TEST_F(QueueTest, WorkersNeverShareAKey) {
  WorkerPool pool(4);
  std::mutex mutex;
  std::set<std::string> running;
  std::atomic<int> runs{0}, most{0}, now{0};
  std::atomic<bool> shared{false};
  QueueWorkers workers(queue, pool, 3, [&](const std::string& key) {
    {
      std::lock_guard lock(mutex);
      if (!running.insert(key).second) shared = true;
      most = std::max(most.load(), ++now);
    }
    std::this_thread::yield();
    {
      std::lock_guard lock(mutex);
      running.erase(key);
      now--;
    }
    runs++;
  });
  for (int i = 0; i < 1000; i++) queue.add("key" + std::to_string(i % 5));
  queue.shutDownWithDrain();
  EXPECT_GE(runs, 5);
  EXPECT_LE(most, 3);
  EXPECT_FALSE(shared);
}

TEST(TimersTest, TheThreadRunsThemInOrder) {
  Timers timers;
  std::mutex mutex;
  std::condition_variable done;
  std::vector<int> order;
  auto note = [&](int i) {
    std::lock_guard lock(mutex);
    order.push_back(i);
    done.notify_all();
  };
  timers.after(milliseconds(20), [&] { note(2); });
  timers.after(milliseconds(1), [&] { note(1); });
  auto id = timers.after(milliseconds(5), [&] { note(9); });
  EXPECT_TRUE(timers.cancel(id));
  EXPECT_FALSE(timers.cancel(id));
  std::unique_lock lock(mutex);
  done.wait(lock, [&] { return order.size() == 2; });
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST(LaneTest, IsSerialAndClosesFromInside) {
  WorkerPool pool(3);
  std::vector<int> order;
  {
    Lane lane(pool);
    for (int i = 0; i < 100; i++) lane.post([&order, i] { order.push_back(i); });
    lane.drain();
  }
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; i++) EXPECT_EQ(order[i], i);
  auto lane = std::make_shared<Lane>(pool);
  std::atomic<bool> closed{false};
  lane->post([&] {
    lane->close();
    closed = true;
  });
  while (!closed) std::this_thread::yield();
  EXPECT_FALSE(lane->post([] {}));
}

}  // namespace
}  // namespace km::client
