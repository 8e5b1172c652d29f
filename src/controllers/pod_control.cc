#include "controllers/pod_control.h"

#include <algorithm>

namespace km::controllers {

std::string orphansOf(std::string_view ns) { return "orphans/" + std::string(ns); }

void addPodControllerIndex(client::SharedInformer& pods) {
  pods.addIndex(kPodControllerIndex, [](const api::Object& o) {
    const ObjectMeta& meta = o.meta();
    const OwnerReference* r = controllerOf(meta);
    return std::vector<std::string>{r != nullptr ? r->uid.str() : orphansOf(meta.namespace_)};
  });
}

std::vector<PodPtr> podsOf(const client::Lister<Pod>& pods, const ObjectMeta& owner, bool orphans) {
  auto out = pods.byIndex(kPodControllerIndex, owner.uid);
  if (orphans) {
    auto more = pods.byIndex(kPodControllerIndex, orphansOf(owner.namespace_));
    out.insert(out.end(), more.begin(), more.end());
  }
  return out;
}

std::string podNamePrefix(std::string_view owner) {
  // A name with the separator must still be a valid prefix, which leaves five characters for the suffix.
  std::string prefix = std::string(owner) + "-";
  return prefix.size() > 253 ? std::string(owner) : prefix;
}

Pod podFromTemplate(const api::core_v1::PodTemplateSpec& tmpl, std::string_view ownerName, const OwnerReference& ref) {
  Pod pod;
  pod.metadata.generateName = podNamePrefix(ownerName);
  pod.metadata.labels = tmpl.metadata.labels;
  pod.metadata.annotations = tmpl.metadata.annotations;
  pod.metadata.finalizers = tmpl.metadata.finalizers;
  pod.metadata.ownerReferences.push_back(ref);
  pod.spec = tmpl.spec;
  return pod;
}

Status PodControl::create(const Pod& given, std::string_view ns, const api::core_v1::ObjectReference& owner) const {
  if (given.metadata.labels.empty()) return errors::failed("unable to create pods, no labels");
  Pod pod = given;
  pod.metadata.namespace_ = ns;
  auto made = createObject(client_, std::move(pod));
  if (!made.ok()) {
    if (!hasCause(made.status(), "NamespaceTerminating")) {
      recorder_.event(owner, client::kEventWarning, "FailedCreate", "Error creating: " + made.status().message());
    }
    return made.status();
  }
  recorder_.event(owner, client::kEventNormal, "SuccessfulCreate", "Created pod: " + (*made)->metadata.name.str());
  return {};
}

Status PodControl::remove(std::string_view ns, std::string_view name, const api::core_v1::ObjectReference& owner) const {
  Status s = removeObject<Pod>(client_, ns, name);
  if (s.code() == 404) return s;
  if (!s.ok()) {
    recorder_.event(owner, client::kEventWarning, "FailedDelete", "Error deleting: " + s.message());
    return errors::failed("unable to delete pods: " + s.message());
  }
  recorder_.event(owner, client::kEventNormal, "SuccessfulDelete", "Deleted pod: " + std::string(name));
  return {};
}

Batch slowStart(int count, const std::function<Status()>& one) {
  Batch out;
  int remaining = count;
  for (int size = std::min(remaining, 1); size > 0; size = std::min(2 * size, remaining)) {
    for (int i = 0; i < size; i++) {
      Status s = one();
      if (s.ok()) {
        out.successes++;
      } else if (out.error.ok()) {
        out.error = s;
      }
    }
    if (!out.error.ok()) return out;
    remaining -= size;
  }
  return out;
}

}  // namespace km::controllers
