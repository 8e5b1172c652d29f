#include "base/metrics.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "base/log.h"
#include "base/strings.h"

namespace km {

double Counter::value() const {
  return static_cast<double>(count_.load(std::memory_order_relaxed)) + sum_.load(std::memory_order_relaxed);
}

Histogram::Histogram(std::span<const double> bounds)
    : bounds_(bounds.begin(), bounds.end()), buckets_(new std::atomic<uint64_t>[bounds.size() + 1] {}) {
  KM_CHECK(std::is_sorted(bounds_.begin(), bounds_.end()));
}

void Histogram::observe(double value) {
  size_t i = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  buckets_[i].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

uint64_t Histogram::count() const {
  uint64_t n = 0;
  for (size_t i = 0; i <= bounds_.size(); i++) n += buckets_[i].load(std::memory_order_relaxed);
  return n;
}

double Histogram::sum() const {
  return sum_.load(std::memory_order_relaxed);
}

namespace {

using LabelNames = std::vector<std::string>;
using Key = std::vector<std::string>;

void appendEscaped(std::string& out, std::string_view text, bool quotes) {
  for (char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

struct KeyLess {
  using is_transparent = void;
  template <typename A, typename B>
  bool operator()(const A& a, const B& b) const {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                        [](std::string_view x, std::string_view y) { return x < y; });
  }
};

}  // namespace

// One name in the exposition.
class MetricFamily {
 public:
  MetricFamily(std::string_view name, std::string_view help, const char* type, LabelNames labels)
      : name_(name), help_(help), type_(type), labels_(std::move(labels)) {}
  virtual ~MetricFamily() = default;
  virtual void writeSamples(std::string& out) = 0;

  void write(std::string& out) {
    std::string samples;
    writeSamples(samples);
    if (samples.empty()) return;  // a family without children is not shown, as in client_golang
    out += "# HELP " + name_ + ' ';
    appendEscaped(out, help_, false);
    out += "\n# TYPE " + name_ + ' ' + type_ + '\n';
    out += samples;
  }

  // `name{labels,extra}`, then a blank.
  template <typename Values>
  void appendName(std::string& out, std::string_view suffix, const Values& values,
                  std::string_view le = {}) const {
    out += name_;
    out += suffix;
    char open = '{';
    auto label = [&](std::string_view name, std::string_view value) {
      out += open;
      out += name;
      out += "=\"";
      appendEscaped(out, value, true);
      out += '"';
      open = ',';
    };
    auto value = values.begin();
    for (const std::string& name : labels_) label(name, *value++);
    if (!le.empty()) label("le", le);
    if (open == ',') out += '}';
    out += ' ';
  }

  const std::string& name() const { return name_; }
  const LabelNames& labels() const { return labels_; }

 protected:
  std::string name_, help_;
  const char* type_;
  LabelNames labels_;
};

// Children by label values. Removed children stay allocated: their handles may still be counted.
template <typename Metric>
class VecFamily : public MetricFamily, public MetricVec<Metric> {
 public:
  using MetricFamily::MetricFamily;

  Metric& with(std::span<const std::string_view> values) override {
    KM_CHECK(values.size() == labels_.size());
    std::lock_guard lock(mutex_);
    auto it = children_.find(values);
    if (it == children_.end()) {
      it = children_.emplace(Key(values.begin(), values.end()), make()).first;
    }
    return *it->second;
  }
  void remove(std::span<const std::string_view> values) override {
    std::lock_guard lock(mutex_);
    auto it = children_.find(values);
    if (it == children_.end()) return;
    removed_.push_back(std::move(it->second));
    children_.erase(it);
  }
  void clear() override {
    std::lock_guard lock(mutex_);
    for (auto& [key, metric] : children_) removed_.push_back(std::move(metric));
    children_.clear();
  }
  void writeSamples(std::string& out) override {
    std::lock_guard lock(mutex_);
    for (const auto& [key, metric] : children_) writeChild(out, key, *metric);
  }

 protected:
  virtual std::unique_ptr<Metric> make() const = 0;
  virtual void writeChild(std::string& out, const Key& key, const Metric& metric) const = 0;

 private:
  std::mutex mutex_;
  std::map<Key, std::unique_ptr<Metric>, KeyLess> children_;
  std::vector<std::unique_ptr<Metric>> removed_;
};

template <typename Metric>
class SimpleVec final : public VecFamily<Metric> {
 public:
  using VecFamily<Metric>::VecFamily;

 private:
  std::unique_ptr<Metric> make() const override { return std::make_unique<Metric>(); }
  void writeChild(std::string& out, const Key& key, const Metric& metric) const override {
    this->appendName(out, "", key);
    out += formatGoFloat(metric.value());
    out += '\n';
  }
};

class HistogramVec final : public VecFamily<Histogram> {
 public:
  HistogramVec(std::string_view name, std::string_view help, std::span<const double> bounds,
               LabelNames labels)
      : VecFamily(name, help, "histogram", std::move(labels)), bounds_(bounds.begin(), bounds.end()) {
    KM_CHECK(std::is_sorted(bounds_.begin(), bounds_.end()));
    for (double bound : bounds_) boundTexts_.push_back(formatGoFloat(bound));
  }

 private:
  std::unique_ptr<Histogram> make() const override { return std::make_unique<Histogram>(bounds_); }
  void writeChild(std::string& out, const Key& key, const Histogram& h) const override {
    uint64_t total = 0;
    auto line = [&](std::string_view suffix, std::string_view le, std::string_view value) {
      appendName(out, suffix, key, le);
      out += value;
      out += '\n';
    };
    double sum = h.sum();  // before the buckets: a scrape never shows a sum without its count
    for (size_t i = 0; i <= bounds_.size(); i++) {
      total += h.buckets_[i].load(std::memory_order_relaxed);
      line("_bucket", i < bounds_.size() ? std::string_view(boundTexts_[i]) : "+Inf", std::to_string(total));
    }
    line("_sum", "", formatGoFloat(sum));
    line("_count", "", std::to_string(total));
  }

  std::vector<double> bounds_;
  std::vector<std::string> boundTexts_;
};

namespace {

class CallbackFamily final : public MetricFamily {
 public:
  CallbackFamily(std::string_view name, std::string_view help, const char* type, LabelNames labels,
                 std::function<void(MetricEmitter&)> collect)
      : MetricFamily(name, help, type, std::move(labels)), collect_(std::move(collect)) {}

  void writeSamples(std::string& out) override {
    struct Emitter final : MetricEmitter {
      explicit Emitter(const MetricFamily& f) : family(f) {}
      void emit(LabelValues values, double value) override {
        KM_CHECK(values.size() == family.labels().size());
        std::string line;
        family.appendName(line, "", values);
        line += formatGoFloat(value);
        line += '\n';
        lines.push_back(std::move(line));
      }
      const MetricFamily& family;
      std::vector<std::string> lines;
    } emitter(*this);
    collect_(emitter);
    std::sort(emitter.lines.begin(), emitter.lines.end());
    for (const std::string& line : emitter.lines) out += line;
  }

 private:
  std::function<void(MetricEmitter&)> collect_;
};

}  // namespace

struct MetricRegistry::Impl {
  mutable std::mutex mutex;  // also held through a scrape: what takes a callback out thereby waits for it
  std::map<std::string, std::unique_ptr<MetricFamily>, std::less<>> families;
  struct Callback {
    uint64_t id;
    std::unique_ptr<CallbackFamily> family;
  };
  std::vector<Callback> callbacks;
  std::vector<std::unique_ptr<Registration>> own;
  uint64_t nextId = 1;

  template <typename Family, typename... More>
  Family& family(std::string_view name, std::string_view help, Labels labels, More&&... more) {
    std::lock_guard lock(mutex);
    LabelNames names(labels.begin(), labels.end());
    auto it = families.find(name);
    if (it == families.end()) {
      it = families.emplace(name, std::make_unique<Family>(name, help, std::forward<More>(more)..., names))
               .first;
    }
    auto* found = dynamic_cast<Family*>(it->second.get());
    KM_CHECK(found != nullptr && found->labels() == names);
    return *found;
  }
};

MetricRegistry::MetricRegistry() : impl_(std::make_unique<Impl>()) {}
MetricRegistry::~MetricRegistry() {
  impl_->own.clear();
  KM_CHECK(impl_->callbacks.empty());  // a Registration outlives its registry
}

MetricVec<Counter>& MetricRegistry::counter(std::string_view name, std::string_view help, Labels labels) {
  return impl_->family<SimpleVec<Counter>>(name, help, labels, "counter");
}

MetricVec<Gauge>& MetricRegistry::gauge(std::string_view name, std::string_view help, Labels labels) {
  return impl_->family<SimpleVec<Gauge>>(name, help, labels, "gauge");
}

MetricVec<Histogram>& MetricRegistry::histogram(std::string_view name, std::string_view help, Labels labels,
                                                std::span<const double> bounds) {
  return impl_->family<HistogramVec>(name, help, labels, bounds);
}

Counter& MetricRegistry::counter(std::string_view name, std::string_view help) {
  return counter(name, help, Labels{}).with(LabelValues{});
}

Gauge& MetricRegistry::gauge(std::string_view name, std::string_view help) {
  return gauge(name, help, Labels{}).with(LabelValues{});
}

Histogram& MetricRegistry::histogram(std::string_view name, std::string_view help,
                                     std::span<const double> bounds) {
  return histogram(name, help, Labels{}, bounds).with(LabelValues{});
}

std::unique_ptr<MetricRegistry::Registration> MetricRegistry::callback(
    std::string_view name, std::string_view help, MetricType type, Labels labels,
    std::function<void(MetricEmitter&)> collect) {
  auto family =
      std::make_unique<CallbackFamily>(name, help, type == MetricType::kCounter ? "counter" : "gauge",
                                       LabelNames(labels.begin(), labels.end()), std::move(collect));
  std::lock_guard lock(impl_->mutex);
  uint64_t id = impl_->nextId++;
  impl_->callbacks.push_back({id, std::move(family)});
  return std::unique_ptr<Registration>(new Registration(impl_.get(), id));
}

MetricRegistry::Registration::~Registration() {
  std::lock_guard lock(registry_->mutex);
  std::erase_if(registry_->callbacks, [this](const Impl::Callback& c) { return c.id == id_; });
}

void MetricRegistry::writeText(std::string& out) const {
  std::lock_guard lock(impl_->mutex);
  std::vector<MetricFamily*> all;
  for (const auto& [name, family] : impl_->families) all.push_back(family.get());
  for (const auto& c : impl_->callbacks) all.push_back(c.family.get());
  std::stable_sort(all.begin(), all.end(), [](auto* a, auto* b) { return a->name() < b->name(); });
  for (MetricFamily* family : all) family->write(out);
}

void MetricRegistry::keep(std::unique_ptr<Registration> registration) {
  impl_->own.push_back(std::move(registration));
}

MetricRegistry& MetricRegistry::process() {
  static auto* registry = new MetricRegistry;
  return *registry;
}

std::vector<double> exponentialBuckets(double start, double factor, int count) {
  std::vector<double> out;
  for (int i = 0; i < count; i++, start *= factor) out.push_back(start);
  return out;
}

std::vector<double> linearBuckets(double start, double width, int count) {
  std::vector<double> out;
  for (int i = 0; i < count; i++, start += width) out.push_back(start);
  return out;
}

std::span<const double> defaultBuckets() {
  static constexpr double kBuckets[] = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};
  return kBuckets;
}

}  // namespace km
