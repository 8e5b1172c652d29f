// Reading of KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1). What we cannot do is refused, never
// passed over.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "codec/json.h"
#include "codec/yaml.h"
#include "scheduler/config.h"

namespace km::scheduler {
namespace {

using codec::Value;

// Reads an object's fields; those that nobody asked for are unknown.
class Fields {
 public:
  Fields(const Value& v, std::string path, std::vector<std::string>& errors)
      : v_(v), path_(std::move(path)), errors_(errors) {
    if (!v.isObject() && !v.isNull()) error("", "must be an object");
  }
  ~Fields() {
    for (const auto& m : v_.members()) {
      if (!asked_.contains(m.key.str())) errors_.push_back(fmt::format("unknown field \"{}\"", at(m.key)));
    }
  }
  Fields(const Fields&) = delete;

  const Value* get(std::string_view key) {
    asked_.insert(std::string(key));
    const Value* v = v_.find(key);
    return v == nullptr || v->isNull() ? nullptr : v;
  }
  void integer(std::string_view key, auto& out) {
    const Value* v = get(key);
    if (v == nullptr) return;
    if (!v->isInt()) return error(key, "must be an integer");
    out = static_cast<std::remove_cvref_t<decltype(out)>>(v->asInt());
  }
  void boolean(std::string_view key, bool& out) {
    const Value* v = get(key);
    if (v == nullptr) return;
    if (!v->isBool()) return error(key, "must be true or false");
    out = v->asBool();
  }
  void text(std::string_view key, std::string& out) {
    const Value* v = get(key);
    if (v == nullptr) return;
    if (!v->isString()) return error(key, "must be text");
    out = v->asString();
  }
  void seconds(std::string_view key, Duration& out) {
    const Value* v = get(key);
    if (v == nullptr) return;
    auto d = codec::GoDuration::parse(v->asString());
    if (!d.ok()) return error(key, d.status().message());
    out = Duration(d->nanos);
  }
  void texts(std::string_view key, std::vector<std::string>& out) {
    each(key, [&](const Value& v, const std::string&) { out.emplace_back(v.asString()); });
  }
  template <typename F>
  void each(std::string_view key, F f) {
    const Value* v = get(key);
    if (v == nullptr) return;
    if (!v->isList()) return error(key, "must be a list");
    for (size_t i = 0; i < v->items().size(); i++) f(v->items()[i], fmt::format("{}[{}]", at(key), i));
  }
  // An API type inside.
  template <typename T>
  void decode(const Value& v, T& out, const std::string& path) {
    codec::StrictErrors strict;
    Status s = codec::decodeJson(v.json(), &out, T::kType, &strict);
    if (!s.ok()) errors_.push_back(fmt::format("{}: {}", path, s.message()));
  }
  void error(std::string_view key, std::string_view why) {
    errors_.push_back(fmt::format("{}: {}", at(key), why));
  }
  std::string at(std::string_view key) const {
    return path_.empty() ? std::string(key) : key.empty() ? path_ : fmt::format("{}.{}", path_, key);
  }
  std::vector<std::string>& errors() { return errors_; }
  const std::string& path() const { return path_; }

 private:
  const Value& v_;
  const std::string path_;
  std::vector<std::string>& errors_;
  std::set<std::string> asked_;
};

using Shape = std::vector<std::pair<int64_t, int64_t>>;

void readShape(Fields& f, Shape& out) {
  f.each("shape", [&](const Value& v, const std::string& path) {
    Fields p(v, path, f.errors());
    std::pair<int64_t, int64_t> point;
    p.integer("utilization", point.first);
    p.integer("score", point.second);
    if (!out.empty() && point.first <= out.back().first)
      p.error("utilization", "values must be sorted in increasing order");
    if (point.first < 0 || point.first > 100) p.error("utilization", "must be in the range [0, 100]");
    if (point.second < 0 || point.second > 10) p.error("score", "must be in the range [0, 10]");
    out.push_back(point);
  });
}

void readResources(Fields& f, std::vector<ResourceWeight>& out) {
  std::vector<ResourceWeight> list;
  f.each("resources", [&](const Value& v, const std::string& path) {
    Fields r(v, path, f.errors());
    ResourceWeight w;
    r.text("name", w.name);
    r.integer("weight", w.weight);
    if (w.weight < 1 || w.weight > 100) r.error("weight", "resource weight must be in the range [1, 100]");
    list.push_back(std::move(w));
  });
  if (!list.empty()) out = std::move(list);
}

void readFit(Fields& f, PluginArgs& out) {
  f.texts("ignoredResources", out.ignoredResources);
  f.texts("ignoredResourceGroups", out.ignoredResourceGroups);
  const Value* v = f.get("scoringStrategy");
  if (v == nullptr) return;
  Fields s(*v, f.at("scoringStrategy"), f.errors());
  std::string type = "LeastAllocated";
  s.text("type", type);
  if (type == "MostAllocated") {
    out.strategy = ScoringStrategy::kMostAllocated;
  } else if (type == "RequestedToCapacityRatio") {
    out.strategy = ScoringStrategy::kRequestedToCapacityRatio;
  } else if (type != "LeastAllocated") {
    s.error("type",
            fmt::format("Unsupported value: \"{}\": supported values: \"LeastAllocated\", \"MostAllocated\", "
                        "\"RequestedToCapacityRatio\"",
                        type));
  }
  readResources(s, out.fitResources);
  if (const Value* ratio = s.get("requestedToCapacityRatio")) {
    Fields r(*ratio, s.at("requestedToCapacityRatio"), f.errors());
    readShape(r, out.shape);
  }
  if (out.strategy == ScoringStrategy::kRequestedToCapacityRatio && out.shape.empty()) {
    s.error("requestedToCapacityRatio.shape", "Required value: at least one point must be specified");
  }
}

void readSpread(Fields& f, PluginArgs& out) {
  std::string type = "System";
  f.text("defaultingType", type);
  out.systemDefaulting = type == "System";
  if (type != "System" && type != "List")
    f.error("defaultingType", fmt::format("Unsupported value: \"{}\"", type));
  f.each("defaultConstraints",
         [&](const Value& v, const std::string& path) { f.decode(v, out.defaultConstraints.add(), path); });
  if (out.systemDefaulting && !out.defaultConstraints.empty()) {
    f.error("defaultingType", "when .defaultingType is System, .defaultConstraints must be empty");
  }
  for (const auto& c : out.defaultConstraints) {
    if (c.labelSelector)
      f.error("defaultConstraints", "constraint must not define a selector, as they deduced for each pod");
  }
}

void readArgs(const std::string& plugin, Fields& f, PluginArgs& out) {
  std::string ignored;
  f.text("apiVersion", ignored);
  f.text("kind", ignored);
  if (plugin == "NodeResourcesFit") return readFit(f, out);
  if (plugin == "NodeResourcesBalancedAllocation") return readResources(f, out.balancedResources);
  if (plugin == "PodTopologySpread") return readSpread(f, out);
  if (plugin == "InterPodAffinity") {
    f.integer("hardPodAffinityWeight", out.hardPodAffinityWeight);
    f.boolean("ignorePreferredTermsOfExistingPods", out.ignorePreferredTermsOfExistingPods);
    if (out.hardPodAffinityWeight < 0 || out.hardPodAffinityWeight > 100)
      f.error("hardPodAffinityWeight", "not in valid range [0, 100]");
  } else if (plugin == "NodeAffinity") {
    if (const Value* v = f.get("addedAffinity"))
      f.decode(*v, out.addedAffinity.emplace(), f.at("addedAffinity"));
  } else if (plugin == "DefaultPreemption") {
    f.integer("minCandidateNodesPercentage", out.minCandidateNodesPercentage);
    f.integer("minCandidateNodesAbsolute", out.minCandidateNodesAbsolute);
    if (out.minCandidateNodesPercentage < 0 || out.minCandidateNodesPercentage > 100) {
      f.error("minCandidateNodesPercentage", "not in valid range [0, 100]");
    }
  } else if (plugin == "VolumeBinding") {
    f.integer("bindTimeoutSeconds", out.bindTimeoutSeconds);
    Shape unused;
    readShape(f, unused);  // for a score that is off by default
  } else {
    f.error("", fmt::format("plugin \"{}\" takes no arguments", plugin));
  }
}

// Plugins that are a part of the scheduler itself: they are always there.
bool isBuiltIn(std::string_view name) {
  return name == "PrioritySort" || name == "DefaultBinder" || name == "DefaultPreemption";
}

// One extension point of `plugins`.
struct Point {
  std::string_view name;
  uint32_t stages;  // 0: of what is built in
};
constexpr Point kPoints[] = {{"preEnqueue", Plugin::kPreEnqueue},
                             {"queueSort", 0},
                             {"preFilter", Plugin::kFilter},
                             {"filter", Plugin::kFilter},
                             {"postFilter", 0},
                             {"preScore", Plugin::kScore},
                             {"score", Plugin::kScore},
                             {"reserve", Plugin::kReserve},
                             {"permit", 0},
                             {"preBind", Plugin::kPreBind},
                             {"bind", 0},
                             {"postBind", 0}};

struct PluginSet {
  std::vector<PluginChoice> enabled;
  std::vector<std::string> disabled;
  bool disables(std::string_view name) const {
    return std::any_of(disabled.begin(), disabled.end(),
                       [&](const auto& d) { return d == name || d == "*"; });
  }
};

PluginSet readSet(Fields& plugins, std::string_view point) {
  PluginSet out;
  const Value* v = plugins.get(point);
  if (v == nullptr) return out;
  Fields set(*v, plugins.at(point), plugins.errors());
  set.each("enabled", [&](const Value& p, const std::string& path) {
    Fields f(p, path, plugins.errors());
    PluginChoice c;
    f.text("name", c.name);
    f.integer("weight", c.weight);
    if (!isPlugin(c.name) && !isBuiltIn(c.name))
      f.error("name", fmt::format("there is no plugin \"{}\"", c.name));
    out.enabled.push_back(std::move(c));
  });
  set.each("disabled", [&](const Value& p, const std::string& path) {
    Fields f(p, path, plugins.errors());
    std::string name;
    f.text("name", name);
    int64_t weight;
    f.integer("weight", weight);
    out.disabled.push_back(std::move(name));
  });
  return out;
}

PluginChoice* find(std::vector<PluginChoice>& list, std::string_view name) {
  auto it = std::find_if(list.begin(), list.end(), [&](const auto& c) { return c.name == name; });
  return it == list.end() ? nullptr : &*it;
}

void readPlugins(Fields& f, ProfileConfig& out) {
  PluginSet multi = readSet(f, "multiPoint");
  std::erase_if(out.plugins, [&](const PluginChoice& c) { return multi.disables(c.name); });
  if (multi.disables("DefaultPreemption")) out.preempts = false;
  for (const PluginChoice& c : multi.enabled) {
    if (c.name == "DefaultPreemption") out.preempts = true;
    if (isBuiltIn(c.name)) continue;
    PluginChoice* known = find(out.plugins, c.name);
    if (known == nullptr) known = &out.plugins.emplace_back(PluginChoice{c.name, 1});
    if (c.weight != 0) known->weight = c.weight;
  }
  for (const Point& point : kPoints) {
    PluginSet set = readSet(f, point.name);
    if (point.name == "postFilter") {
      if (set.disables("DefaultPreemption")) out.preempts = false;
      for (const PluginChoice& c : set.enabled) out.preempts = out.preempts || c.name == "DefaultPreemption";
    }
    if (point.stages == 0) continue;
    for (PluginChoice& c : out.plugins) {
      if (set.disables(c.name)) c.stages &= ~point.stages;
    }
    for (const PluginChoice& c : set.enabled) {
      if (isBuiltIn(c.name)) continue;
      PluginChoice* known = find(out.plugins, c.name);
      if (known == nullptr) known = &out.plugins.emplace_back(PluginChoice{c.name, 1, 0});
      known->stages |= point.stages;
      if (point.name == "score") known->weight = c.weight != 0 ? c.weight : std::max(known->weight, 1);
    }
  }
}

void readProfile(Fields& f, ProfileConfig& out) {
  f.text("schedulerName", out.schedulerName);
  f.integer("percentageOfNodesToScore", out.percentageOfNodesToScore);
  if (out.percentageOfNodesToScore < 0 || out.percentageOfNodesToScore > 100) {
    f.error("percentageOfNodesToScore", "not in valid range [0-100]");
  }
  if (const Value* v = f.get("plugins")) {
    Fields plugins(*v, f.at("plugins"), f.errors());
    readPlugins(plugins, out);
  }
  std::set<std::string> seen;
  f.each("pluginConfig", [&](const Value& v, const std::string& path) {
    Fields c(v, path, f.errors());
    std::string name;
    c.text("name", name);
    if (!seen.insert(name).second) c.error("name", fmt::format("Duplicate value: \"{}\"", name));
    const Value* args = c.get("args");
    if (args == nullptr) return;
    Fields a(*args, c.at("args"), f.errors());
    readArgs(name, a, out.args);
  });
}

void readElection(Fields& f, Config& out) {
  const Value* v = f.get("leaderElection");
  if (v == nullptr) return;
  Fields e(*v, "leaderElection", f.errors());
  bool elect = true;
  e.boolean("leaderElect", elect);
  out.leaderElect = elect;
  e.seconds("leaseDuration", out.leaseDuration);
  e.seconds("renewDeadline", out.renewDeadline);
  e.seconds("retryPeriod", out.retryPeriod);
  e.text("resourceName", out.leaseName);
  e.text("resourceNamespace", out.leaseNamespace);
  std::string lock = "leases";
  e.text("resourceLock", lock);
  if (lock != "leases") e.error("resourceLock", "Invalid value: must be leases");
}

void readAll(Fields& f, Config& out) {
  std::string apiVersion, kind;
  f.text("apiVersion", apiVersion);
  f.text("kind", kind);
  if (apiVersion != "kubescheduler.config.k8s.io/v1" || kind != "KubeSchedulerConfiguration") {
    f.error("", fmt::format("no kind \"{}\" is registered for version \"{}\"", kind, apiVersion));
  }
  int64_t parallelism, initial = 1, max = 10;
  int percentage = 0;
  bool ignored;
  f.integer("parallelism", parallelism);
  f.integer("percentageOfNodesToScore", percentage);
  f.integer("podInitialBackoffSeconds", initial);
  f.integer("podMaxBackoffSeconds", max);
  f.boolean("delayCacheUntilActive", ignored);
  f.boolean("enableProfiling", ignored);
  f.boolean("enableContentionProfiling", ignored);
  if (percentage < 0 || percentage > 100) f.error("percentageOfNodesToScore", "not in valid range [0-100]");
  if (initial <= 0) f.error("podInitialBackoffSeconds", "must be greater than 0");
  if (max < initial)
    f.error("podMaxBackoffSeconds", "must be greater than or equal to PodInitialBackoffSeconds");
  out.backoff = {std::chrono::seconds(initial), std::chrono::seconds(max)};
  if (const Value* v = f.get("clientConnection")) {
    Fields c(*v, "clientConnection", f.errors());
    c.text("kubeconfig", out.kubeconfig);
    for (const char* name : {"acceptContentTypes", "contentType", "qps", "burst"}) c.get(name);
  }
  readElection(f, out);
  if (const Value* v = f.get("extenders"); v != nullptr && v->size() > 0)
    f.error("extenders", "extenders are not supported");
  out.profiles.clear();
  f.each("profiles", [&](const Value& v, const std::string& path) {
    Fields p(v, path, f.errors());
    ProfileConfig profile;
    profile.percentageOfNodesToScore = percentage;
    readProfile(p, profile);
    for (const auto& other : out.profiles) {
      if (other.schedulerName == profile.schedulerName)
        p.error("schedulerName", fmt::format("Duplicate value: \"{}\"", profile.schedulerName));
    }
    out.profiles.push_back(std::move(profile));
  });
  if (out.profiles.empty()) {
    out.profiles.emplace_back();
    out.profiles[0].percentageOfNodesToScore = percentage;
  }
}

}  // namespace

Result<Config> parseConfig(std::string_view text) {
  std::vector<std::string> errors;
  KM_ASSIGN(Value document, codec::parseYaml(text, &errors));
  Config out;
  {
    Fields f(document, "", errors);
    readAll(f, out);
  }
  if (!errors.empty())
    return errors::badRequest(fmt::format("strict decoding error: {}", fmt::join(errors, ", ")));
  return out;
}

}  // namespace km::scheduler
