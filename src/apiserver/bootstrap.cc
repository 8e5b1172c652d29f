#include "apiserver/bootstrap.h"

#include <fmt/format.h>

#include <condition_variable>
#include <mutex>
#include <set>

#include "api/types/apiregistration_v1.h"
#include "api/types/core_v1.h"
#include "api/types/discovery_v1.h"
#include "api/types/flowcontrol_v1.h"
#include "api/types/meta_v1.h"
#include "api/types/networking_v1.h"
#include "api/types/rbac_v1.h"
#include "apiserver/api_groups.h"
#include "apiserver/bootstrap_policy.h"
#include "apiserver/policy_files.h"
#include "codec/json.h"
#include "codec/ops.h"

namespace km::apiserver {
namespace {

// Writes under way at once, so that the store commits them together; waits for the end of all.
class Writer {
 public:
  explicit Writer(Operations& operations) : operations_(operations) {}

  // Creates the object unless it exists, and gives a new one its status.
  void ensure(api::MutableObject o, std::function<void(api::Object&)> status = {}) {
    const api::Resource* r = resourceOf(*o);
    registry::Registry& registry = *operations_.resources().find(r->group, r->version, r->name)->registry;
    registry.strategy().setDefaults(*o);
    if (api::ObjectPtr existing = registry.cache().get(o->ns(), o->name())) {
      reconcile(*o, existing);
      return;
    }
    CallPtr call = callFor(*o, "create");
    start();
    operations_.create(call, std::move(o), [this, call, status = std::move(status)](Result<api::ObjectPtr> r) {
      if (!r.ok() || !status) return finish(!r.ok() && !r.status().is("AlreadyExists") ? r.status() : Status());
      registry::Context c = operations_.context(*call);
      c.raw = true;
      auto make = [status](const api::ObjectPtr& now) -> Result<api::MutableObject> {
        api::MutableObject next = now->clone();
        status(*next);
        return next;
      };
      call->served->registry->update(c, std::string((*r)->name()), registry::makeAtOnce(make), {}, false, [this](Result<registry::UpdateResult> u) {
        finish(u.ok() ? Status() : u.status());
      });
    });
  }

  void update(api::MutableObject o, std::string_view subresource = "") {
    CallPtr call = callFor(*o, "update");
    call->subresource = subresource;
    call->name = o->name();
    start();
    // In conflict with another server that starts: it wants the same.
    operations_.update(call, std::move(o), [this](Result<registry::UpdateResult> r) {
      finish(r.ok() || r.status().is("Conflict") ? Status() : r.status());
    });
  }

  Status wait() {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return pending_ == 0; });
    return first_;
  }

 private:
  static const api::Resource* resourceOf(const api::Object& o) {
    auto [group, version] = api::splitApiVersion(o.apiVersion());
    return api::findResourceByKind(group, version, o.kind());
  }

  CallPtr callFor(const api::Object& o, std::string_view verb) {
    auto call = std::make_shared<Call>();
    const api::Resource* r = resourceOf(o);
    call->served = operations_.resources().find(r->group, r->version, r->name);
    call->verb = verb;
    call->ns = o.ns();
    call->user.name = "system:apiserver";
    call->user.groups = {"system:masters", "system:authenticated"};
    call->fieldManager = "kube-apiserver";
    return call;
  }

  // Rules and subjects that the policy has and the object lacks are added; what an operator added stays.
  void reconcile(const api::Object& wanted, const api::ObjectPtr& existing) {
    using namespace api::rbac_v1;
    const auto* auto_ = existing->meta().annotations.find("rbac.authorization.kubernetes.io/autoupdate");
    if (auto_ == nullptr || *auto_ != "true") return;
    api::MutableObject merged = existing->clone();
    bool changed = false;
    auto mergeLists = [&](auto& have, const auto& want) {
      for (const auto& w : want) {
        bool found = false;
        for (const auto& h : have) found = found || codec::equal(&h, &w, std::remove_cvref_t<decltype(w)>::kType);
        if (!found) {
          have.push_back(w);
          changed = true;
        }
      }
    };
    if (wanted.is(ClusterRole::kType)) {
      if (!wanted.as<ClusterRole>().aggregationRule) mergeLists(merged->as<ClusterRole>().rules, wanted.as<ClusterRole>().rules);
    } else if (wanted.is(Role::kType)) {
      mergeLists(merged->as<Role>().rules, wanted.as<Role>().rules);
    } else if (wanted.is(ClusterRoleBinding::kType)) {
      mergeLists(merged->as<ClusterRoleBinding>().subjects, wanted.as<ClusterRoleBinding>().subjects);
    } else if (wanted.is(RoleBinding::kType)) {
      mergeLists(merged->as<RoleBinding>().subjects, wanted.as<RoleBinding>().subjects);
    }
    if (changed) update(std::move(merged));
  }

  void start() {
    std::lock_guard lock(mutex_);
    pending_++;
  }
  void finish(const Status& s) {
    std::lock_guard lock(mutex_);
    if (!s.ok() && first_.ok()) first_ = s;
    if (--pending_ == 0) done_.notify_all();
  }

  Operations& operations_;
  std::mutex mutex_;
  std::condition_variable done_;
  int pending_ = 0;
  Status first_;
};

api::MutableObject fromLine(std::string_view json) {
  auto meta = codec::peekTypeMeta(json);
  auto [group, version] = api::splitApiVersion(meta->apiVersion);
  api::MutableObject o = api::Object::make(*api::findResourceByKind(group, version, meta->kind)->type);
  (void)codec::decodeJson(json, o->data(), o->type());
  return o;
}

void ensureNamespace(Writer& w, std::string_view name) {
  api::core_v1::Namespace ns;
  ns.metadata.name = name;
  w.ensure(api::Object::of(std::move(ns)));
}

// The Service through which pods reach the API, and where it leads.
void ensureKubernetesService(Operations& operations, Writer& w, const BootstrapOptions& options) {
  api::core_v1::Service s;
  s.metadata.name = "kubernetes";
  s.metadata.namespace_ = "default";
  s.metadata.labels["component"] = "apiserver";
  s.metadata.labels["provider"] = "kubernetes";
  auto& port = s.spec.ports.add();
  port.name = "https";
  port.protocol = "TCP";
  port.port = 443;
  port.targetPort = codec::IntOrString(options.securePort);
  s.spec.clusterIP = options.serviceIp;
  s.spec.clusterIPs.push_back(options.serviceIp);
  s.spec.type = "ClusterIP";
  s.spec.sessionAffinity = "None";
  s.spec.ipFamilies.push_back("IPv4");
  s.spec.ipFamilyPolicy = codec::String("SingleStack");
  w.ensure(api::Object::of(std::move(s)));

  api::core_v1::Endpoints e;
  e.metadata.name = "kubernetes";
  e.metadata.namespace_ = "default";
  e.metadata.labels["endpointslice.kubernetes.io/skip-mirror"] = "true";
  auto& subset = e.subsets.add();
  subset.addresses.add().ip = options.advertiseAddress;
  auto& p = subset.ports.add();
  p.name = "https";
  p.port = options.securePort;
  p.protocol = "TCP";

  api::discovery_v1::EndpointSlice slice;
  slice.metadata.name = "kubernetes";
  slice.metadata.namespace_ = "default";
  slice.metadata.labels["kubernetes.io/service-name"] = "kubernetes";
  slice.addressType = "IPv4";
  auto& endpoint = slice.endpoints.add();
  endpoint.addresses.push_back(options.advertiseAddress);
  endpoint.conditions.ready = true;
  auto& sp = slice.ports.add();
  sp.name = codec::String("https");
  sp.protocol = codec::String("TCP");
  sp.port = options.securePort;

  // These say where this server is now, so they are put right when it moved.
  auto place = [&](api::MutableObject o, std::string_view group, std::string_view resource, std::string_view part) {
    api::ObjectPtr existing = operations.resources().registry(group, resource)->cache().get("default", "kubernetes");
    if (!existing) return w.ensure(std::move(o));
    if (registry::samePart(*existing, *o, part) && registry::samePart(*existing, *o, "ports")) return;
    api::MutableObject next = existing->clone();
    registry::copyPart(*next, *o, part);
    registry::copyPart(*next, *o, "ports");
    w.update(std::move(next));
  };
  if (options.advertiseAddress.empty()) return;  // nobody else can reach this server
  place(api::Object::of(std::move(e)), "", "endpoints", "subsets");
  place(api::Object::of(std::move(slice)), "discovery.k8s.io", "endpointslices", "endpoints");
}

// The ranges of services' addresses, which hold from now on.
Status ensureServiceCidr(Operations& operations, const BootstrapOptions& options) {
  api::networking_v1::ServiceCIDR cidr;
  cidr.metadata.name = "kubernetes";
  for (const registry::Cidr& range : options.serviceRanges) cidr.spec.cidrs.push_back(range.str());
  if (cidr.spec.cidrs.empty()) return {};
  api::ObjectPtr existing = operations.resources().registry("networking.k8s.io", "servicecidrs")->cache().get("", "kubernetes");
  if (existing && !existing->as<api::networking_v1::ServiceCIDR>().status.conditions.empty()) return {};
  Writer create(operations);
  create.ensure(api::Object::of(api::networking_v1::ServiceCIDR(cidr)));
  KM_TRY(create.wait());
  auto& ready = cidr.status.conditions.add();
  ready.type = "Ready";
  ready.status = "True";
  ready.lastTransitionTime = codec::Time(operations.clock().now());
  ready.message = "Kubernetes default Service CIDR is ready";
  Writer status(operations);
  status.update(api::Object::of(std::move(cidr)), "status");
  return status.wait();
}

// The level of every schema of ours exists.
std::function<void(api::Object&)> markFound(WallTime now) {
  return [now](api::Object& o) {
    auto& schema = o.as<api::flowcontrol_v1::FlowSchema>();
    auto& c = schema.status.conditions.add();
    c.type = "Dangling";
    c.status = "False";
    c.reason = "Found";
    c.message = fmt::format("This FlowSchema references the PriorityLevelConfiguration object named \"{}\" and it exists",
                            schema.spec.priorityLevelConfiguration.name);
    c.lastTransitionTime = codec::Time(now);
  };
}

// What the aggregator would register: one for each served group version. Their strategy says that they are available.
void ensureApiServices(Operations& operations, Writer& w) {
  const Resources& resources = operations.resources();
  registry::Registry* registry = resources.registry("apiregistration.k8s.io", "apiservices");
  std::set<std::string, std::less<>> seen;
  for (const Served& served : resources.all()) {
    const api::Resource& r = *served.resource;
    ApiGroup group = apiGroup(r.group);
    api::apiregistration_v1::APIService s;
    s.metadata.name = fmt::format("{}.{}", r.version, r.group);
    if (group.priority == 0 || !seen.insert(s.metadata.name.str()).second || registry->cache().get("", s.metadata.name)) continue;
    s.metadata.labels["kube-aggregator.kubernetes.io/automanaged"] = "onstart";
    s.spec.group = r.group;
    s.spec.version = r.version;
    s.spec.groupPriorityMinimum = group.priority;
    s.spec.versionPriority = r.version == "v2" ? 30 : group.versionPriority;
    w.ensure(api::Object::of(s));
  }
}

// What an aggregated server reads to know whom to trust, and since when tokens without an end are tracked.
void ensureKubeSystemConfig(Operations& operations, Writer& w, const BootstrapOptions& options, WallTime now) {
  auto make = [&](std::string_view name) {
    api::core_v1::ConfigMap c;
    c.metadata.name = name;
    c.metadata.namespace_ = "kube-system";
    return c;
  };
  if (!options.clientCa.empty()) {
    api::core_v1::ConfigMap c = make("extension-apiserver-authentication");
    c.data["client-ca-file"] = options.clientCa;
    w.ensure(api::Object::of(std::move(c)));
  }
  api::core_v1::ConfigMap since = make("kube-apiserver-legacy-service-account-token-tracking");
  since.data["since"] = codec::Time(now).str().substr(0, 10);
  w.ensure(api::Object::of(std::move(since)));
}

}  // namespace

std::string firstServiceAddress(std::string_view cidr) {
  std::string base(cidr.substr(0, cidr.find('/')));
  size_t dot = base.rfind('.');
  if (dot == std::string::npos) return base + "1";
  return fmt::format("{}.{}", base.substr(0, dot), std::atoi(base.c_str() + dot + 1) + 1);
}

Status bootstrap(Operations& operations, const BootstrapOptions& options) {
  Writer namespaces(operations);
  for (std::string_view name : {"kube-system", "kube-public", "kube-node-lease", "default"}) ensureNamespace(namespaces, name);
  KM_TRY(namespaces.wait());
  Writer rest(operations);
  for (api::MutableObject& o : readRbacPolicy(rbacPolicyText())) rest.ensure(std::move(o));
  std::string_view lines = bootstrapObjectLines();
  while (!lines.empty()) {
    size_t end = lines.find('\n');
    if (std::string_view line = lines.substr(0, end); !line.empty()) {
      api::MutableObject o = fromLine(line);
      bool flow = o->is(api::flowcontrol_v1::FlowSchema::kType);
      rest.ensure(std::move(o), flow ? markFound(operations.clock().now()) : std::function<void(api::Object&)>());
    }
    lines.remove_prefix(end == std::string_view::npos ? lines.size() : end + 1);
  }
  ensureKubernetesService(operations, rest, options);
  WallTime now = operations.clock().now();
  ensureApiServices(operations, rest);
  ensureKubeSystemConfig(operations, rest, options, now);
  KM_TRY(rest.wait());
  return ensureServiceCidr(operations, options);
}

}  // namespace km::apiserver
