#include "controllers/endpoints/common.h"

#include <arpa/inet.h>

#include <algorithm>
#include <set>

#include "api/selector.h"
#include "codec/ops.h"

namespace km::controllers::endpoints {
namespace {

bool matches(const Service& s, const ObjectMeta& pod) {
  if (s.spec.selector.empty()) return false;
  for (const auto& [key, value] : s.spec.selector) {
    const codec::String* v = pod.labels.find(key);
    if (v == nullptr || *v != value) return false;
  }
  return true;
}

// What endpoints show of a pod.
bool shownChanged(const Pod& a, const Pod& b) {
  return a.metadata.deletionTimestamp.has_value() != b.metadata.deletionTimestamp.has_value() ||
         isPodReady(a) != isPodReady(b) || isPodTerminal(a) != isPodTerminal(b) || a.status.podIP != b.status.podIP ||
         !(a.status.podIPs == b.status.podIPs) || a.spec.nodeName != b.spec.nodeName ||
         a.spec.hostname != b.spec.hostname || a.spec.subdomain != b.spec.subdomain;
}

}  // namespace

bool isHeadless(const Service& s) { return s.spec.clusterIP.empty() || s.spec.clusterIP == "None"; }

bool belongsInEndpoints(const Pod& pod, bool includeTerminating) {
  if (isPodTerminal(pod)) return false;
  if (pod.status.podIP.empty() && pod.status.podIPs.empty()) return false;
  return includeTerminating || !pod.metadata.deletionTimestamp;
}

bool shouldSetHostname(const Pod& pod, const Service& s) {
  return !pod.spec.hostname.empty() && pod.spec.subdomain == s.metadata.name &&
         pod.metadata.namespace_ == s.metadata.namespace_;
}

std::optional<int32_t> findPort(const Pod& pod, const api::core_v1::ServicePort& port) {
  if (!port.targetPort.isString) return port.targetPort.number;
  auto look = [&](const api::core_v1::Container& c) -> std::optional<int32_t> {
    for (const auto& p : c.ports) {
      if (p.name == port.targetPort.text && p.protocol == port.protocol) return p.containerPort;
    }
    return std::nullopt;
  };
  for (const auto& c : pod.spec.containers) {
    if (auto n = look(c)) return n;
  }
  for (const auto& c : pod.spec.initContainers) {
    if (!c.restartPolicy || *c.restartPolicy != "Always") continue;
    if (auto n = look(c)) return n;
  }
  return std::nullopt;
}

std::vector<PodPtr> podsOfService(const client::Lister<Pod>& pods, const Service& s) {
  auto out = pods.list(s.metadata.namespace_, api::LabelSelector::ofSet(s.spec.selector));
  std::sort(out.begin(), out.end(), [](const PodPtr& a, const PodPtr& b) { return a->metadata.name < b->metadata.name; });
  return out;
}

std::optional<Address> parseAddress(std::string_view text) {
  std::string t(text);
  char bytes[16], out[INET6_ADDRSTRLEN];
  for (int family : {AF_INET, AF_INET6}) {
    if (inet_pton(family, t.c_str(), bytes) != 1) continue;
    inet_ntop(family, bytes, out, sizeof out);
    return Address{out, family == AF_INET6};
  }
  return std::nullopt;
}

codec::Time TriggerTimes::compute(const Service& s, const std::vector<PodPtr>& pods) {
  std::lock_guard lock(mutex_);
  Seen next;
  Seen& seen = seen_[keyOf(s.metadata)];
  codec::Time earliest;
  auto note = [&](codec::Time t) {
    if (!t.isZero() && (earliest.isZero() || t.seconds < earliest.seconds)) earliest = t;
  };
  next.service = s.metadata.creationTimestamp;
  if (next.service != seen.service) note(next.service);
  for (const PodPtr& p : pods) {
    const auto* c = findPodCondition(*p, "Ready");
    if (c == nullptr || c->lastTransitionTime.isZero()) continue;
    std::string name = p->metadata.name.str();
    next.pods[name] = c->lastTransitionTime;
    auto old = seen.pods.find(name);
    if (old == seen.pods.end() || old->second != c->lastTransitionTime) note(c->lastTransitionTime);
  }
  seen = std::move(next);
  return earliest;
}

void TriggerTimes::forget(const std::string& key) {
  std::lock_guard lock(mutex_);
  seen_.erase(key);
}

client::Handler podHandler(client::Lister<Service> services, std::function<void(const std::string& key)> touch) {
  auto one = [services, touch](const ObjectMeta& pod) {
    for (const ServicePtr& s : services.list(pod.namespace_)) {
      if (matches(*s, pod)) touch(keyOf(s->metadata));
    }
  };
  auto update = [services, touch](const ObjectPtr& a, const ObjectPtr& b) {
    const Pod &before = a->as<Pod>(), &now = b->as<Pod>();
    bool shown = shownChanged(before, now), labels = before.metadata.labels != now.metadata.labels;
    if (!shown && !labels) return;
    for (const ServicePtr& s : services.list(now.metadata.namespace_)) {
      bool was = matches(*s, before.metadata), is = matches(*s, now.metadata);
      if (was != is || (is && shown)) touch(keyOf(s->metadata));
    }
  };
  return {[one](const ObjectPtr& o, bool) { one(o->meta()); }, update,
          [one](const ObjectPtr& o, bool) { one(o->meta()); }};
}

}  // namespace km::controllers::endpoints
