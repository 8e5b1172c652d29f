#include "controllers/endpoints/slice_core.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/fnv.h"
#include "codec/json.h"
#include "codec/ops.h"
#include "controllers/pod_control.h"

namespace km::controllers::endpoints {
namespace {

using Ports = codec::List<api::discovery_v1::EndpointPort>;

// Endpoints of one set of ports, by what identifies each.
using EndpointSet = std::map<std::string, Endpoint>;

struct Group {
  Ports ports;
  EndpointSet wanted;
};

std::string endpointKey(const Endpoint& e) {
  std::vector<std::string> addresses;
  for (const auto& a : e.addresses) addresses.push_back(a.str());
  std::sort(addresses.begin(), addresses.end());
  std::string out;
  for (const auto& a : addresses) out += a + ",";
  out += "|" + (e.hostname ? e.hostname->str() : "");
  if (e.targetRef) out += "|" + e.targetRef->namespace_.str() + "/" + e.targetRef->name.str();
  return out;
}

// Ports of a slice stand in the order of these hashes, which upstream takes of the port as its debug printer writes it.
unsigned __int128 orderOf(const api::discovery_v1::EndpointPort& p) {
  std::string text = "(v1.EndpointPort){Name:(*string)" + (p.name ? p.name->str() : "<nil>");
  text += " Protocol:(*v1.Protocol)" + (p.protocol ? p.protocol->str() : "<nil>");
  text += " Port:(*int32)" + (p.port ? std::to_string(*p.port) : "<nil>");
  text += " AppProtocol:(*string)" + (p.appProtocol ? p.appProtocol->str() : "<nil>") + "}";
  return fnv1a128(text);
}

Ports portsOf(const Service& s, const Pod& pod) {
  Ports out;
  for (const auto& p : s.spec.ports) {
    auto number = findPort(pod, p);
    if (!number) continue;
    auto& port = out.add();
    port.name = p.name;
    port.port = *number;
    port.protocol = p.protocol;
    port.appProtocol = p.appProtocol;
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return orderOf(a) < orderOf(b); });
  return out;
}

Endpoint endpointOf(const Pod& pod, const api::core_v1::Node* node, const Service& s, bool v6) {
  Endpoint e;
  bool serving = isPodReady(pod), terminating = pod.metadata.deletionTimestamp.has_value();
  for (const auto& ip : pod.status.podIPs) {
    auto a = parseAddress(ip.ip);
    if (a && a->v6 == v6) e.addresses.push_back(a->text);
  }
  e.conditions.ready = s.spec.publishNotReadyAddresses || (serving && !terminating);
  e.conditions.serving = serving;
  e.conditions.terminating = terminating;
  auto& ref = e.targetRef.emplace();
  ref.kind = "Pod";
  ref.namespace_ = pod.metadata.namespace_;
  ref.name = pod.metadata.name;
  ref.uid = pod.metadata.uid;
  if (!pod.spec.nodeName.empty()) e.nodeName = pod.spec.nodeName;
  if (node != nullptr) {
    const codec::String* zone = node->metadata.labels.find("topology.kubernetes.io/zone");
    if (zone != nullptr && !zone->empty()) e.zone = *zone;
  }
  if (shouldSetHostname(pod, s)) e.hostname = pod.spec.hostname;
  return e;
}

bool isReserved(std::string_view label) {
  return label == kServiceNameLabel || label == kManagedByLabel || label == kHeadlessLabel;
}

codec::Map<codec::String> labelsOf(const Service& s) {
  codec::Map<codec::String> out;
  for (const auto& [key, value] : s.metadata.labels) {
    if (!isReserved(key)) out[key] = value;
  }
  if (isHeadless(s)) out[kHeadlessLabel] = "";
  out[kServiceNameLabel] = s.metadata.name;
  out[kManagedByLabel] = kSliceController;
  return out;
}

// Compares without the reserved labels.
bool labelsChanged(const EndpointSlice& slice, const Service& s) {
  auto plain = [](const codec::Map<codec::String>& labels) {
    codec::Map<codec::String> out;
    for (const auto& [key, value] : labels) {
      if (!isReserved(key)) out[key] = value;
    }
    return out;
  };
  return !(plain(slice.metadata.labels) == plain(s.metadata.labels));
}

EndpointSlice newSlice(const Service& s, const Ports& ports, std::string_view addressType) {
  EndpointSlice out;
  out.metadata.generateName = podNamePrefix(s.metadata.name);
  out.metadata.namespace_ = s.metadata.namespace_;
  out.metadata.ownerReferences.push_back(makeControllerRef(Service::kType, s.metadata));
  out.metadata.labels = labelsOf(s);
  out.addressType = addressType;
  out.ports = ports;
  return out;
}

bool isOwnedBy(const EndpointSlice& slice, const Service& s) {
  for (const auto& r : slice.metadata.ownerReferences) {
    if (r.uid == s.metadata.uid && r.kind == "Service" && r.apiVersion == "v1") return true;
  }
  return false;
}

std::set<std::string> addressTypes(const Service& s) {
  std::set<std::string> out;
  for (const auto& f : s.spec.ipFamilies) out.insert(f.str());
  if (!out.empty()) return out;
  if (!isHeadless(s)) return {s.spec.clusterIP.view().find(':') != std::string_view::npos ? "IPv6" : "IPv4"};
  return {"IPv4", "IPv6"};
}

class Reconciler {
 public:
  Reconciler(const Service& s, size_t most, SliceChanges& out) : service_(s), most_(most), out_(out) {}

  // One set of ports: keeps what is in place, fills up what changes anyway, then one that has room, then new slices.
  void reconcile(const std::vector<SlicePtr>& existing, Group& group, std::string_view addressType) {
    std::vector<EndpointSlice> updates;
    std::vector<SlicePtr> unchanged;
    for (const SlicePtr& slice : existing) keep(slice, group.wanted, updates, unchanged);
    if (!group.wanted.empty()) {
      std::stable_sort(updates.begin(), updates.end(), [](const EndpointSlice& a, const EndpointSlice& b) {
        return a.endpoints.size() > b.endpoints.size();
      });
      for (EndpointSlice& slice : updates) fill(slice, group.wanted);
    }
    while (!group.wanted.empty()) {
      SlicePtr roomy = group.wanted.size() < most_ ? takeRoomy(unchanged, group.wanted.size()) : nullptr;
      EndpointSlice slice = roomy ? *roomy : newSlice(service_, group.ports, addressType);
      fill(slice, group.wanted);
      (roomy ? updates : out_.create).push_back(std::move(slice));
    }
    for (EndpointSlice& slice : updates) out_.update.push_back(std::move(slice));
  }

 private:
  void keep(const SlicePtr& slice, EndpointSet& wanted, std::vector<EndpointSlice>& updates,
            std::vector<SlicePtr>& unchanged) {
    codec::List<Endpoint> kept;
    bool changed = false;
    for (const Endpoint& e : slice->endpoints) {
      auto it = wanted.find(endpointKey(e));
      if (it == wanted.end()) continue;
      Endpoint next = std::move(it->second);
      wanted.erase(it);
      next.hints = e.hints;
      changed |= !codec::equal(&next, &e, Endpoint::kType);
      kept.push_back(std::move(next));
    }
    changed |= kept.size() != slice->endpoints.size();
    if (!changed && !labelsChanged(*slice, service_)) {
      unchanged.push_back(slice);
    } else if (changed && kept.empty()) {
      out_.remove.push_back(slice);
    } else {
      EndpointSlice copy = *slice;
      copy.endpoints = std::move(kept);
      copy.metadata.labels = labelsOf(service_);
      updates.push_back(std::move(copy));
    }
  }

  void fill(EndpointSlice& slice, EndpointSet& wanted) const {
    while (!wanted.empty() && slice.endpoints.size() < most_) {
      slice.endpoints.push_back(std::move(wanted.begin()->second));
      wanted.erase(wanted.begin());
    }
  }

  // The one that comes closest to full, taken out of the list.
  SlicePtr takeRoomy(std::vector<SlicePtr>& slices, size_t count) const {
    auto best = slices.end();
    for (auto it = slices.begin(); it != slices.end(); ++it) {
      size_t size = (*it)->endpoints.size();
      if (size + count > most_ || size == 0) continue;
      if (best == slices.end() || size > (*best)->endpoints.size()) best = it;
    }
    if (best == slices.end()) return nullptr;
    SlicePtr out = *best;
    slices.erase(best);
    return out;
  }

  const Service& service_;
  size_t most_;
  SliceChanges& out_;
};

// Slices that would go take the place of slices that would come.
void reuse(const Service& s, SliceChanges& changes) {
  for (size_t i = 0; i < changes.remove.size() && !changes.create.empty();) {
    const EndpointSlice& old = *changes.remove[i];
    EndpointSlice& fresh = changes.create.back();
    if (old.addressType != fresh.addressType || !isOwnedBy(old, s)) {
      i++;
      continue;
    }
    EndpointSlice copy = old;
    copy.endpoints = std::move(fresh.endpoints);
    copy.ports = std::move(fresh.ports);
    copy.metadata.labels = std::move(fresh.metadata.labels);
    changes.create.pop_back();
    changes.update.push_back(std::move(copy));
    changes.remove.erase(changes.remove.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

SliceChanges reconcileType(const Service& service, const std::vector<PodPtr>& pods,
                           const std::function<NodePtr(std::string_view)>& node, const std::vector<SlicePtr>& existing,
                           size_t most, const std::string& type) {
  SliceChanges out;
  std::map<std::string, std::vector<SlicePtr>> byPorts;
  for (const SlicePtr& s : existing) {
    if (isOwnedBy(*s, service)) {
      byPorts[portsKey(s->ports)].push_back(s);
    } else {
      out.remove.push_back(s);
    }
  }
  std::map<std::string, Group> groups;
  for (const PodPtr& pod : pods) {
    if (!belongsInEndpoints(*pod, true)) continue;
    Ports ports = portsOf(service, *pod);
    Group& group = groups[portsKey(ports)];
    group.ports = ports;
    NodePtr n = node(pod->spec.nodeName);
    if (!n && !service.spec.publishNotReadyAddresses) {
      out.error = errors::failed("skipping Pod " + pod->metadata.name.str() + " for Service " + keyOf(service.metadata) +
                                 ": Node " + pod->spec.nodeName.str() + " Not Found");
      continue;
    }
    Endpoint e = endpointOf(*pod, n.get(), service, type == "IPv6");
    if (!e.addresses.empty()) group.wanted.emplace(endpointKey(e), std::move(e));
  }
  Reconciler reconciler(service, most, out);
  for (auto& [key, group] : groups) reconciler.reconcile(byPorts[key], group, type);
  for (auto& [key, slices] : byPorts) {
    if (groups.contains(key)) continue;
    out.remove.insert(out.remove.end(), slices.begin(), slices.end());
  }
  // A service has one slice at least.
  if (existing.size() == out.remove.size() && out.create.empty()) {
    EndpointSlice placeholder = newSlice(service, {}, type);
    bool there = out.remove.size() == 1 && isOwnedBy(*out.remove[0], service) && out.remove[0]->endpoints.empty() &&
                 out.remove[0]->ports.empty() && out.remove[0]->metadata.labels == placeholder.metadata.labels;
    if (there) {
      out.remove.clear();
    } else {
      out.create.push_back(std::move(placeholder));
    }
  }
  reuse(service, out);
  return out;
}

}  // namespace

std::string portsKey(const Ports& ports) {
  std::vector<std::string> keys;
  for (const auto& p : ports) {
    std::string k;
    codec::encodeJson(k, &p, api::discovery_v1::EndpointPort::kType, "");
    keys.push_back(std::move(k));
  }
  std::sort(keys.begin(), keys.end());
  std::string out;
  for (const auto& k : keys) out += k + ";";
  return out;
}

SliceChanges reconcileSlices(const Service& service, const std::vector<PodPtr>& pods,
                             const std::function<NodePtr(std::string_view name)>& node,
                             const std::vector<SlicePtr>& existing, size_t maxPerSlice) {
  SliceChanges all;
  auto types = addressTypes(service);
  std::map<std::string, std::vector<SlicePtr>> byType;
  for (const SlicePtr& s : existing) {
    if (types.contains(s->addressType.str())) {
      byType[s->addressType.str()].push_back(s);
    } else {
      all.remove.push_back(s);
    }
  }
  for (const std::string& type : types) {
    SliceChanges c = reconcileType(service, pods, node, byType[type], maxPerSlice, type);
    for (auto& s : c.create) all.create.push_back(std::move(s));
    for (auto& s : c.update) all.update.push_back(std::move(s));
    for (auto& s : c.remove) all.remove.push_back(std::move(s));
    if (!c.error.ok()) all.error = c.error;
  }
  return all;
}

}  // namespace km::controllers::endpoints
