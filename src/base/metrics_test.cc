#include "base/metrics.h"

#include <gtest/gtest.h>

#include <thread>

namespace km {
namespace {

std::string text(const MetricRegistry& registry) {
  std::string out;
  registry.writeText(out);
  return out;
}

TEST(Metrics, CountersAndGaugesInOrder) {
  MetricRegistry registry;
  auto& requests = registry.counter("requests_total", "Requests by\nverb \\ code.", {"verb", "code"});
  requests.with({"PUT", "200"}).inc();
  requests.with({"GET", "200"}).inc(2);
  requests.with({"GET", "a\"b\\c\n"}).add(0.5);
  registry.gauge("in_flight", "Now.").set(-3);
  registry.gauge("unused", "Not shown.", {"x"});
  EXPECT_EQ(text(registry),
            "# HELP in_flight Now.\n# TYPE in_flight gauge\nin_flight -3\n"
            "# HELP requests_total Requests by\\nverb \\\\ code.\n# TYPE requests_total counter\n"
            "requests_total{verb=\"GET\",code=\"200\"} 2\n"
            "requests_total{verb=\"GET\",code=\"a\\\"b\\\\c\\n\"} 0.5\n"
            "requests_total{verb=\"PUT\",code=\"200\"} 1\n");
}

TEST(Metrics, HistogramsAreCumulative) {
  MetricRegistry registry;
  const double bounds[] = {0.5, 1, 1e6};
  auto& h = registry.histogram("seconds", "S.", {"verb"}, bounds).with({"GET"});
  for (double v : {0.5, 0.7, 2.0, 2e6}) h.observe(v);
  EXPECT_EQ(h.count(), 4u);
  EXPECT_EQ(text(registry),
            "# HELP seconds S.\n# TYPE seconds histogram\n"
            "seconds_bucket{verb=\"GET\",le=\"0.5\"} 1\n"
            "seconds_bucket{verb=\"GET\",le=\"1\"} 2\n"
            "seconds_bucket{verb=\"GET\",le=\"1e+06\"} 3\n"
            "seconds_bucket{verb=\"GET\",le=\"+Inf\"} 4\n"
            "seconds_sum{verb=\"GET\"} 2.0000032e+06\n"
            "seconds_count{verb=\"GET\"} 4\n");
}

TEST(Metrics, HandlesAreStableAndSurviveRemoval) {
  MetricRegistry registry;
  auto& vec = registry.counter("c", "C.", {"x"});
  Counter& a = vec.with({"a"});
  EXPECT_EQ(&a, &vec.with({"a"}));
  EXPECT_EQ(&vec, &registry.counter("c", "C.", {"x"}));
  vec.remove({"a"});
  a.inc();
  EXPECT_EQ(text(registry), "");
}

TEST(Metrics, CallbacksAreAskedWhileRegistered) {
  MetricRegistry registry;
  double depth = 7;
  auto registration = registry.callback("depth", "D.", MetricType::kGauge, {"name"}, [&](MetricEmitter& out) {
    out.emit({"b"}, depth);
    out.emit({"a"}, 1);
  });
  EXPECT_EQ(text(registry),
            "# HELP depth D.\n# TYPE depth gauge\ndepth{name=\"a\"} 1\ndepth{name=\"b\"} 7\n");
  registration.reset();
  EXPECT_EQ(text(registry), "");
}

TEST(Metrics, CountingFromThreadsLosesNothing) {
  MetricRegistry registry;
  Counter& c = registry.counter("c", "C.");
  Histogram& h = registry.histogram("h", "H.", defaultBuckets());
  auto body = [&] {
    for (int i = 0; i < 10000; i++) {
      c.inc();
      h.observe(0.01);
    }
  };
  std::thread a(body), b(body);
  a.join();
  b.join();
  EXPECT_EQ(c.value(), 20000);
  EXPECT_EQ(h.count(), 20000u);
  EXPECT_NEAR(h.sum(), 200, 1e-6);
}

TEST(Metrics, ProcessMetricsAreThere) {
  MetricRegistry registry;
  registry.addProcessMetrics();
  std::string out = text(registry);
  for (const char* name : {"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds",
                           "process_start_time_seconds", "process_max_fds", "process_virtual_memory_bytes"}) {
    size_t at = out.find(std::string("\n") + name + " ");
    ASSERT_NE(at, std::string::npos) << name << "\n" << out;
    EXPECT_GE(std::stod(out.substr(at + 2 + std::string(name).size())), 0) << name;
  }
  size_t at = out.find("\nprocess_start_time_seconds ");
  double start = std::stod(out.substr(at + 28));
  EXPECT_NEAR(start, static_cast<double>(time(nullptr)), 3600);
}

TEST(Metrics, Buckets) {
  EXPECT_EQ(exponentialBuckets(1, 2, 4), (std::vector<double>{1, 2, 4, 8}));
  EXPECT_EQ(linearBuckets(0, 5, 3), (std::vector<double>{0, 5, 10}));
}

}  // namespace
}  // namespace km
