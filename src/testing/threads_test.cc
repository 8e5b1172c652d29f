#include "testing/threads.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <random>
#include <thread>

#include "async/loop.h"
#include "base/rand.h"
#include "client/timers.h"
#include "client/worker_pool.h"

namespace km::testing {
namespace {

// Runs the story in a process of its own, where threads are played; what it returns.
uint64_t played(uint64_t seed, const std::function<uint64_t()>& story) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  pid_t child = ::fork();
  if (child == 0) {
    begin(seed);
    uint64_t answer = story();
    (void)!::write(ends[1], &answer, sizeof answer);
    ::_exit(0);
  }
  ::close(ends[1]);
  uint64_t answer = ~0ull;
  EXPECT_EQ(::read(ends[0], &answer, sizeof answer), static_cast<ssize_t>(sizeof answer));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  return answer;
}

struct ThreadsTest : ::testing::Test {
  void SetUp() override {
    if (!canPlay()) GTEST_SKIP();
  }
};

TEST_F(ThreadsTest, ADayPassesInAMoment) {
  uint64_t hours = played(1, [] {
    auto before = std::chrono::steady_clock::now();
    std::thread sleeper([] { std::this_thread::sleep_for(std::chrono::hours(24)); });
    sleeper.join();
    return static_cast<uint64_t>((std::chrono::steady_clock::now() - before) / std::chrono::hours(1));
  });
  EXPECT_EQ(hours, 24u);
}

// Who is first is the seed's choice.
uint64_t order() {
  setChaos({.changeOneIn = 4});
  std::mutex mutex;
  uint64_t seen = 0;
  client::WorkerPool pool(4);
  std::promise<void> done;
  int left = 12;
  for (uint64_t i = 0; i < 12; i++) {
    pool.post([&, i] {
      std::lock_guard lock(mutex);
      seen = seen * 16 + i;
      if (--left == 0) done.set_value();
    });
  }
  done.get_future().wait();
  pool.stop();
  return seen ^ traceHash() ^ randomUint64() ^ std::random_device{}();
}

TEST_F(ThreadsTest, ASeedIsOneOrderOfThings) {
  EXPECT_EQ(played(7, order), played(7, order));
  EXPECT_NE(played(7, order), played(8, order));
}

TEST_F(ThreadsTest, LoopsAndTimersArePlayedToo) {
  uint64_t millis = played(3, [] {
    async::LoopGroup loops(2, "loop");
    client::Timers timers;
    std::promise<void> first, second;
    auto before = Clock::system().monotonic();
    std::unique_ptr<async::Timer> timer;
    loops.at(0).post([&] {
      timer = std::make_unique<async::Timer>(loops.at(0));
      timer->start(std::chrono::seconds(5), [&] { loops.at(1).post([&] { first.set_value(); }); });
    });
    first.get_future().wait();
    timers.after(std::chrono::seconds(5), [&] { second.set_value(); });
    second.get_future().wait();
    auto took = Clock::system().monotonic() - before;
    std::promise<void> gone;
    loops.at(0).post([&] {
      timer.reset();
      gone.set_value();
    });
    gone.get_future().wait();
    loops.stop();
    return static_cast<uint64_t>(took / std::chrono::milliseconds(1));
  });
  EXPECT_GE(millis, 10000u);
  EXPECT_LE(millis, 10010u);
}

TEST_F(ThreadsTest, AKilledGroupNeverRunsAgain) {
  uint64_t ticks = played(3, [] {
    uint64_t n = 0;
    Group g = newGroup("victim", false);
    spawn(g, "ticks", [&] {
      for (;; n++) std::this_thread::sleep_for(std::chrono::seconds(1));
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(5500));
    kill(g);
    std::this_thread::sleep_for(std::chrono::minutes(1));
    return n;
  });
  EXPECT_EQ(ticks, 5u);
}

}  // namespace
}  // namespace km::testing
