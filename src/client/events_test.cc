#include "client/events.h"
#include "client/event_series.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "api/types/core_v1.h"
#include "api/types/events_v1.h"
#include "client/event_correlator.h"
#include "client/testing/fake_client.h"

namespace km::client {
namespace {

using api::core_v1::Event;
using api::core_v1::Pod;
using std::chrono::seconds;

Pod pod() {
  Pod p;
  p.metadata.name = "web";
  p.metadata.namespace_ = "ns";
  p.metadata.uid = "u1";
  return p;
}

TEST(EventsTest, AreWrittenAndThenPatched) {
  FakeClient client;
  WorkerPool pool(2);
  Timers timers;
  EventBroadcaster broadcaster(client, pool, timers);
  EventRecorder recorder = broadcaster.recorder("kubelet", "node-1");
  for (int i = 0; i < 3; i++)
    recorder.event(referenceTo(pod()), kEventNormal, "Started", "Container started");
  ASSERT_TRUE(broadcaster.flush(seconds(5)));
  auto events = client.all<Event>("ns");
  ASSERT_EQ(events.size(), 1u);
  const Event& e = *events[0];
  EXPECT_EQ(e.count, 3);
  EXPECT_EQ(e.source.component, "kubelet");
  EXPECT_EQ(e.source.host, "node-1");
  EXPECT_EQ(e.reportingComponent, "kubelet");
  EXPECT_EQ(e.involvedObject.kind, "Pod");
  EXPECT_EQ(e.involvedObject.apiVersion, "v1");
  EXPECT_EQ(e.metadata.name.view().substr(0, 4), "web.");
}

TEST(SeriesTest, TheSecondOfAKindBecomesASeries) {
  FakeClient client;
  WorkerPool pool(2);
  Timers timers;
  SeriesRecorder recorder(client, pool, timers, "default-scheduler", "default-scheduler-host");
  for (int i = 0; i < 3; i++) {
    recorder.event(referenceTo(pod()), kEventWarning, "FailedScheduling", "Scheduling",
                   "0/" + std::to_string(i) + " nodes are available");
  }
  recorder.event(referenceTo(pod()), kEventNormal, "Scheduled", "Binding", "Successfully assigned");
  using SeriesEvent = api::events_v1::Event;
  auto settled = [&] {
    auto events = client.all<SeriesEvent>("ns");
    return events.size() == 2 &&
           std::any_of(events.begin(), events.end(), [](const auto& e) { return bool(e->series); });
  };
  for (int i = 0; i < 500 && !settled(); i++) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  ASSERT_TRUE(settled());
  for (const auto& e : client.all<SeriesEvent>("ns")) {
    EXPECT_EQ(e->reportingController, "default-scheduler");
    EXPECT_EQ(e->reportingInstance, "default-scheduler-host");
    EXPECT_TRUE(e->deprecatedSource.component.empty());
    if (e->reason != "FailedScheduling") continue;
    EXPECT_EQ(e->action, "Scheduling");
    EXPECT_EQ(e->note, "0/0 nodes are available");  // of the first
    ASSERT_TRUE(e->series);
    EXPECT_EQ(e->series->count, 2);  // the third is counted, and told later
  }
}

TEST(EventsTest, ARecorderWithoutBroadcasterIsSilent) {
  EventRecorder silent;
  silent.event(referenceTo(pod()), kEventNormal, "A", "b");
}

Event event(std::string_view message) {
  Event e;
  e.metadata.name = "web.1";
  e.involvedObject = referenceTo(pod());
  e.reason = "R";
  e.message = message;
  e.count = 1;
  return e;
}

TEST(EventCorrelatorTest, ManyMessagesBecomeOne) {
  EventCorrelator c;
  for (int i = 0; i < 9; i++) {
    auto out = c.correlate(event("message " + std::to_string(i)), {1000 + i, 0});
    EXPECT_TRUE(out.patch.empty());
    EXPECT_FALSE(out.skip);
  }
  auto out = c.correlate(event("message 9"), {1010, 0});
  EXPECT_EQ(out.event.message, "(combined from similar events): message 9");
  EXPECT_TRUE(out.patch.empty());
  out = c.correlate(event("message 10"), {1011, 0});
  EXPECT_EQ(out.event.count, 2);
  EXPECT_FALSE(out.patch.empty());
  out = c.correlate(event("message 11"), {3000, 0});
  EXPECT_EQ(out.event.message, "message 11");
}

TEST(EventCorrelatorTest, SpamIsDropped) {
  EventCorrelator c;
  int written = 0;
  for (int i = 0; i < 40; i++) written += c.correlate(event("same"), {1000, 0}).skip ? 0 : 1;
  EXPECT_EQ(written, 25);
  EXPECT_FALSE(c.correlate(event("same"), {1301, 0}).skip);
  EXPECT_TRUE(c.correlate(event("same"), {1301, 0}).skip);
}

}  // namespace
}  // namespace km::client
