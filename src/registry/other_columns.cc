#include "registry/other_columns.h"

#include <fmt/format.h>

#include <set>

#include "api/types/admissionregistration_v1.h"
#include "api/types/apiregistration_v1.h"
#include "api/types/autoscaling_v2.h"
#include "api/types/certificates_v1.h"
#include "api/types/core_v1.h"
#include "api/types/flowcontrol_v1.h"
#include "api/types/meta_v1.h"
#include "api/types/networking_v1.h"
#include "api/types/node_v1.h"
#include "api/types/resource_v1.h"
#include "api/types/storage_v1.h"
#include "base/strings.h"
#include "codec/json.h"
#include "registry/cells.h"
#include "registry/workload_rules.h"

namespace km::registry {
namespace {

namespace net = api::networking_v1;
namespace storage = api::storage_v1;
namespace admission = api::admissionregistration_v1;

std::string orText(const std::optional<codec::String>& s, std::string_view otherwise) {
  return textCell(s ? s->view() : otherwise);
}

bool isDefaultClass(const api::Object& o, std::initializer_list<std::string_view> annotations) {
  for (std::string_view a : annotations) {
    if (o.meta().annotations.get(a) == "true") return true;
  }
  return false;
}

Cells ingress(const api::Object& o, WallTime now) {
  constexpr size_t kMax = 3;
  const auto& i = o.as<net::Ingress>();
  std::vector<std::string> hosts;
  bool more = false;
  for (const auto& r : i.spec.rules) {
    more = more || hosts.size() == kMax;
    if (!more && !r.host.empty()) hosts.push_back(r.host.str());
  }
  std::string shown = hosts.empty() ? "*" : joined(hosts, ",");
  if (more) shown += fmt::format(" + {} more...", i.spec.rules.size() - kMax);
  std::set<std::string> addresses;
  for (const auto& a : i.status.loadBalancer.ingress) {
    if (!a.ip.empty()) {
      addresses.insert(a.ip.str());
    } else if (!a.hostname.empty()) {
      addresses.insert(a.hostname.str());
    }
  }
  return {textCell(o.name()),
          orText(i.spec.ingressClassName, "<none>"),
          textCell(shown),
          textCell(fmt::format("{}", fmt::join(addresses, ","))),
          textCell(i.spec.tls.empty() ? "80" : "80, 443"),
          ageCell(o, now)};
}

Cells ingressClass(const api::Object& o, WallTime now) {
  const auto& s = o.as<net::IngressClass>().spec;
  std::string name(o.name());
  if (isDefaultClass(o, {"ingressclass.kubernetes.io/is-default-class"})) name += " (default)";
  std::string parameters = "<none>";
  if (s.parameters) {
    parameters = s.parameters->kind.str();
    if (s.parameters->apiGroup) parameters += "." + s.parameters->apiGroup->str();
    parameters += "/" + s.parameters->name.str();
  }
  return {textCell(name), textCell(s.controller), textCell(parameters), ageCell(o, now)};
}

Cells networkPolicy(const api::Object& o, WallTime now) {
  return {textCell(o.name()), textCell(selectorText(o.as<net::NetworkPolicy>().spec.podSelector)),
          ageCell(o, now)};
}

Cells serviceCidr(const api::Object& o, WallTime now) {
  return {textCell(o.name()), textCell(joined(strings(o.as<net::ServiceCIDR>().spec.cidrs), ",")),
          ageCell(o, now)};
}

Cells ipAddress(const api::Object& o, WallTime) {
  std::string parent = "<none>";
  if (const auto& p = o.as<net::IPAddress>().spec.parentRef) {
    parent = toLower(p->resource);
    if (!p->group.empty()) parent += "." + toLower(p->group);
    if (!p->namespace_.empty()) parent += "/" + p->namespace_.str();
    parent += "/" + p->name.str();
  }
  return {textCell(o.name()), textCell(parent)};
}

std::string modesText(const codec::List<codec::String>& modes) {
  static constexpr std::pair<std::string_view, std::string_view> kShort[] = {{"ReadWriteOnce", "RWO"},
                                                                             {"ReadOnlyMany", "ROX"},
                                                                             {"ReadWriteMany", "RWX"},
                                                                             {"ReadWriteOncePod", "RWOP"}};
  std::vector<std::string> out;
  for (auto [mode, text] : kShort) {
    for (const auto& m : modes) {
      if (m == mode) {
        out.emplace_back(text);
        break;
      }
    }
  }
  return joined(out, ",");
}

std::string className(const api::Object& o, std::string_view fromSpec) {
  const codec::String* old = o.meta().annotations.find("volume.beta.kubernetes.io/storage-class");
  return old != nullptr ? old->str() : std::string(fromSpec);
}

Cells persistentVolume(const api::Object& o, WallTime now) {
  const auto& v = o.as<api::core_v1::PersistentVolume>();
  std::string claim;
  if (v.spec.claimRef) claim = fmt::format("{}/{}", v.spec.claimRef->namespace_, v.spec.claimRef->name);
  std::string phase = o.meta().deletionTimestamp ? "Terminating" : v.status.phase.str();
  return {textCell(o.name()),
          textCell(v.spec.capacity.get("storage").str()),
          textCell(modesText(v.spec.accessModes)),
          textCell(v.spec.persistentVolumeReclaimPolicy),
          textCell(phase),
          textCell(claim),
          textCell(className(o, v.spec.storageClassName)),
          orText(v.spec.volumeAttributesClassName, "<unset>"),
          textCell(v.status.reason),
          ageCell(o, now),
          orText(v.spec.volumeMode, "<unset>")};
}

Cells persistentVolumeClaim(const api::Object& o, WallTime now) {
  const auto& c = o.as<api::core_v1::PersistentVolumeClaim>();
  bool bound = !c.spec.volumeName.empty();
  std::string phase = o.meta().deletionTimestamp ? "Terminating" : c.status.phase.str();
  return {textCell(o.name()),
          textCell(phase),
          textCell(c.spec.volumeName),
          textCell(bound ? c.status.capacity.get("storage").str() : ""),
          textCell(bound ? modesText(c.status.accessModes) : ""),
          textCell(className(o, c.spec.storageClassName ? c.spec.storageClassName->view() : "")),
          orText(c.spec.volumeAttributesClassName, "<unset>"),
          ageCell(o, now),
          orText(c.spec.volumeMode, "<unset>")};
}

Cells storageClass(const api::Object& o, WallTime now) {
  const auto& c = o.as<storage::StorageClass>();
  std::string name(o.name());
  if (isDefaultClass(o, {"storageclass.kubernetes.io/is-default-class",
                         "storageclass.beta.kubernetes.io/is-default-class"})) {
    name += " (default)";
  }
  return {textCell(name),
          textCell(c.provisioner),
          orText(c.reclaimPolicy, "Delete"),
          orText(c.volumeBindingMode, "Immediate"),
          boolCell(c.allowVolumeExpansion.value_or(false)),
          ageCell(o, now)};
}

Cells csiDriver(const api::Object& o, WallTime now) {
  const auto& s = o.as<storage::CSIDriver>().spec;
  std::vector<std::string> audiences;
  for (const auto& t : s.tokenRequests) audiences.push_back(t.audience.str());
  std::string modes = joined(strings(s.volumeLifecycleModes), ",");
  return {textCell(o.name()),
          boolCell(s.attachRequired.value_or(true)),
          boolCell(s.podInfoOnMount.value_or(false)),
          boolCell(s.storageCapacity.value_or(false)),
          textCell(s.tokenRequests.empty() ? "<unset>" : joined(audiences, ",")),
          boolCell(s.requiresRepublish.value_or(false)),
          textCell(modes.empty() ? "<none>" : modes),
          ageCell(o, now)};
}

Cells csiNode(const api::Object& o, WallTime now) {
  return {textCell(o.name()), numberCell(static_cast<int64_t>(o.as<storage::CSINode>().spec.drivers.size())),
          ageCell(o, now)};
}

Cells volumeAttachment(const api::Object& o, WallTime now) {
  const auto& v = o.as<storage::VolumeAttachment>();
  return {
      textCell(o.name()),        textCell(v.spec.attacher),   orText(v.spec.source.persistentVolumeName, ""),
      textCell(v.spec.nodeName), boolCell(v.status.attached), ageCell(o, now)};
}

Cells attributesClass(const api::Object& o, WallTime now) {
  return {textCell(o.name()), textCell(o.as<storage::VolumeAttributesClass>().driverName), ageCell(o, now)};
}

Cells runtimeClass(const api::Object& o, WallTime now) {
  return {textCell(o.name()), textCell(o.as<api::node_v1::RuntimeClass>().handler), ageCell(o, now)};
}

Cells resourceQuota(const api::Object& o, WallTime now) {
  const auto& s = o.as<api::core_v1::ResourceQuota>().status;
  std::vector<std::string> requests, limits;
  for (const auto& [name, hard] : s.hard) {
    (name.view().starts_with("limits.") ? limits : requests)
        .push_back(fmt::format("{}: {}/{}", name, s.used.get(name).str(), hard.str()));
  }
  return {textCell(o.name()), textCell(joined(requests, ", ")), textCell(joined(limits, ", ")),
          ageCell(o, now)};
}

template <typename T>
Cells webhooks(const api::Object& o, WallTime now) {
  return {textCell(o.name()), numberCell(static_cast<int64_t>(o.as<T>().webhooks.size())), ageCell(o, now)};
}

template <typename Spec>
std::string paramKind(const Spec& s) {
  return textCell(s.paramKind ? fmt::format("{}/{}", s.paramKind->apiVersion, s.paramKind->kind) : "<unset>");
}
Cells validatingPolicy(const api::Object& o, WallTime now) {
  const auto& s = o.as<admission::ValidatingAdmissionPolicy>().spec;
  return {textCell(o.name()), numberCell(static_cast<int64_t>(s.validations.size())), paramKind(s),
          ageCell(o, now)};
}
Cells mutatingPolicy(const api::Object& o, WallTime now) {
  const auto& s = o.as<admission::MutatingAdmissionPolicy>().spec;
  return {textCell(o.name()), numberCell(static_cast<int64_t>(s.mutations.size())), paramKind(s),
          ageCell(o, now)};
}
template <typename T>
Cells policyBinding(const api::Object& o, WallTime now) {
  const auto& s = o.as<T>().spec;
  std::string param = "<unset>";
  if (s.paramRef && !s.paramRef->name.empty()) {
    param = fmt::format("{}/{}", s.paramRef->namespace_.empty() ? "*" : s.paramRef->namespace_.view(),
                        s.paramRef->name);
  } else if (s.paramRef && s.paramRef->selector) {
    param = selectorText(s.paramRef->selector);
  }
  return {textCell(o.name()), textCell(s.policyName), textCell(param), ageCell(o, now)};
}

Cells signingRequest(const api::Object& o, WallTime now) {
  const auto& c = o.as<api::certificates_v1::CertificateSigningRequest>();
  auto has = [&](std::string_view type) {
    for (const auto& x : c.status.conditions) {
      if (x.type == type) return true;
    }
    return false;
  };
  std::string status = has("Denied") ? "Denied" : has("Approved") ? "Approved" : "Pending";
  if (has("Failed")) status += ",Failed";
  if (!c.status.certificate.empty()) status += ",Issued";
  std::string wanted = "<none>";
  if (c.spec.expirationSeconds) {
    WallTime end = now;
    end.seconds = now.seconds;
    wanted = age(codec::Time(now.seconds - *c.spec.expirationSeconds), end);
  }
  return {textCell(o.name()),
          ageCell(o, now),
          textCell(c.spec.signerName.empty() ? "<none>" : c.spec.signerName.view()),
          textCell(c.spec.username),
          textCell(wanted),
          textCell(status)};
}

Cells flowSchema(const api::Object& o, WallTime now) {
  const auto& f = o.as<api::flowcontrol_v1::FlowSchema>();
  std::string missing = "?";
  for (const auto& c : f.status.conditions) {
    if (c.type == "Dangling") missing = c.status.str();
  }
  return {textCell(o.name()),
          textCell(f.spec.priorityLevelConfiguration.name),
          numberCell(f.spec.matchingPrecedence),
          textCell(f.spec.distinguisherMethod ? f.spec.distinguisherMethod->type.view() : "<none>"),
          ageCell(o, now),
          textCell(missing)};
}

Cells priorityLevel(const api::Object& o, WallTime now) {
  const auto& s = o.as<api::flowcontrol_v1::PriorityLevelConfiguration>().spec;
  std::string shares = textCell("<none>"), queues = shares, hand = shares, length = shares;
  if (s.limited) {
    shares = numberCell(s.limited->nominalConcurrencyShares.value_or(0));
    if (const auto& q = s.limited->limitResponse.queuing) {
      queues = numberCell(q->queues);
      hand = numberCell(q->handSize);
      length = numberCell(q->queueLengthLimit);
    }
  }
  return {textCell(o.name()), textCell(s.type), shares, queues, hand, length, ageCell(o, now)};
}

Cells resourceClaim(const api::Object& o, WallTime now) {
  const auto& c = o.as<api::resource_v1::ResourceClaim>();
  std::vector<std::string> states;
  bool deleted = c.metadata.deletionTimestamp.has_value();
  if (deleted) states.emplace_back("deleted");
  if (!c.status.allocation) {
    if (!deleted) states.emplace_back("pending");
  } else {
    states.emplace_back("allocated");
    if (!c.status.reservedFor.empty()) states.emplace_back("reserved");
  }
  return {textCell(o.name()), textCell(joined(states, ",")), ageCell(o, now)};
}

Cells resourceSlice(const api::Object& o, WallTime now) {
  const auto& s = o.as<api::resource_v1::ResourceSlice>().spec;
  return {textCell(o.name()), orText(s.nodeName, ""), textCell(s.driver), textCell(s.pool.name),
          ageCell(o, now)};
}

std::string unknownOr(const std::optional<codec::Quantity>& q) {
  return q ? q->str() : "<unknown>";
}

// "current/target" of one metric of an autoscaler.
std::string metricText(const api::autoscaling_v2::MetricSpec& m,
                       const api::autoscaling_v2::MetricStatus* now) {
  auto byValue = [&](const auto& spec, const auto* status) {
    bool average = spec.target.averageValue.has_value();
    std::string current = status == nullptr
                              ? "<unknown>"
                              : unknownOr(average ? status->current.averageValue : status->current.value);
    return fmt::format("{}/{}{}", current, unknownOr(average ? spec.target.averageValue : spec.target.value),
                       average ? " (avg)" : "");
  };
  auto byResource = [&](const auto& spec, const auto* status) {
    if (spec.target.averageValue) {
      return fmt::format("{}: {}/{}", spec.name,
                         status ? unknownOr(status->current.averageValue) : "<unknown>",
                         spec.target.averageValue->str());
    }
    std::string current = "<unknown>", target = "<auto>";
    if (status && status->current.averageUtilization)
      current = fmt::format("{}%", *status->current.averageUtilization);
    if (spec.target.averageUtilization) target = fmt::format("{}%", *spec.target.averageUtilization);
    return fmt::format("{}: {}/{}", spec.name, current, target);
  };
  if (m.type == "External" && m.external) return byValue(*m.external, now ? now->external.get() : nullptr);
  if (m.type == "Object" && m.object) return byValue(*m.object, now ? now->object.get() : nullptr);
  if (m.type == "Pods" && m.pods) {
    return fmt::format("{}/{}", now && now->pods ? unknownOr(now->pods->current.averageValue) : "<unknown>",
                       unknownOr(m.pods->target.averageValue));
  }
  if (m.type == "Resource" && m.resource) return byResource(*m.resource, now ? now->resource.get() : nullptr);
  if (m.type == "ContainerResource" && m.containerResource) {
    return byResource(*m.containerResource, now ? now->containerResource.get() : nullptr);
  }
  return "<unknown type>";
}

Cells autoscaler(const api::Object& o, WallTime now) {
  constexpr size_t kMax = 2;
  const auto& h = o.as<api::autoscaling_v2::HorizontalPodAutoscaler>();
  std::vector<std::string> shown;
  for (size_t i = 0; i < h.spec.metrics.size() && i < kMax; i++) {
    shown.push_back(metricText(h.spec.metrics[i],
                               i < h.status.currentMetrics.size() ? &h.status.currentMetrics[i] : nullptr));
  }
  std::string metrics = shown.empty() ? "<none>" : joined(shown, ", ");
  if (h.spec.metrics.size() > kMax) metrics += fmt::format(" + {} more...", h.spec.metrics.size() - kMax);
  return {textCell(o.name()),
          textCell(fmt::format("{}/{}", h.spec.scaleTargetRef.kind, h.spec.scaleTargetRef.name)),
          textCell(metrics),
          textCell(h.spec.minReplicas ? std::to_string(*h.spec.minReplicas) : "<unset>"),
          numberCell(h.spec.maxReplicas),
          numberCell(h.status.currentReplicas),
          ageCell(o, now)};
}

Cells apiService(const api::Object& o, WallTime now) {
  const auto& a = o.as<api::apiregistration_v1::APIService>();
  std::string available = "Unknown";
  for (const auto& c : a.status.conditions) {
    if (c.type != "Available") continue;
    available = c.status.str();
    if (c.status != "True") available += fmt::format(" ({})", c.reason);
  }
  std::string service =
      a.spec.service ? fmt::format("{}/{}", a.spec.service->namespace_, a.spec.service->name) : "Local";
  return {textCell(o.name()), textCell(service), textCell(available), ageCell(o, now)};
}

class ColumnStrategy : public Strategy {
 public:
  explicit ColumnStrategy(Cells (*cells)(const api::Object&, WallTime)) : cells_(cells) {}
  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    return cells_(o, now);
  }

 private:
  Cells (*cells_)(const api::Object&, WallTime);
};

struct Row {
  std::string_view group, resource;
  Cells (*cells)(const api::Object&, WallTime);
};
constexpr Row kRows[] = {
    {"", "persistentvolumeclaims", persistentVolumeClaim},
    {"", "persistentvolumes", persistentVolume},
    {"", "resourcequotas", resourceQuota},
    {"admissionregistration.k8s.io", "mutatingadmissionpolicies", mutatingPolicy},
    {"admissionregistration.k8s.io", "mutatingadmissionpolicybindings",
     policyBinding<admission::MutatingAdmissionPolicyBinding>},
    {"admissionregistration.k8s.io", "mutatingwebhookconfigurations",
     webhooks<admission::MutatingWebhookConfiguration>},
    {"admissionregistration.k8s.io", "validatingadmissionpolicies", validatingPolicy},
    {"admissionregistration.k8s.io", "validatingadmissionpolicybindings",
     policyBinding<admission::ValidatingAdmissionPolicyBinding>},
    {"admissionregistration.k8s.io", "validatingwebhookconfigurations",
     webhooks<admission::ValidatingWebhookConfiguration>},
    {"apiregistration.k8s.io", "apiservices", apiService},
    {"autoscaling", "horizontalpodautoscalers", autoscaler},
    {"certificates.k8s.io", "certificatesigningrequests", signingRequest},
    {"flowcontrol.apiserver.k8s.io", "flowschemas", flowSchema},
    {"flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", priorityLevel},
    {"networking.k8s.io", "ingressclasses", ingressClass},
    {"networking.k8s.io", "ingresses", ingress},
    {"networking.k8s.io", "ipaddresses", ipAddress},
    {"networking.k8s.io", "networkpolicies", networkPolicy},
    {"networking.k8s.io", "servicecidrs", serviceCidr},
    {"node.k8s.io", "runtimeclasses", runtimeClass},
    {"resource.k8s.io", "resourceclaims", resourceClaim},
    {"resource.k8s.io", "resourceslices", resourceSlice},
    {"storage.k8s.io", "csidrivers", csiDriver},
    {"storage.k8s.io", "csinodes", csiNode},
    {"storage.k8s.io", "storageclasses", storageClass},
    {"storage.k8s.io", "volumeattachments", volumeAttachment},
    {"storage.k8s.io", "volumeattributesclasses", attributesClass},
};

// Rows know the types of one version only.
bool knowsVersion(std::string_view group, std::string_view version) {
  return group == "autoscaling" ? version == "v2" : version == "v1";
}

}  // namespace

std::vector<std::string> OtherStrategy::cells(const api::Resource& r, const api::Object& o, WallTime now) const {
  for (const Row& row : kRows) {
    if (row.group == r.group && row.resource == r.name && knowsVersion(r.group, r.version)) return row.cells(o, now);
  }
  return Strategy::cells(r, o, now);
}

std::unique_ptr<Strategy> makeColumnStrategy(const api::Resource& r) {
  if (!knowsVersion(r.group, r.version)) return nullptr;
  for (const Row& row : kRows) {
    if (row.group == r.group && row.resource == r.name) return std::make_unique<ColumnStrategy>(row.cells);
  }
  return nullptr;
}

}  // namespace km::registry
