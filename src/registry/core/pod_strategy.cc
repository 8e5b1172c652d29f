// Pods: what creators and updaters may set, graceful deletion, columns. The rules of the spec stand in
// pod_validation.h.
#include <fmt/format.h>

#include <map>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "codec/ops.h"
#include "registry/cells.h"
#include "registry/core/pod_columns.h"
#include "registry/core/pod_conditions.h"
#include "registry/core/pod_prepare.h"
#include "registry/core/pod_subresources.h"
#include "registry/core/pod_warnings.h"
#include "registry/ip.h"
#include "registry/kinds.h"
#include "registry/rules.h"
#include "registry/workload_rules.h"
#include "resources/pod.h"

namespace km::registry {

namespace v1 = api::core_v1;

namespace {

void mergeKeys(codec::Box<api::meta_v1::LabelSelector>& selector, const codec::List<codec::String>& keys,
               std::string_view op, const codec::Map<codec::String>& labels) {
  if (!selector) return;
  for (const auto& key : keys) {
    const codec::String* value = labels.find(key);
    if (value == nullptr) continue;
    auto& r = selector->matchExpressions.add();
    r.key = key;
    r.operator_ = op;
    r.values.push_back(*value);
  }
}

// matchLabelKeys and mismatchLabelKeys become requirements by the pod's own labels.
void mergeLabelKeys(v1::Pod& pod) {
  const auto& labels = pod.metadata.labels;
  auto term = [&](v1::PodAffinityTerm& t) {
    mergeKeys(t.labelSelector, t.matchLabelKeys, "In", labels);
    mergeKeys(t.labelSelector, t.mismatchLabelKeys, "NotIn", labels);
  };
  auto side = [&](auto& affinity) {
    if (!affinity) return;
    for (auto& t : affinity->preferredDuringSchedulingIgnoredDuringExecution) term(t.podAffinityTerm);
    for (auto& t : affinity->requiredDuringSchedulingIgnoredDuringExecution) term(t);
  };
  if (pod.spec.affinity) {
    side(pod.spec.affinity->podAffinity);
    side(pod.spec.affinity->podAntiAffinity);
  }
  for (auto& c : pod.spec.topologySpreadConstraints)
    mergeKeys(c.labelSelector, c.matchLabelKeys, "In", labels);
}

// What the old annotations say moves into the field that took their place.
template <typename List>
void takeAppArmor(const Context& ctx, const v1::Pod& pod, List& containers) {
  constexpr std::string_view kPrefix = "container.apparmor.security.beta.kubernetes.io/",
                             kLocal = "localhost/";
  const v1::AppArmorProfile* ofPod =
      pod.spec.securityContext ? pod.spec.securityContext->appArmorProfile.get() : nullptr;
  for (auto& c : containers) {
    std::string key = std::string(kPrefix) + c.name.str();
    const codec::String* a = pod.metadata.annotations.find(key);
    if (a == nullptr || (c.securityContext && c.securityContext->appArmorProfile)) continue;
    v1::AppArmorProfile profile;
    if (*a == "unconfined") profile.type = "Unconfined";
    if (*a == "runtime/default") profile.type = "RuntimeDefault";
    if (a->view().starts_with(kLocal) && a->size() > kLocal.size()) {
      profile.type = "Localhost";
      profile.localhostProfile = a->view().substr(kLocal.size());
    }
    bool sameAsPod = ofPod != nullptr && codec::equal(ofPod, &profile, v1::AppArmorProfile::kType);
    if (!profile.type.empty() && sameAsPod) continue;
    if (!profile.type.empty()) c.securityContext.ensure().appArmorProfile = profile;
    ctx.warn(fmt::format(
        "metadata.annotations[{}]: deprecated since v1.30; use the \"appArmorProfile\" field instead", key));
  }
}

void takeAppArmorAnnotations(const Context& ctx, v1::Pod& pod) {
  if (pod.spec.os && pod.spec.os->name == "windows") return;
  takeAppArmor(ctx, pod, pod.spec.initContainers);
  takeAppArmor(ctx, pod, pod.spec.containers);
}

}  // namespace

void dropGatedPodFields(v1::PodSpec& spec, const v1::PodSpec* old) {
  auto stopSignals = [](const v1::PodSpec& s) {
    for (const auto* list : {&s.containers, &s.initContainers}) {
      for (const auto& c : *list) {
        if (c.lifecycle && c.lifecycle->stopSignal) return true;
      }
    }
    return false;
  };
  auto projections = [](const v1::PodSpec& s) {
    for (const auto& v : s.volumes) {
      if (!v.projected) continue;
      for (const auto& p : v.projected->sources) {
        if (p.clusterTrustBundle || p.podCertificate) return true;
      }
    }
    return false;
  };
  if (old == nullptr || !stopSignals(*old)) {
    for (auto* list : {&spec.containers, &spec.initContainers}) {
      for (auto& c : *list) {
        if (!c.lifecycle || !c.lifecycle->stopSignal) continue;
        c.lifecycle->stopSignal.reset();
        if (!c.lifecycle->preStop && !c.lifecycle->postStart) c.lifecycle.reset();
      }
    }
    for (auto& c : spec.ephemeralContainers) {
      if (c.lifecycle) c.lifecycle->stopSignal.reset();
    }
  }
  if (old == nullptr || !projections(*old)) {
    for (auto& v : spec.volumes) {
      if (!v.projected) continue;
      for (auto& p : v.projected->sources) {
        p.clusterTrustBundle.reset();
        p.podCertificate.reset();
      }
    }
  }
  if (old == nullptr || !old->schedulingGroup) spec.schedulingGroup.reset();
}

namespace {

// The same for conditions: the first new one of a type has what the first old one of the type had, and so on.
void keepConditionGenerations(v1::PodStatus& status, const v1::PodStatus& old) {
  std::map<std::string_view, std::vector<int64_t>> known;
  for (const auto& c : old.conditions) known[c.type.view()].push_back(c.observedGeneration);
  for (auto& c : status.conditions) {
    int64_t was = 0;
    if (auto it = known.find(c.type.view()); it != known.end() && !it->second.empty()) {
      was = it->second.front();
      it->second.erase(it->second.begin());
    }
    if (c.observedGeneration == 0) c.observedGeneration = was;
  }
}

class PodStrategy : public Strategy {
 public:
  std::vector<std::string_view> resetFields(std::string_view subresource) const override {
    if (subresource == "status") return {"spec", "metadata.deletionTimestamp", "metadata.ownerReferences"};
    if (subresource.empty()) return {"status"};
    return {};
  }
  void prepareForCreate(const Context& c, api::Object& o) const override {
    auto& pod = o.as<v1::Pod>();
    pod.metadata.generation = 1;
    // A class that the creator names is believed (upstream's PodQOS does so).
    codec::String qos = pod.status.qosClass.empty() ? codec::String(resources::qosClass(pod.spec)) : pod.status.qosClass;
    pod.status = {};
    pod.status.phase = "Pending";
    pod.status.qosClass = qos;
    dropGatedPodFields(pod.spec, nullptr);
    if (!pod.spec.schedulingGates.empty()) {
      v1::PodCondition gated;
      gated.type = "PodScheduled";
      gated.status = "False";
      gated.reason = "SchedulingGated";
      gated.message = "Scheduling is blocked due to non-empty scheduling gates";
      setPodCondition(pod.status, std::move(gated), c.now);
    }
    mergeLabelKeys(pod);
    takeAppArmorAnnotations(c, pod);
  }

  void prepareForUpdate(const Context& c, api::Object& o, const api::Object& old) const override {
    auto& pod = o.as<v1::Pod>();
    const auto& was = old.as<v1::Pod>();
    if (c.subresource == "status") {
      pod.spec = was.spec;
      pod.metadata.deletionTimestamp.reset();
      pod.metadata.ownerReferences = was.metadata.ownerReferences;
      if (pod.status.qosClass.empty()) pod.status.qosClass = was.status.qosClass;
      // A client that knows no observed generation does not take it away.
      if (pod.status.observedGeneration == 0) pod.status.observedGeneration = was.status.observedGeneration;
      keepConditionGenerations(pod.status, was.status);
      return;
    }
    if (c.subresource == "ephemeralcontainers") keepButEphemeralContainers(pod, was);
    if (c.subresource == "resize") keepButResources(pod, was);
    pod.status = was.status;
    dropGatedPodFields(pod.spec, &was.spec);
    if (!samePart(o, old, "spec")) pod.metadata.generation = was.metadata.generation + 1;
  }

  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    validatePodCreate(o.as<v1::Pod>(), errors);
  }
  void validateUpdate(const Context& c, const api::Object& o, const api::Object& old,
                      FieldErrors& errors) const override {
    const auto &pod = o.as<v1::Pod>(), &was = old.as<v1::Pod>();
    if (c.subresource == "ephemeralcontainers") return validateEphemeralContainersUpdate(pod, was, errors);
    if (c.subresource == "resize") return validatePodResize(pod, was, errors);
    validatePodUpdate(pod, was, errors);
  }
  void validateStatusUpdate(const Context&, const api::Object& o, const api::Object& old,
                            FieldErrors& errors) const override {
    validatePodStatusUpdate(o.as<v1::Pod>(), old.as<v1::Pod>(), errors);
  }

  void warnings(const Context& c, const api::Object& o, const api::Object* old) const override {
    const auto& pod = o.as<v1::Pod>();
    if (c.subresource == "status") {
      for (size_t i = 0; i < pod.status.podIPs.size(); i++) {
        for (auto& w : ipWarnings(Path("status.podIPs").index(i).child("ip"), pod.status.podIPs[i].ip))
          c.warn(std::move(w));
      }
      for (size_t i = 0; i < pod.status.hostIPs.size(); i++) {
        for (auto& w : ipWarnings(Path("status.hostIPs").index(i).child("ip"), pod.status.hostIPs[i].ip))
          c.warn(std::move(w));
      }
      return;
    }
    if (old != nullptr) return;
    auto bad = api::isDns1123Label(pod.metadata.name);
    if (!bad.empty()) {
      c.warn(
          fmt::format("metadata.name: this is used in the Pod's hostname, which can result in surprising "
                      "behavior; a DNS label is "
                      "recommended: [{}]",
                      joined(bad, " ")));
    }
    for (std::string& w : podWarnings(pod)) c.warn(std::move(w));
  }

  // Both names of the service account's field say the same (admission sets the newer one).
  void canonicalize(api::Object& o) const override {
    auto& spec = o.as<v1::Pod>().spec;
    spec.serviceAccount = spec.serviceAccountName;
  }

  bool checkGracefulDelete(const Context&, const api::Object& o,
                           std::optional<int64_t>& grace) const override {
    const auto& pod = o.as<v1::Pod>();
    int64_t period = grace.value_or(pod.spec.terminationGracePeriodSeconds.value_or(0));
    // Nobody would end a pod that has no node, or that has ended.
    if (pod.spec.nodeName.empty() || pod.status.phase == "Failed" || pod.status.phase == "Succeeded")
      period = 0;
    if (period < 0) period = 1;
    grace = period;
    return true;
  }
  bool returnsDeletedObject() const override { return true; }

  std::string selectableField(const api::Object& o, std::string_view path) const override {
    const auto& pod = o.as<v1::Pod>();
    if (path == "status.podIP") return pod.status.podIPs.empty() ? "" : pod.status.podIPs[0].ip.str();
    if (path == "spec.hostNetwork") return pod.spec.hostNetwork ? "true" : "false";
    return Strategy::selectableField(o, path);
  }

  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    return podCells(o, now);
  }
};

class PodTemplateStrategy : public Strategy {
 public:
  void warnings(const Context& c, const api::Object& o, const api::Object* old) const override {
    warnTemplate(c, o, old, o.as<v1::PodTemplate>().template_, Path("template"));
  }
  void prepareForCreate(const Context&, api::Object& o) const override {
    o.meta().generation = 1;
    dropGatedPodFields(o.as<v1::PodTemplate>().template_.spec, nullptr);
  }
  void prepareForUpdate(const Context&, api::Object& o, const api::Object& old) const override {
    dropGatedPodFields(o.as<v1::PodTemplate>().template_.spec, &old.as<v1::PodTemplate>().template_.spec);
    if (!samePart(o, old, "template")) o.meta().generation = old.meta().generation + 1;
  }
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    validatePodTemplate(o.as<v1::PodTemplate>().template_, Path("template"), errors);
  }
  void validateUpdate(const Context& c, const api::Object& o, const api::Object&,
                      FieldErrors& errors) const override {
    validateCreate(c, o, errors);
  }
  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime) const override {
    const auto& t = o.as<v1::PodTemplate>().template_;
    return {textCell(o.name()), textCell(containerNames(t.spec)), textCell(containerImages(t.spec)),
            textCell(labelsText(t.metadata.labels))};
  }
};

}  // namespace

std::unique_ptr<Strategy> makePod() {
  return std::make_unique<PodStrategy>();
}
std::unique_ptr<Strategy> makePodTemplate() {
  return std::make_unique<PodTemplateStrategy>();
}

}  // namespace km::registry
