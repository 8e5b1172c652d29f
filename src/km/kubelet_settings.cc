#include "km/kubelet_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/duration.h"
#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "codec/json.h"

namespace km {
namespace {

using codec::Value;

struct Range {
  std::string_view path;
  int64_t least, most;
  std::string_view text;  // after the value
  bool zeroIsFine = false;
};

constexpr int64_t kAny = INT64_MAX;
constexpr Range kRanges[] = {
    {"eventBurst", 0, kAny, "must not be a negative number"},
    {"eventRecordQPS", 0, kAny, "must not be a negative number"},
    {"healthzPort", 1, 65535, "must be between 1 and 65535, inclusive", true},
    {"imageGCHighThresholdPercent", 0, 100, "must be between 0 and 100, inclusive"},
    {"imageGCLowThresholdPercent", 0, 100, "must be between 0 and 100, inclusive"},
    {"iptablesDropBit", 0, 31, "must be between 0 and 31, inclusive"},
    {"iptablesMasqueradeBit", 0, 31, "must be between 0 and 31, inclusive"},
    {"kubeAPIBurst", 0, kAny, "must not be a negative number"},
    {"kubeAPIQPS", 0, kAny, "must not be a negative number"},
    {"nodeStatusMaxImages", -1, kAny, "must be -1 or greater"},
    {"maxOpenFiles", 0, kAny, "must not be a negative number"},
    {"maxPods", 0, kAny, "must not be a negative number"},
    {"oomScoreAdj", -1000, 1000, "must be between -1000 and 1000, inclusive"},
    {"podsPerCore", 0, kAny, "must not be a negative number"},
    {"port", 1, 65535, "must be between 1 and 65535, inclusive"},
    {"readOnlyPort", 1, 65535, "must be between 0 and 65535, inclusive", true},
    {"registryBurst", 0, kAny, "must not be a negative number"},
    {"registryPullQPS", 0, kAny, "must not be a negative number"},
};

struct Choice {
  std::string_view path;
  std::vector<std::string_view> values;
  std::string_view text;  // {0}: the value
};

const std::vector<Choice>& choices() {
  static const std::vector<Choice> all = {
      {"topologyManagerPolicy", {"none", "best-effort", "restricted", "single-numa-node"},
       R"(topologyManagerPolicy (--topology-manager-policy) "{}" must be one of: ["none" "best-effort" "restricted" "single-numa-node"])"},
      {"topologyManagerScope", {"container", "pod"}, R"(topologyManagerScope (--topology-manager-scope) "{}" must be one of: "container", or "pod")"},
      {"hairpinMode", {"none", "hairpin-veth", "promiscuous-bridge"},
       R"(option "{}" specified for hairpinMode (--hairpin-mode). Valid options are "none", "hairpin-veth" or "promiscuous-bridge")"},
      {"memorySwap.swapBehavior", {"", "NoSwap", "LimitedSwap"}, R"(memorySwap.swapBehavior "{}" must be one of: "", "LimitedSwap" or "NoSwap")"},
  };
  return all;
}

const ConfigField& fieldOf(std::string_view path) { return *kKubeletConfig.find(path); }

std::string named(std::string_view path) {
  std::string_view flag = fieldOf(path).flag;
  return flag.empty() ? std::string(path) : fmt::format("{} (--{})", path, flag);
}

void checkEnforcement(const ComponentConfig& c, std::vector<std::string>& errors) {
  std::set<std::string> seen;
  auto all = c.texts("enforceNodeAllocatable");
  for (const std::string& v : all) {
    if (!seen.insert(v).second) {
      errors.push_back(fmt::format("duplicated enforcements \"{}\" in enforceNodeAllocatable (--enforce-node-allocatable)", v));
      continue;
    }
    bool system = v.starts_with("system-reserved"), kube = v.starts_with("kube-reserved");
    if (v == "none") {
      if (all.size() > 1) errors.push_back("enforceNodeAllocatable (--enforce-node-allocatable) may not contain additional enforcements when \"none\" is specified");
      continue;
    }
    if (v != "pods" && !system && !kube) {
      errors.push_back(fmt::format("option \"{}\" specified for enforceNodeAllocatable (--enforce-node-allocatable). Valid options are \"pods\", \"system-reserved\", "
                                   "\"system-reserved-compressible\", \"kube-reserved\", \"kube-reserved-compressible\" or \"none\"", v));
      continue;
    }
    std::string part = system ? "system" : "kube";
    if ((system || kube) && c.text(part + "ReservedCgroup").empty()) {
      errors.push_back(fmt::format("{0}ReservedCgroup (--{0}-reserved-cgroup) must be specified when \"{0}-reserved\" or \"{0}-reserved-compressible\" included in "
                                   "enforceNodeAllocatable (--enforce-node-allocatable)", part));
    }
    if (!c.boolean("cgroupsPerQOS")) {
      errors.push_back(fmt::format("cgroupsPerQOS (--cgroups-per-qos) must be set to true when \"{}\" contained in enforceNodeAllocatable (--enforce-node-allocatable)", v));
    }
  }
}

void checkPaths(const ComponentConfig& c, std::vector<std::string>& errors) {
  if (c.text("containerRuntimeEndpoint").empty()) errors.push_back("the containerRuntimeEndpoint was not specified or empty");
  std::string logs = c.text("podLogsDir");
  if (!logs.starts_with('/')) errors.push_back(fmt::format("pod logs path \"{}\" must be absolute path", logs));
  bool clean = logs == "/" || (!logs.ends_with('/') && logs.find("//") == std::string::npos && (logs + "/").find("/./") == std::string::npos &&
                               (logs + "/").find("/../") == std::string::npos);
  if (!clean) errors.push_back(fmt::format("pod logs path \"{}\" must be normalized", logs));
  if (std::any_of(logs.begin(), logs.end(), [](char ch) { return static_cast<unsigned char>(ch) > 127; })) {
    errors.push_back(fmt::format("pod logs path \"{}\" mut contains ASCII characters only", logs));
  }
}

void checkTimes(const ComponentConfig& c, std::vector<std::string>& errors) {
  Duration all = c.duration("shutdownGracePeriod"), critical = c.duration("shutdownGracePeriodCriticalPods");
  auto words = [](Duration d) { return formatDuration(d); };
  if (critical > all) errors.push_back(fmt::format("shutdownGracePeriodCriticalPods {{{}}} must be <= shutdownGracePeriod {{{}}}", words(critical), words(all)));
  for (auto [name, d] : {std::pair("shutdownGracePeriod", all), std::pair("shutdownGracePeriodCriticalPods", critical)}) {
    if (d < Duration(0) || (d > Duration(0) && d < std::chrono::seconds(1))) errors.push_back(fmt::format("{} {{{}}} must be either zero or otherwise >= 1 sec", name, words(d)));
  }
  Duration least = c.duration("imageMinimumGCAge"), most = c.duration("imageMaximumGCAge");
  if (least < Duration(0)) errors.push_back(fmt::format("imageMinimumGCAge {} must not be negative", words(least)));
  if (most < Duration(0)) errors.push_back(fmt::format("imageMaximumGCAge {} must not be negative", words(most)));
  if (most > Duration(0) && most <= least) errors.push_back(fmt::format("imageMaximumGCAge {} must be greater than imageMinimumGCAge {}", words(most), words(least)));
  if (c.duration("containerLogMonitorInterval") < std::chrono::seconds(3)) {
    errors.push_back("containerLogMonitorInterval must be a positive time duration greater than or equal to 3s");
  }
}

Result<std::vector<api::core_v1::Taint>> taintsOf(const ComponentConfig& c) {
  std::vector<api::core_v1::Taint> out;
  const Value* v = c.value("registerWithTaints");
  if (v == nullptr) return out;
  if (v->isString()) {  // --register-with-taints=key=value:effect,...
    for (std::string_view one : split(v->asString(), ',')) {
      if (one.empty()) continue;
      auto halves = cut(one, ':');
      if (!halves) return errors::badRequest(fmt::format("invalid taint spec: {}", one));
      api::core_v1::Taint t;
      auto pair = cut(halves->first, '=');
      t.key = pair ? pair->first : halves->first;
      if (pair) t.value = pair->second;
      t.effect = halves->second;
      out.push_back(std::move(t));
    }
  }
  for (const Value& item : v->items()) {
    api::core_v1::Taint t;
    if (Status s = codec::decodeJson(item.json(), &t, api::core_v1::Taint::kType, nullptr); !s.ok()) return s;
    out.push_back(std::move(t));
  }
  return out;
}

void checkTaints(const ComponentConfig& c, std::vector<std::string>& errors) {
  auto taints = taintsOf(c);
  if (!taints.ok()) return errors.push_back(taints.status().message());
  for (const auto& t : *taints) {
    std::string_view e = t.effect;
    if (t.key.view().empty() || (e != "NoSchedule" && e != "PreferNoSchedule" && e != "NoExecute")) {
      errors.push_back(fmt::format("invalid taint: {{{} {} {} <nil>}}", t.key.view(), t.value.view(), e));
    }
    if (t.timeAdded) errors.push_back("taint.TimeAdded is not nil");
  }
}

}  // namespace

Status validateKubeletConfig(const ComponentConfig& c) {
  std::vector<std::string> errors;
  if (c.integer("nodeLeaseDurationSeconds") <= 0) errors.push_back("nodeLeaseDurationSeconds must be greater than 0");
  if (!c.text("systemCgroups").empty() && c.text("cgroupRoot").empty()) {
    errors.push_back("systemCgroups (--system-cgroups) was specified and cgroupRoot (--cgroup-root) was not specified");
  }
  for (const Range& r : kRanges) {
    int64_t v = c.integer(r.path);
    if ((r.zeroIsFine && v == 0) || (v >= r.least && v <= r.most)) continue;
    errors.push_back(fmt::format("{} {} {}", named(r.path), v, r.text));
  }
  int64_t low = c.integer("imageGCLowThresholdPercent"), high = c.integer("imageGCHighThresholdPercent");
  if (low >= high) {
    errors.push_back(fmt::format("{} {} must be less than {} {}", named("imageGCLowThresholdPercent"), low, named("imageGCHighThresholdPercent"), high));
  }
  if (const Value* v = c.value("maxParallelImagePulls")) {
    if (v->asInt() < 1) errors.push_back(fmt::format("maxParallelImagePulls {} must be a positive number", v->asInt()));
    if (c.boolean("serializeImagePulls") && v->asInt() > 1) {
      errors.push_back("maxParallelImagePulls cannot be larger than 1 unless SerializeImagePulls (--serialize-image-pulls) is set to false");
    }
  }
  if (c.boolean("runOnce")) errors.push_back("runOnce (--runOnce) true, Runonce mode has been deprecated and should not be set");
  checkTaints(c, errors);
  for (const Choice& choice : choices()) {
    std::string v = c.text(choice.path);
    if (std::find(choice.values.begin(), choice.values.end(), v) == choice.values.end()) errors.push_back(fmt::format(fmt::runtime(choice.text), v));
  }
  checkTimes(c, errors);
  checkEnforcement(c, errors);
  checkPaths(c, errors);
  if (c.integer("containerLogMaxWorkers") < 1) errors.push_back("containerLogMaxWorkers must be greater than or equal to 1");
  if (c.integer("containerLogMaxFiles") <= 1) errors.push_back("containerLogMaxFiles must be greater than 1");
  if (errors.empty()) return {};
  for (std::string& e : errors) {
    if (!e.starts_with("invalid taint")) e = "invalid configuration: " + e;
  }
  return errors::badRequest("failed to validate kubelet configuration, error: " + aggregate(errors));
}

Status applyKubeletConfig(const ComponentConfig& c, kubelet::Options& o) {
  o.podLogsDir = c.text("podLogsDir");
  o.bindAddress = c.text("address");
  o.port = c.boolean("enableServer") ? static_cast<int>(c.integer("port")) : -1;
  o.tlsCertFile = c.text("tlsCertFile");
  o.tlsPrivateKeyFile = c.text("tlsPrivateKeyFile");
  o.tlsMinVersion = c.text("tlsMinVersion");
  o.tlsCipherSuites = c.texts("tlsCipherSuites");
  o.clientCaFile = c.text("authentication.x509.clientCAFile");
  o.webhookAuth = c.boolean("authentication.webhook.enabled");
  o.anonymousAuth = c.boolean("authentication.anonymous.enabled");
  std::string mode = c.text("authorization.mode");
  if (mode != "Webhook" && mode != "AlwaysAllow") return errors::badRequest(fmt::format("unknown authorization mode {}", mode));
  o.alwaysAllow = mode == "AlwaysAllow";
  if (o.alwaysAllow) KM_LOG(WARNING, "authorization mode AlwaysAllow: whoever is known to the kubelet's port may do everything", 0);
  o.debuggingHandlers = c.boolean("enableDebuggingHandlers");
  o.clusterDomain = c.text("clusterDomain");
  o.clusterDns = c.texts("clusterDNS");
  o.resolvConf = c.text("resolvConf");
  o.cgroupDriver = c.text("cgroupDriver");
  if (o.cgroupDriver != "cgroupfs" && o.cgroupDriver != "systemd") {
    return errors::badRequest(fmt::format("unrecognized cgroup driver provided: {}", o.cgroupDriver));
  }
  o.maxPods = static_cast<int>(c.integer("maxPods"));
  o.registerNode = c.boolean("registerNode");
  KM_ASSIGN(o.nodeTaints, taintsOf(c));
  o.providerId = c.text("providerID");
  o.statusUpdate = c.duration("nodeStatusUpdateFrequency");
  o.statusReport = c.duration("nodeStatusReportFrequency");
  o.leaseSeconds = static_cast<int>(c.integer("nodeLeaseDurationSeconds"));
  o.maxImages = static_cast<int>(c.integer("nodeStatusMaxImages"));
  o.configz = c.configz("kubeletconfig");
  return {};
}

std::string kubeletConfigz(const kubelet::Options& o, const std::string& runtimeEndpoint) {
  ComponentConfig c(kKubeletConfig);
  c.set("address", Value::string(o.bindAddress));
  c.set("port", Value::integer(o.port));
  c.set("clusterDomain", Value::string(o.clusterDomain));
  Value dns = Value::list();
  for (const std::string& s : o.clusterDns) dns.push(Value::string(s));
  c.set("clusterDNS", std::move(dns));
  c.set("cgroupDriver", Value::string(o.cgroupDriver));
  c.set("maxPods", Value::integer(o.maxPods));
  c.set("resolvConf", Value::string(o.resolvConf));
  c.set("podLogsDir", Value::string(o.podLogsDir));
  c.set("authentication.x509.clientCAFile", Value::string(o.clientCaFile));
  c.set("tlsCertFile", Value::string(o.tlsCertFile));
  c.set("tlsPrivateKeyFile", Value::string(o.tlsPrivateKeyFile));
  c.set("containerRuntimeEndpoint", Value::string("unix://" + runtimeEndpoint));
  return c.configz("kubeletconfig");
}

bool swapIsOn() {
  auto text = readFile("/proc/swaps");
  if (!text.ok()) return false;
  return split(trimSpace(*text), '\n').size() > 1;
}

}  // namespace km
