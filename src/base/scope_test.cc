#include "base/scope.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>

namespace km {
namespace {

TEST(Gate, CloseWaitsForThoseInside) {
  Gate gate;
  ASSERT_TRUE(gate.enter());
  std::atomic<bool> left{false};
  std::thread worker([&] {
    while (!gate.isClosed()) std::this_thread::yield();
    EXPECT_FALSE(gate.enter());
    left = true;
    gate.leave();
  });
  gate.close();
  EXPECT_TRUE(left);
  worker.join();
}

TEST(Gate, HoldLeavesOnce) {
  Gate gate;
  {
    Gate::Hold a(gate);
    Gate::Hold b = std::move(a);
    EXPECT_FALSE(a);
    EXPECT_TRUE(b);
    EXPECT_EQ(gate.inside(), 1u);
  }
  EXPECT_EQ(gate.inside(), 0u);
  gate.close();
  EXPECT_FALSE(Gate::Hold(gate));
}

TEST(Scope, EndStopsAndWaitsForThreads) {
  std::atomic<int> ended{0};
  {
    Scope scope("test");
    for (int i = 0; i < 3; i++) {
      EXPECT_TRUE(scope.spawn("worker", [&](std::stop_token stop) {
        while (scope.sleepFor(std::chrono::hours(1))) {
        }
        EXPECT_TRUE(stop.stop_requested());
        ended++;
      }));
    }
  }
  EXPECT_EQ(ended, 3);
}

TEST(Scope, StopWaitsForHolds) {
  Scope scope("test");
  Gate::Hold hold = scope.hold();
  ASSERT_TRUE(hold);
  std::atomic<bool> released{false};
  std::thread other([&] {
    while (!scope.stopping()) std::this_thread::yield();
    released = true;
    hold.release();
  });
  scope.stop();
  EXPECT_TRUE(released);
  other.join();
  EXPECT_FALSE(scope.spawn("late", [](std::stop_token) { FAIL(); }));
  EXPECT_FALSE(scope.hold());
}

TEST(Scope, SleepEndsInTime) {
  Scope scope("test");
  EXPECT_TRUE(scope.sleepFor(std::chrono::milliseconds(1)));
  scope.requestStop();
  EXPECT_FALSE(scope.sleepFor(std::chrono::hours(1)));
}

TEST(Scope, WhatABodyHoldsIsGoneAfterStop) {
  auto thing = std::make_shared<int>(1);
  Scope scope("test");
  scope.spawn("holder", [thing](std::stop_token) {});
  scope.stop();
  EXPECT_EQ(thing.use_count(), 1);
}

}  // namespace
}  // namespace km
