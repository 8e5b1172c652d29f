#include "apiserver/request_metrics.h"

#include <string>
#include <unordered_map>

#include "base/metrics.h"
#include "base/strings.h"

namespace km::apiserver {
namespace {

constexpr double kSeconds[] = {0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60};

// As upstream names verbs here: by the method where one verb has one.
std::string_view verbLabel(std::string_view verb) {
  constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"get", "GET"},       {"list", "LIST"},     {"watch", "WATCH"},   {"create", "POST"},
      {"update", "PUT"},    {"patch", "PATCH"},   {"apply", "APPLY"},   {"delete", "DELETE"}, {"deletecollection", "DELETECOLLECTION"},
      {"proxy", "CONNECT"}, {"connect", "CONNECT"}};
  for (const auto& [name, label] : kNames) {
    if (name == verb) return label;
  }
  return "other";
}

std::string_view scopeOf(const RequestInfo& i) {
  if (!i.name.empty() || i.verb == "create") return "resource";
  return i.ns.empty() ? "cluster" : "namespace";
}

struct Handles {
  Counter* total;
  Histogram* seconds;
};

Handles lookUp(const RequestInfo& i, std::string_view code, bool dryRun) {
  static auto& totals = MetricRegistry::process().counter(
      "apiserver_request_total", "[STABLE] Requests that were answered, by what they asked for and the code of the answer.",
      {"code", "component", "dry_run", "group", "resource", "scope", "subresource", "verb", "version"});
  static auto& durations = MetricRegistry::process().histogram(
      "apiserver_request_duration_seconds", "[STABLE] Time from a request's head to its answer, by what it asked for; of a watch to its end.",
      {"component", "dry_run", "group", "resource", "scope", "subresource", "verb", "version"}, kSeconds);
  std::string_view dry = dryRun ? "All" : "", scope = scopeOf(i), verb = verbLabel(i.verb);
  return {&totals.with({code, "apiserver", dry, i.group, i.resource, scope, i.subresource, verb, i.version}),
          &durations.with({"apiserver", dry, i.group, i.resource, scope, i.subresource, verb, i.version})};
}

}  // namespace

void countRequest(const RequestInfo& i, int code, bool dryRun, Duration took) {
  // Found once by each thread: looking up goes through a lock.
  thread_local std::unordered_map<std::string, Handles> known;
  thread_local std::string key;
  std::string digits = std::to_string(code);
  key.clear();
  for (std::string_view part : {std::string_view(i.verb), std::string_view(i.group), std::string_view(i.version), std::string_view(i.resource),
                                std::string_view(i.subresource), scopeOf(i), std::string_view(digits)}) {
    key += part;
    key += '\n';
  }
  if (dryRun) key += 'd';
  auto it = known.find(key);
  if (it == known.end()) it = known.emplace(key, lookUp(i, digits, dryRun)).first;
  it->second.total->inc();
  it->second.seconds->observe(std::chrono::duration<double>(took).count());
}

void countLocalCall(std::string_view verb, std::string_view group, std::string_view resource) {
  static auto& calls = MetricRegistry::process().counter("km_local_calls_total", "Calls to the API by parts of the API server's own process.",
                                                         {"group", "resource", "verb"});
  calls.with({group, resource, verb}).inc();
}

}  // namespace km::apiserver
