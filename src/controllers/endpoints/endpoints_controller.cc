#include "controllers/endpoints/endpoints_controller.h"

#include <algorithm>
#include <mutex>
#include <set>
#include <map>
#include <tuple>

#include "base/fnv.h"
#include "codec/json.h"
#include "codec/ops.h"

namespace km::controllers::endpoints {
namespace {

using api::core_v1::EndpointAddress;
using api::core_v1::EndpointPort;
using api::core_v1::Endpoints;
using api::core_v1::EndpointSubset;

constexpr int kMaxAddresses = 1000;
constexpr std::string_view kOverCapacity = "endpoints.kubernetes.io/over-capacity";
constexpr std::string_view kManagedBy = "endpoints.kubernetes.io/managed-by";

using PortKey = std::tuple<std::string, int32_t, std::string, std::string>;

PortKey keyOfPort(const EndpointPort& p) {
  return {p.name.str(), p.port, p.protocol.str(), p.appProtocol ? p.appProtocol->str() : ""};
}

// Ports stand in the order of these hashes, which upstream takes of the port as its debug printer writes it.
unsigned __int128 orderOf(const EndpointPort& p) {
  std::string text = "(v1.EndpointPort){Name:(string)" + p.name.str() + " Port:(int32)" + std::to_string(p.port) + " Protocol:(v1.Protocol)" +
                     p.protocol.str() + " AppProtocol:(*string)" + (p.appProtocol ? p.appProtocol->str() : "<nil>") + "}";
  return fnv1a128(text);
}

// The pod's address of the service's family.
std::optional<EndpointAddress> addressOf(const Service& s, const Pod& pod) {
  bool v6 = false;
  if (!s.spec.ipFamilies.empty()) {
    v6 = s.spec.ipFamilies[0] == "IPv6";
  } else if (!isHeadless(s)) {
    v6 = s.spec.clusterIP.view().find(':') != std::string_view::npos;
  } else {
    v6 = pod.status.podIP.view().find(':') != std::string_view::npos;
  }
  for (const auto& ip : pod.status.podIPs) {
    auto a = parseAddress(ip.ip);
    if (!a || a->v6 != v6) continue;
    EndpointAddress out;
    out.ip = a->text;
    if (!pod.spec.nodeName.empty()) out.nodeName = pod.spec.nodeName;
    auto& ref = out.targetRef.emplace();
    ref.kind = "Pod";
    ref.namespace_ = pod.metadata.namespace_;
    ref.name = pod.metadata.name;
    ref.uid = pod.metadata.uid;
    if (shouldSetHostname(pod, s)) out.hostname = pod.spec.hostname;
    return out;
  }
  return std::nullopt;
}

struct Placed {
  EndpointAddress address;
  bool ready;
  std::map<PortKey, EndpointPort> ports;
};

std::vector<EndpointPort> portsFor(const Service& s, const Pod& pod) {
  std::vector<EndpointPort> out;
  for (const auto& p : s.spec.ports) {
    auto number = findPort(pod, p);
    if (!number) continue;
    EndpointPort e;
    e.name = p.name;
    e.port = *number;
    e.protocol = p.protocol;
    e.appProtocol = p.appProtocol;
    out.push_back(std::move(e));
  }
  return out;
}

}  // namespace

Subsets computeSubsets(const Service& service, const std::vector<PodPtr>& pods) {
  std::vector<Placed> placed;
  for (const PodPtr& pod : pods) {
    if (!belongsInEndpoints(*pod, service.spec.publishNotReadyAddresses)) continue;
    auto address = addressOf(service, *pod);
    if (!address) continue;
    bool portless = service.spec.ports.empty();
    if (portless && service.spec.clusterIP != "None") continue;
    auto ports = portsFor(service, *pod);
    if (!portless && ports.empty()) continue;
    Placed p{std::move(*address), service.spec.publishNotReadyAddresses || isPodReady(*pod), {}};
    for (auto& port : ports) p.ports.emplace(keyOfPort(port), port);
    placed.push_back(std::move(p));
  }
  std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
    return std::tuple(a.address.ip.view(), a.address.targetRef->uid.view()) <
           std::tuple(b.address.ip.view(), b.address.targetRef->uid.view());
  });
  // Ports that are on the same pods stand in one subset; pods without a port of the service in one without ports.
  std::map<PortKey, std::pair<EndpointPort, std::vector<size_t>>> byPort;
  std::map<std::vector<size_t>, std::vector<EndpointPort>> groups;
  std::vector<size_t> portless;
  for (size_t i = 0; i < placed.size(); i++) {
    if (placed[i].ports.empty()) portless.push_back(i);
    for (auto& [key, port] : placed[i].ports) {
      auto& entry = byPort[key];
      entry.first = port;
      entry.second.push_back(i);
    }
  }
  if (!portless.empty()) groups[portless];
  for (auto& [key, entry] : byPort) groups[entry.second].push_back(std::move(entry.first));
  Subsets out;
  for (auto& [members, ports] : groups) {
    EndpointSubset& subset = out.add();
    for (size_t i : members) (placed[i].ready ? subset.addresses : subset.notReadyAddresses).push_back(EndpointAddress(placed[i].address));
    std::sort(ports.begin(), ports.end(), [](const EndpointPort& x, const EndpointPort& y) { return orderOf(x) < orderOf(y); });
    for (EndpointPort& port : ports) subset.ports.push_back(std::move(port));
  }
  return out;
}

bool truncate(Subsets& subsets) {
  size_t ready = 0, notReady = 0;
  for (const auto& s : subsets) {
    ready += s.addresses.size();
    notReady += s.notReadyAddresses.size();
  }
  if (ready + notReady <= kMaxAddresses) return false;
  size_t readyLeft = std::min<size_t>(ready, kMaxAddresses), notReadyLeft = kMaxAddresses - readyLeft;
  auto cut = [](codec::List<EndpointAddress>& list, size_t& left) {
    while (list.size() > left) list.pop_back();
    left -= list.size();
  };
  for (auto& s : subsets) {
    cut(s.addresses, readyLeft);
    cut(s.notReadyAddresses, notReadyLeft);
  }
  subsets.eraseIf([](const auto& s) { return s.addresses.empty() && s.notReadyAddresses.empty(); });
  return true;
}

namespace {

class EndpointsController : public Controller {
 public:
  explicit EndpointsController(Context& context)
      : context_(context),
        services_(context.use<Service>()),
        pods_(context.use<Pod>()),
        endpoints_(context.use<Endpoints>()),
        serviceLister_(services_),
        podLister_(pods_),
        endpointsLister_(endpoints_),
        recorder_(context.events.recorder("endpoint-controller")),
        loop_(context, "endpoint", context.options.concurrentEndpointSyncs,
              [this](const std::string& key) { return sync(key); }) {
    loop_.onKeys(services_);
    loop_.on(pods_, podHandler(serviceLister_, [this](const std::string& key) { loop_.add(key); }));
    // Those of services that went while nobody looked; and those that somebody else deleted.
    loop_.on(endpoints_, {[this](const ObjectPtr& o, bool initial) {
                            if (initial && !o->meta().annotations.contains("control-plane.alpha.kubernetes.io/leader")) {
                              loop_.add(o->key());
                            }
                            if (!initial) written(o->key());
                          },
                          [this](const ObjectPtr&, const ObjectPtr& o) { written(o->key()); },
                          [this](const ObjectPtr& o, bool) { loop_.add(o->key()); }});
  }
  void start() override { loop_.start(); }
  void stop() override { loop_.stop(); }

 private:
  Status sync(const std::string& key) {
    ServicePtr service = serviceLister_.getKey(key);
    auto [ns, name] = splitKey(key);
    if (!service) {
      triggers_.forget(key);
      {
        std::lock_guard lock(mutex_);
        writing_.erase(key);
      }
      if (!endpointsLister_.getKey(key)) return {};
      Status s = removeObject<Endpoints>(context_.client, ns, name);
      return s.code() == 404 ? Status() : s;
    }
    if (service->spec.type == "ExternalName" || service->spec.selector.empty()) return {};
    auto pods = podsOfService(podLister_, *service);
    codec::Time trigger = triggers_.compute(*service, pods);
    Subsets subsets = computeSubsets(*service, pods);
    bool truncated = truncate(subsets);

    auto current = endpointsLister_.getKey(key);
    codec::Map<codec::String> labels = service->metadata.labels;
    labels.erase(kHeadlessLabel);
    if (isHeadless(*service)) labels[kHeadlessLabel] = "";
    labels[kManagedBy] = "endpoint-controller";
    if (current && current->subsets == subsets && current->metadata.labels == labels &&
        current->metadata.annotations.contains(kOverCapacity) == truncated) {
      return {};
    }
    Endpoints next;
    if (current) {
      next = *current;
    } else {
      next.metadata.name = name;
      next.metadata.namespace_ = ns;
    }
    next.subsets = std::move(subsets);
    next.metadata.labels = std::move(labels);
    auto& annotations = next.metadata.annotations;
    annotations.erase(kTriggerTime);
    annotations.erase(kOverCapacity);
    if (!trigger.isZero()) annotations[kTriggerTime] = trigger.str();
    if (truncated) annotations[kOverCapacity] = "truncated";
    return write(std::move(next), current != nullptr);
  }

  // What the cache shows now may be newer than what the latest look was compared with: that was before our own write, or one whose answer was lost.
  void written(const std::string& key) {
    std::lock_guard lock(mutex_);
    if (writing_.erase(key) != 0) loop_.add(key);
  }

  Status write(Endpoints next, bool exists) {
    auto about = client::referenceTo(next);
    std::string key = keyOf(next.metadata);
    {
      std::lock_guard lock(mutex_);
      writing_.insert(key);
    }
    Status s = exists ? updateObject(context_.client, std::move(next)).status()
                      : createObject(context_.client, std::move(next)).status();
    if (s.ok() || hasCause(s, "NamespaceTerminating")) return {};
    if (s.is("Conflict") || s.is("AlreadyExists")) return s;
    recorder_.event(about, client::kEventWarning, exists ? "FailedToUpdateEndpoint" : "FailedToCreateEndpoint",
                    (exists ? "Failed to update endpoint " : "Failed to create endpoint for service ") + key + ": " +
                        s.message());
    return s;
  }

  Context& context_;
  client::SharedInformer& services_;
  client::SharedInformer& pods_;
  client::SharedInformer& endpoints_;
  client::Lister<Service> serviceLister_;
  client::Lister<Pod> podLister_;
  client::Lister<Endpoints> endpointsLister_;
  client::EventRecorder recorder_;
  TriggerTimes triggers_;
  std::mutex mutex_;
  std::set<std::string> writing_;  // keys that were written, and not seen since
  SyncLoop loop_;
};

}  // namespace

std::unique_ptr<Controller> makeEndpoints(Context& context) { return std::make_unique<EndpointsController>(context); }

}  // namespace km::controllers::endpoints
