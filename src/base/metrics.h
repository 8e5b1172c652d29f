// Metrics in Prometheus' text form. A metric is looked up once by its labels and kept as a reference (a
// handle); counting is then one atomic operation without a lock. Handles live as long as their registry.
//
//   auto& requests = registry.counter("apiserver_request_total", "[STABLE] Counter of ...", {"verb",
//   "code"}); Counter& gets = requests.with({"GET", "200"});   // once gets.inc(); // hot
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace km {

class Counter {
 public:
  void inc(uint64_t by = 1) { count_.fetch_add(by, std::memory_order_relaxed); }
  void add(double by) { sum_.fetch_add(by, std::memory_order_relaxed); }  // for seconds and the like; by >= 0
  double value() const;

 private:
  std::atomic<uint64_t> count_{0};
  std::atomic<double> sum_{0};
};

class Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void add(double by) { value_.fetch_add(by, std::memory_order_relaxed); }
  void inc() { add(1); }
  void dec() { add(-1); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class Histogram {
 public:
  explicit Histogram(std::span<const double> bounds);
  void observe(double value);  // lock-free; a scrape beside it may see the bucket before the sum
  uint64_t count() const;
  double sum() const;

 private:
  friend class HistogramVec;
  std::vector<double> bounds_;                        // ascending, without +Inf
  std::unique_ptr<std::atomic<uint64_t>[]> buckets_;  // not cumulative; one more for +Inf
  std::atomic<double> sum_{0};
};

// Label values in the order of the label names; a wrong number of them is a bug and ends the process.
using LabelValues = std::initializer_list<std::string_view>;

// A name with all its children. Any thread; with() takes a lock, so keep the handle.
template <typename Metric>
class MetricVec {
 public:
  virtual ~MetricVec() = default;
  virtual Metric& with(std::span<const std::string_view> values) = 0;
  Metric& with(LabelValues values) { return with(std::span(values.begin(), values.size())); }
  // Takes a child out of the exposition; its handle stays valid but is no longer shown.
  virtual void remove(std::span<const std::string_view> values) = 0;
  void remove(LabelValues values) { remove(std::span(values.begin(), values.size())); }
  virtual void clear() = 0;
};

enum class MetricType : uint8_t { kCounter, kGauge };

// What a callback gives for each scrape.
class MetricEmitter {
 public:
  virtual ~MetricEmitter() = default;
  virtual void emit(LabelValues values, double value) = 0;
};

class MetricRegistry {
 public:
  MetricRegistry();
  ~MetricRegistry();
  MetricRegistry(const MetricRegistry&) = delete;
  MetricRegistry& operator=(const MetricRegistry&) = delete;

  // The same name again gives the same family; with other labels or another type it is a bug and ends the
  // process.
  using Labels = std::initializer_list<std::string_view>;
  MetricVec<Counter>& counter(std::string_view name, std::string_view help, Labels labels);
  MetricVec<Gauge>& gauge(std::string_view name, std::string_view help, Labels labels);
  MetricVec<Histogram>& histogram(std::string_view name, std::string_view help, Labels labels,
                                  std::span<const double> bounds);
  // Without labels.
  Counter& counter(std::string_view name, std::string_view help);
  Gauge& gauge(std::string_view name, std::string_view help);
  Histogram& histogram(std::string_view name, std::string_view help, std::span<const double> bounds);

  // Asked at each scrape, on the scraping thread. Destroying the returned object takes it out and waits for a
  // scrape that is calling it. The registry must outlive it.
  class Registration;
  [[nodiscard]] std::unique_ptr<Registration> callback(std::string_view name, std::string_view help,
                                                       MetricType type, Labels labels,
                                                       std::function<void(MetricEmitter&)> collect);

  // Text exposition, format 0.0.4, families sorted by name and children by label values.
  void writeText(std::string& out) const;

  // process_resident_memory_bytes, process_cpu_seconds_total, process_open_fds and the other names of
  // client_golang.
  void addProcessMetrics();

  // The registry of this process, for those parts that have only one. Never destroyed.
  static MetricRegistry& process();

 private:
  struct Impl;
  void keep(std::unique_ptr<Registration> registration);
  std::unique_ptr<Impl> impl_;
};

class MetricRegistry::Registration {
 public:
  ~Registration();

 private:
  friend class MetricRegistry;
  Registration(Impl* registry, uint64_t id) : registry_(registry), id_(id) {}
  Impl* registry_;
  uint64_t id_;
};

// start, start*factor, ... (count of them); start, start+width, ...
std::vector<double> exponentialBuckets(double start, double factor, int count);
std::vector<double> linearBuckets(double start, double width, int count);
// .005 .01 .025 .05 .1 .25 .5 1 2.5 5 10
std::span<const double> defaultBuckets();

inline constexpr std::string_view kMetricsContentType =
    "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

}  // namespace km
