// PodSecurity: namespaces say by labels which of the Pod Security Standards their pods must keep, and which they are only warned of.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "admission/plugins.h"
#include "admission/pod_security_checks.h"
#include "api/field_error.h"
#include "api/types/apps_v1.h"
#include "api/types/batch_v1.h"
#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/strings.h"

namespace km::admission {
namespace {

using api::core_v1::Pod;
using api::core_v1::PodTemplateSpec;
using Labels = codec::Map<codec::String>;

constexpr size_t kMaxPodsToCheck = 3000;  // of a namespace whose label changes

struct Policies {
  PodSecurityPolicy enforce, audit, warn;
};

bool readLevel(std::string_view text, PodSecurityLevel& out) {
  if (text == "privileged") return out = PodSecurityLevel::kPrivileged, true;
  if (text == "baseline") return out = PodSecurityLevel::kBaseline, true;
  out = PodSecurityLevel::kRestricted;
  return text == "restricted";
}

bool readVersion(std::string_view text, PodSecurityVersion& out) {
  out = {};
  if (text == "latest") return true;
  if (!text.starts_with("v1.")) return false;
  std::string_view digits = text.substr(3);
  bool plain = !digits.empty() && std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; }) &&
               (digits.size() == 1 || digits[0] != '0');
  auto n = plain ? parseInt64(digits) : std::nullopt;
  if (!n) return false;
  out.minor = static_cast<int>(std::min<int64_t>(*n, INT32_MAX));
  return true;
}

// Labels that cannot be read count as the strictest policy, except where it would only tell.
Policies policiesOf(const Labels& labels, api::FieldErrors& errors) {
  Policies p;
  api::Path path("metadata.labels");
  auto level = [&](std::string_view mode, PodSecurityPolicy& policy, bool failOpen) {
    std::string key = fmt::format("pod-security.kubernetes.io/{}", mode);
    const codec::String* v = labels.find(key);
    if (v == nullptr) return false;
    bool ok = readLevel(*v, policy.level);
    if (!ok) errors.invalid(path.key(key), v->view(), "must be one of privileged, baseline, restricted");
    if (!ok && failOpen) policy.level = PodSecurityLevel::kPrivileged;
    return ok || failOpen;
  };
  auto version = [&](std::string_view mode, PodSecurityPolicy& policy) {
    std::string key = fmt::format("pod-security.kubernetes.io/{}-version", mode);
    const codec::String* v = labels.find(key);
    if (v == nullptr) return false;
    if (!readVersion(*v, policy.version)) errors.invalid(path.key(key), v->view(), "must be \"latest\" or \"v1.x\"");
    return true;
  };
  bool enforced = level("enforce", p.enforce, false);
  version("enforce", p.enforce);
  level("audit", p.audit, true);
  version("audit", p.audit);
  bool warned = level("warn", p.warn, true);
  bool warnVersion = version("warn", p.warn);
  // Who enforces wants to be warned of the controllers' templates, too.
  if (!warned && enforced && p.enforce.level > p.warn.level) {
    p.warn.level = p.enforce.level;
    if (!warnVersion) p.warn.version = p.enforce.version;
  }
  return p;
}

const PodTemplateSpec* templateOf(const Attributes& a) {
  const api::Object& o = *a.object;
  if (a.isFor("", "podtemplates")) return &o.as<api::core_v1::PodTemplate>().template_;
  if (a.isFor("", "replicationcontrollers")) return o.as<api::core_v1::ReplicationController>().spec.template_.get();
  if (a.isFor("apps", "replicasets")) return &o.as<api::apps_v1::ReplicaSet>().spec.template_;
  if (a.isFor("apps", "deployments")) return &o.as<api::apps_v1::Deployment>().spec.template_;
  if (a.isFor("apps", "statefulsets")) return &o.as<api::apps_v1::StatefulSet>().spec.template_;
  if (a.isFor("apps", "daemonsets")) return &o.as<api::apps_v1::DaemonSet>().spec.template_;
  if (a.isFor("batch", "jobs")) return &o.as<api::batch_v1::Job>().spec.template_;
  if (a.isFor("batch", "cronjobs")) return &o.as<api::batch_v1::CronJob>().spec.jobTemplate.spec.template_;
  return nullptr;
}

// Whether an update touches what the standards look at and may change at all.
bool isSignificant(const Pod& now, const Pod& was) {
  auto differ = [](const auto& a, const auto& b) {
    if (a.size() != b.size()) return true;
    for (size_t i = 0; i < a.size(); i++) {
      if (!(a[i].image == b[i].image)) return true;
    }
    return false;
  };
  if (differ(now.spec.containers, was.spec.containers) || differ(now.spec.initContainers, was.spec.initContainers)) return true;
  for (const auto& c : now.spec.ephemeralContainers) {
    const auto& old = was.spec.ephemeralContainers;
    auto it = std::find_if(old.begin(), old.end(), [&](const auto& o) { return o.name == c.name; });
    if (it == old.end() || !(it->image == c.image)) return true;
  }
  return false;
}

class PodSecurity : public Plugin {
 public:
  explicit PodSecurity(const PluginContext& c) : context_(c) {}
  std::string_view name() const override { return "PodSecurity"; }

  Status validate(const Attributes& a) const override {
    if (a.operation != Operation::kCreate && a.operation != Operation::kUpdate) return {};
    if (a.isFor("", "namespaces")) return a.subresource.empty() ? validateNamespace(a) : Status();
    if (a.isFor("", "pods")) return validatePod(a);
    if (!a.subresource.empty()) return {};
    const PodTemplateSpec* t = templateOf(a);
    if (t == nullptr) return {};
    api::FieldErrors bad;
    Policies p = namespacePolicies(a.ns, bad);
    warn(a, p.warn, t->metadata, t->spec);
    return {};
  }

 private:
  static void tell(const Attributes& a, std::string text) {
    if (a.warnings != nullptr) a.warnings->push_back(std::move(text));
  }

  static void warn(const Attributes& a, const PodSecurityPolicy& policy, const api::meta_v1::ObjectMeta& meta,
                   const api::core_v1::PodSpec& spec) {
    auto found = podSecurityViolations(policy, meta, spec);
    if (!found.empty()) tell(a, fmt::format("would violate PodSecurity \"{}\": {}", policy.str(), detailsOf(found)));
  }

  Policies namespacePolicies(std::string_view ns, api::FieldErrors& errors) const {
    api::ObjectPtr o = context_.get("", "namespaces", "", ns);
    return o ? policiesOf(o->meta().labels, errors) : Policies();
  }

  Status validatePod(const Attributes& a) const {
    for (std::string_view s : {"exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"}) {
      if (a.subresource == s) return {};
    }
    const Pod& pod = a.object->as<Pod>();
    if (a.operation == Operation::kUpdate && !isSignificant(pod, a.old->as<Pod>())) return {};
    api::FieldErrors bad;
    Policies p = namespacePolicies(a.ns, bad);
    auto found = podSecurityViolations(p.enforce, pod.metadata, pod.spec);
    if (!found.empty()) {
      return errors::forbidden({"", "pods"}, a.name, fmt::format("violates PodSecurity \"{}\": {}", p.enforce.str(), detailsOf(found)));
    }
    warn(a, p.warn, pod.metadata, pod.spec);
    return {};
  }

  Status validateNamespace(const Attributes& a) const {
    api::FieldErrors bad, oldBad;
    Policies now = policiesOf(a.object->meta().labels, bad);
    if (a.operation == Operation::kCreate) return bad.toStatus("", "Namespace", a.name);
    Policies was = policiesOf(a.old->meta().labels, oldBad);
    if (!bad.empty() && bad.aggregate() != oldBad.aggregate()) return bad.toStatus("", "Namespace", a.name);
    if (now.enforce == was.enforce || now.enforce.level == PodSecurityLevel::kPrivileged) return {};
    if (now.enforce.version == was.enforce.version && now.enforce.level <= was.enforce.level) return {};
    warnOfExistingPods(a, now.enforce);
    return {};
  }

  // The pods to look at: first those of which each stands for its controller.
  std::vector<api::ObjectPtr> chosenPods(std::string_view ns) const {
    std::vector<api::ObjectPtr> first, rest;
    std::set<std::string> controllers;
    auto all = context_.list("", "pods", ns);
    for (const api::ObjectPtr& o : *all) {
      const api::meta_v1::OwnerReference* owner = nullptr;
      for (const auto& r : o->meta().ownerReferences) {
        if (r.controller.value_or(false)) owner = &r;
      }
      bool seen = owner != nullptr && !controllers.insert(owner->uid.str()).second;
      (seen ? rest : first).push_back(o);
    }
    first.insert(first.end(), rest.begin(), rest.end());
    return first;
  }

  void warnOfExistingPods(const Attributes& a, const PodSecurityPolicy& policy) const {
    struct Count {
      std::string pod;
      size_t pods = 0;
    };
    std::map<std::string, Count> counts;
    auto pods = chosenPods(a.object->name());
    size_t total = pods.size(), checked = std::min(total, kMaxPodsToCheck);
    for (size_t i = 0; i < checked; i++) {
      const Pod& pod = pods[i]->as<Pod>();
      auto found = podSecurityViolations(policy, pod.metadata, pod.spec);
      if (found.empty()) continue;
      Count& c = counts[reasonsOf(found)];
      if (c.pods++ == 0 || pod.metadata.name.view() < c.pod) c.pod = pod.metadata.name.str();
    }
    if (checked < total) {
      tell(a, fmt::format("new PodSecurity enforce level only checked against the first {} of {} existing pods", checked, total));
    }
    if (counts.empty()) return;
    tell(a, fmt::format("existing pods in namespace \"{}\" violate the new PodSecurity enforce level \"{}\"", a.object->name(), policy.str()));
    std::vector<std::string> lines;
    for (const auto& [reasons, c] : counts) {
      std::string others = c.pods == 1 ? "" : c.pods == 2 ? " (and 1 other pod)" : fmt::format(" (and {} other pods)", c.pods - 1);
      lines.push_back(fmt::format("{}{}: {}", c.pod, others, reasons));
    }
    std::sort(lines.begin(), lines.end());
    for (std::string& l : lines) tell(a, std::move(l));
  }

  PluginContext context_;
};

}  // namespace

std::unique_ptr<Plugin> makePodSecurity(const PluginContext& c) { return std::make_unique<PodSecurity>(c); }

}  // namespace km::admission
