#include "apiserver/request_metrics.h"

#include <array>
#include <unordered_map>

#include "base/fnv.h"
#include "base/metrics.h"

namespace km::apiserver {
namespace {

constexpr std::array<double, 23> kSeconds = {0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60};

MetricVec<Counter>& total() {
  static auto& family = MetricRegistry::process().counter(
      "apiserver_request_total",
      "[STABLE] Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP "
      "response code.",
      {"verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component", "code", "system_client"});
  return family;
}

MetricVec<Histogram>& duration() {
  static auto& family = MetricRegistry::process().histogram(
      "apiserver_request_duration_seconds",
      "[STABLE] Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and "
      "component.",
      {"verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component"}, kSeconds);
  return family;
}

Gauge& inFlight(bool mutating) {
  static auto& family = MetricRegistry::process().gauge(
      "apiserver_current_inflight_requests",
      "[STABLE] Maximal number of currently used inflight request limit of this apiserver per request kind in last second.", {"request_kind"});
  static Gauge &reads = family.with({"readOnly"}), &writes = family.with({"mutating"});
  return mutating ? writes : reads;
}

MetricVec<Gauge>& longRunning() {
  static auto& family = MetricRegistry::process().gauge(
      "apiserver_longrunning_requests",
      "[STABLE] Gauge of all active long-running apiserver requests broken out by verb, group, version, resource, scope and component. Not "
      "all requests are tracked this way.",
      {"verb", "group", "version", "resource", "subresource", "scope", "component"});
  return family;
}

// As upstream names verbs here.
std::string_view shownVerb(const RequestInfo& info, bool apply) {
  if (!info.isResource) {
    if (info.verb == "get") return "GET";
    return info.verb == "post" ? "POST" : info.verb == "put" ? "PUT" : info.verb == "delete" ? "DELETE" : info.verb == "patch" ? "PATCH" : "OTHER";
  }
  constexpr std::pair<std::string_view, std::string_view> kVerbs[] = {
      {"get", "GET"},       {"list", "LIST"},   {"watch", "WATCH"},   {"create", "POST"},
      {"update", "PUT"},    {"delete", "DELETE"}, {"deletecollection", "DELETECOLLECTION"}, {"proxy", "CONNECT"},
  };
  std::string_view sub = info.subresource;
  if (sub == "exec" || sub == "attach" || sub == "portforward" || sub == "proxy") return "CONNECT";
  if (info.verb == "patch") return apply ? "APPLY" : "PATCH";
  for (auto [verb, shown] : kVerbs) {
    if (verb == info.verb) return shown;
  }
  return "OTHER";
}

std::string_view scopeOf(const RequestInfo& info) {
  if (!info.isResource) return "";
  if (!info.name.empty()) return "resource";
  return info.ns.empty() ? "cluster" : "namespace";
}

struct Handles {
  Counter* total;
  Histogram* duration;
};

// Found by a hash of all labels: a look-up by the labels themselves would cost more than the rest.
const Handles& handlesOf(const RequestInfo& info, std::string_view verb, bool dryRun, int code) {
  thread_local std::unordered_map<uint64_t, Handles> known;
  std::string_view scope = scopeOf(info);
  uint64_t key = fnv1a64(verb);
  for (std::string_view part : {std::string_view(info.resource), std::string_view(info.subresource), std::string_view(info.version),
                                std::string_view(info.group), scope}) {
    key = fnv1a64(part, fnv1a64("/", key));
  }
  key = (key * 2 + (dryRun ? 1 : 0)) * 1000 + static_cast<uint64_t>(code);
  auto [it, fresh] = known.try_emplace(key);
  if (fresh) {
    std::string_view dry = dryRun ? "All" : "";
    it->second.total = &total().with(
        {verb, dry, info.group, info.version, info.resource, info.subresource, scope, "apiserver", std::to_string(code), ""});
    it->second.duration = &duration().with({verb, dry, info.group, info.version, info.resource, info.subresource, scope, "apiserver"});
  }
  return it->second;
}

bool isMutating(std::string_view verb) {
  return verb == "create" || verb == "update" || verb == "patch" || verb == "delete" || verb == "deletecollection" || verb == "post" || verb == "put";
}

}  // namespace

void RequestMetrics::begin(const RequestInfo& info, bool isLongRunning, bool apply) {
  verb_ = shownVerb(info, apply);
  if (isLongRunning) {
    underWay_ = &longRunning().with({verb_, info.group, info.version, info.resource, info.subresource, scopeOf(info), "apiserver"});
  } else {
    underWay_ = &inFlight(isMutating(info.verb));
  }
  underWay_->inc();
}

RequestMetrics::~RequestMetrics() {
  if (underWay_ != nullptr) underWay_->dec();
}

void RequestMetrics::end(const RequestInfo& info, bool dryRun, int code, Duration took) const {
  if (underWay_ == nullptr) return;
  const Handles& h = handlesOf(info, verb_, dryRun, code);
  h.total->inc();
  h.duration->observe(std::chrono::duration<double>(took).count());
}

}  // namespace km::apiserver
