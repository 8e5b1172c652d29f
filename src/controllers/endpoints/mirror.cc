#include "controllers/endpoints/mirror.h"

#include <algorithm>
#include <map>

#include "codec/ops.h"
#include "controllers/objects.h"
#include "controllers/pod_control.h"

namespace km::controllers::endpoints {
namespace {

using api::core_v1::EndpointAddress;
using api::core_v1::Endpoints;
using Ports = codec::List<api::discovery_v1::EndpointPort>;

constexpr std::string_view kSkip = "endpointslice.kubernetes.io/skip-mirror";
constexpr std::string_view kLeader = "control-plane.alpha.kubernetes.io/leader";
constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";
constexpr std::string_view kTriggered = "endpoints.kubernetes.io/last-change-trigger-time";
constexpr size_t kMaxPerSubset = 1000;

Ports portsOf(const api::core_v1::EndpointSubset& subset) {
  Ports out;
  for (const auto& p : subset.ports) {
    auto& port = out.add();
    port.name = p.name;
    port.port = p.port;
    port.protocol = p.protocol;
    port.appProtocol = p.appProtocol;
  }
  return out;
}

std::string keyOf(const Ports& ports, std::string_view addressType) { return std::string(addressType) + ";" + portsKey(ports); }

Endpoint endpointOf(const EndpointAddress& a, bool ready) {
  Endpoint e;
  e.addresses.push_back(a.ip);
  e.conditions.ready = ready;
  e.nodeName = a.nodeName;
  if (!a.hostname.empty()) e.hostname = a.hostname;
  e.targetRef = a.targetRef;
  return e;
}

// Ports and addresses of a family that stand together in a subset.
struct Wanted {
  std::string addressType;
  Ports ports;
  std::map<std::string, Endpoint> endpoints;  // by address
};

std::map<std::string, Wanted> wantedOf(const Endpoints& all, size_t most) {
  std::map<std::string, Wanted> out;
  for (const auto& subset : all.subsets) {
    Ports ports = portsOf(subset);
    auto take = [&](const EndpointAddress& a, bool ready) {
      std::string_view type = a.ip.view().find(':') == std::string_view::npos ? "IPv4" : "IPv6";
      Wanted& w = out[keyOf(ports, type)];
      if (w.addressType.empty()) {
        w.addressType = type;
        w.ports = ports;
      }
      if (w.endpoints.size() < most) w.endpoints.emplace(a.ip.str(), endpointOf(a, ready));
    };
    for (const auto& a : subset.addresses) take(a, true);
    for (const auto& a : subset.notReadyAddresses) take(a, false);
  }
  return out;
}

void describe(EndpointSlice& slice, const Endpoints& e) {
  slice.metadata.labels = e.metadata.labels;
  slice.metadata.labels[kServiceNameLabel] = e.metadata.name;
  slice.metadata.labels[kManagedByLabel] = kMirrorController;
  slice.metadata.annotations.clear();
  for (const auto& [key, value] : e.metadata.annotations) {
    if (key != kLastApplied && key != kTriggered) slice.metadata.annotations[key] = value;
  }
}

// The slice as it should be, made from `base`.
EndpointSlice filled(EndpointSlice base, const Endpoints& e, Wanted& w) {
  describe(base, e);
  base.ports = w.ports;
  base.endpoints.clear();
  for (auto& [ip, endpoint] : w.endpoints) base.endpoints.push_back(std::move(endpoint));
  return base;
}

bool isOwnedBy(const EndpointSlice& slice, const Endpoints& e) {
  return isControlledBy(slice.metadata, e.metadata.uid);
}

class Mirror : public Controller {
 public:
  explicit Mirror(Context& context)
      : context_(context),
        endpoints_(context.use<Endpoints>()),
        services_(context.use<Service>()),
        slices_(context.use<EndpointSlice>()),
        loop_(context, "endpoint_slice_mirroring_controller", 5,
              [this](const std::string& key) { return sync(key); }) {
    slices_.addIndex(kByMirrored, [](const api::Object& o) { return keysOf(o); });
    loop_.onKeys(endpoints_);
    // A service of the same name decides whether it is mirrored.
    loop_.onKeys(services_);
    auto slice = [this](const ObjectPtr& o) {
      for (const std::string& key : keysOf(*o)) loop_.add(key);
    };
    loop_.on(slices_, {[slice](const ObjectPtr& o, bool) { slice(o); },
                       [slice](const ObjectPtr&, const ObjectPtr& o) { slice(o); },
                       [slice](const ObjectPtr& o, bool) { slice(o); }});
  }
  void start() override { loop_.start(); }
  void stop() override { loop_.stop(); }

 private:
  static constexpr std::string_view kByMirrored = "mirrored-service";

  // Of a mirrored slice: the key of its Endpoints.
  static std::vector<std::string> keysOf(const api::Object& o) {
    const auto& labels = o.meta().labels;
    if (labels.get(kManagedByLabel) != kMirrorController) return {};
    return {std::string(o.ns()) + "/" + labels.get(kServiceNameLabel).str()};
  }

  Status sync(const std::string& key) {
    auto [ns, name] = splitKey(key);
    auto existing = client::Lister<EndpointSlice>(slices_).byIndex(kByMirrored, key);
    auto endpoints = client::Lister<Endpoints>(endpoints_).get(ns, name);
    auto service = client::Lister<Service>(services_).get(ns, name);
    SliceChanges changes;
    if (endpoints && isMirrored(*endpoints, service.get())) {
      changes = mirrorEndpoints(*endpoints, existing, kMaxPerSubset);
    } else {
      changes.remove = std::move(existing);
    }
    return write(std::move(changes));
  }

  Status write(SliceChanges changes) {
    for (EndpointSlice& s : changes.create) {
      Status done = createObject(context_.client, std::move(s)).status();
      if (!done.ok()) return hasCause(done, "NamespaceTerminating") ? Status() : done;
    }
    for (EndpointSlice& s : changes.update) KM_TRY(updateObject(context_.client, std::move(s)).status());
    for (const SlicePtr& s : changes.remove) {
      Status done = removeObject<EndpointSlice>(context_.client, s->metadata.namespace_, s->metadata.name);
      if (!done.ok() && done.code() != 404) return done;
    }
    return {};
  }

  Context& context_;
  client::SharedInformer& endpoints_;
  client::SharedInformer& services_;
  client::SharedInformer& slices_;
  SyncLoop loop_;
};

}  // namespace

bool isMirrored(const Endpoints& e, const Service* service) {
  if (e.metadata.labels.get(kSkip) == "true" || e.metadata.annotations.find(kLeader) != nullptr) return false;
  return service != nullptr && service->spec.selector.empty();
}

SliceChanges mirrorEndpoints(const Endpoints& e, const std::vector<SlicePtr>& existing, size_t maxPerSubset) {
  SliceChanges out;
  auto wanted = wantedOf(e, maxPerSubset);
  std::vector<SlicePtr> spare;
  for (const SlicePtr& slice : existing) {
    auto at = isOwnedBy(*slice, e) ? wanted.find(keyOf(slice->ports, slice->addressType)) : wanted.end();
    if (at == wanted.end()) {
      spare.push_back(slice);
      continue;
    }
    EndpointSlice next = filled(*slice, e, at->second);
    if (!codec::equal(&next, slice.get(), EndpointSlice::kType)) out.update.push_back(std::move(next));
    wanted.erase(at);
  }
  for (auto& [key, w] : wanted) {
    auto at = std::find_if(spare.begin(), spare.end(), [&](const SlicePtr& s) {
      return s->addressType == w.addressType && isOwnedBy(*s, e);
    });
    if (at != spare.end()) {
      out.update.push_back(filled(**at, e, w));
      spare.erase(at);
      continue;
    }
    EndpointSlice slice;
    slice.metadata.generateName = podNamePrefix(e.metadata.name);
    slice.metadata.namespace_ = e.metadata.namespace_;
    slice.metadata.ownerReferences.push_back(makeControllerRef(Endpoints::kType, e.metadata));
    slice.addressType = w.addressType;
    out.create.push_back(filled(std::move(slice), e, w));
  }
  out.remove = std::move(spare);
  return out;
}

std::unique_ptr<Controller> makeMirror(Context& context) {
  return std::make_unique<Mirror>(context);
}

}  // namespace km::controllers::endpoints
