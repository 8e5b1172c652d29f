#include "scheduler/scheduler.h"

#include <gtest/gtest.h>

#include <thread>

#include "client/testing/fake_client.h"
#include "scheduler/testing.h"

namespace km::scheduler {
namespace {

using namespace testing;

class SchedulerTest : public ::testing::Test {
 protected:
  SchedulerTest() : pool_(4), informers_(client_, pool_, timers_) {}
  ~SchedulerTest() override {
    informers_.stop();
    timers_.stop();
    pool_.stop();
  }
  bool wrote(std::string_view what) {
    for (const std::string& a : client_.actions()) {
      if (a.find(what) != std::string::npos) return true;
    }
    return false;
  }

  client::FakeClient client_;
  client::WorkerPool pool_;
  client::Timers timers_;
  client::InformerFactory informers_;
};

TEST_F(SchedulerTest, BindsWhatWaitedBeforeItBegan) {
  client_.put(makeNode({.name = "n"}));
  client_.put(makePod("p"));
  Scheduler s(client_, informers_, pool_, timers_, "host");
  s.start();
  informers_.start();
  while (!wrote("ns/p")) std::this_thread::yield();
  EXPECT_TRUE(wrote("pods/binding")) << client_.actions()[0];
  s.stop();
}

TEST_F(SchedulerTest, MayStopBeforeItsInformersHaveSynced) {
  {
    Scheduler s(client_, informers_, pool_, timers_, "host");
    s.start();
    s.stop();
  }
  informers_.start();
  EXPECT_TRUE(informers_.waitForSync());
  EXPECT_TRUE(client_.actions().empty());
}

}  // namespace
}  // namespace km::scheduler
