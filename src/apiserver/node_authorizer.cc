#include "apiserver/node_authorizer.h"

#include <fmt/format.h>

#include "api/types/core_v1.h"
#include "api/types/rbac_v1.h"

namespace km::apiserver {
namespace {

using api::core_v1::Pod;
using api::core_v1::PodSpec;

template <typename F>
void eachContainer(const PodSpec& spec, F f) {
  for (const auto& c : spec.initContainers) f(c);
  for (const auto& c : spec.containers) f(c);
}

bool refersToSecret(const Pod& pod, std::string_view name) {
  for (const auto& s : pod.spec.imagePullSecrets) {
    if (s.name == name) return true;
  }
  bool found = false;
  eachContainer(pod.spec, [&](const auto& c) {
    for (const auto& e : c.envFrom) found = found || (e.secretRef && e.secretRef->name == name);
    for (const auto& e : c.env) found = found || (e.valueFrom && e.valueFrom->secretKeyRef && e.valueFrom->secretKeyRef->name == name);
  });
  for (const auto& v : pod.spec.volumes) {
    if (v.secret && v.secret->secretName == name) return true;
    if (v.csi && v.csi->nodePublishSecretRef && v.csi->nodePublishSecretRef->name == name) return true;
    if (!v.projected) continue;
    for (const auto& s : v.projected->sources) found = found || (s.secret && s.secret->name == name);
  }
  return found;
}

bool refersToConfigMap(const Pod& pod, std::string_view name) {
  bool found = false;
  eachContainer(pod.spec, [&](const auto& c) {
    for (const auto& e : c.envFrom) found = found || (e.configMapRef && e.configMapRef->name == name);
    for (const auto& e : c.env) found = found || (e.valueFrom && e.valueFrom->configMapKeyRef && e.valueFrom->configMapKeyRef->name == name);
  });
  for (const auto& v : pod.spec.volumes) {
    if (v.configMap && v.configMap->name == name) return true;
    if (!v.projected) continue;
    for (const auto& s : v.projected->sources) found = found || (s.configMap && s.configMap->name == name);
  }
  return found;
}

bool refersToClaim(const Pod& pod, std::string_view name) {
  for (const auto& v : pod.spec.volumes) {
    if (v.persistentVolumeClaim && v.persistentVolumeClaim->claimName == name) return true;
    if (v.ephemeral && fmt::format("{}-{}", pod.metadata.name, v.name) == name) return true;
  }
  return false;
}

bool reads(std::string_view verb) { return verb == "get" || verb == "list" || verb == "watch"; }

}  // namespace

// What every node may do: the rules of ClusterRole system:node.
bool NodeAuthorizer::byRules(const authz::Attributes& a) const {
  api::ObjectPtr role = resources_.cache("rbac.authorization.k8s.io", "clusterroles").get("", "system:node");
  if (!role) return false;
  std::string resource(a.resource);
  if (!a.subresource.empty()) resource += fmt::format("/{}", a.subresource);
  auto has = [](const auto& list, std::string_view s) {
    return std::any_of(list.begin(), list.end(), [&](const auto& e) { return e == s || e == "*"; });
  };
  for (const auto& rule : role->as<api::rbac_v1::ClusterRole>().rules) {
    if (has(rule.verbs, a.verb) && has(rule.apiGroups, a.group) && has(rule.resources, resource)) return true;
  }
  return false;
}

bool NodeAuthorizer::podOnNodeRefers(const authz::Attributes& a, const std::string& node) const {
  cache::Snapshot pods = resources_.cache("", "pods").listIndexed(node);
  return std::any_of(pods.objects->begin(), pods.objects->end(), [&](const api::ObjectPtr& o) {
    const Pod& pod = o->as<Pod>();
    if (a.resource != "persistentvolumes" && o->ns() != a.ns) return false;
    if (a.resource == "secrets") return refersToSecret(pod, a.name);
    if (a.resource == "configmaps") return refersToConfigMap(pod, a.name);
    if (a.resource == "persistentvolumeclaims") return refersToClaim(pod, a.name);
    if (a.resource == "serviceaccounts") return pod.spec.serviceAccountName == a.name;
    if (a.resource == "persistentvolumes") {
      for (const auto& v : pod.spec.volumes) {
        if (!v.persistentVolumeClaim) continue;
        api::ObjectPtr claim = resources_.cache("", "persistentvolumeclaims").get(o->ns(), v.persistentVolumeClaim->claimName);
        if (claim && claim->as<api::core_v1::PersistentVolumeClaim>().spec.volumeName == a.name) return true;
      }
    }
    return false;
  });
}

authz::Answer NodeAuthorizer::authorize(const authz::Attributes& a) const {
  authz::Answer no;
  if (!a.user->in(authn::kNodes) || !a.user->name.starts_with(authn::kNodePrefix)) return no;
  std::string node = a.user->name.substr(authn::kNodePrefix.size());
  if (!a.isResource) return no;
  auto refused = [&] {
    no.reason = fmt::format("no relationship found between node '{}' and this object", node);
    return no;
  };
  bool core = a.group.empty();
  if (core && (a.resource == "secrets" || a.resource == "configmaps" || a.resource == "persistentvolumes" ||
               (a.resource == "persistentvolumeclaims" && a.subresource.empty()))) {
    if (!reads(a.verb) || a.name.empty()) {
      no.reason = "can only read resources of this type";
      return no;
    }
    return podOnNodeRefers(a, node) ? authz::Answer{authz::Decision::kAllow, ""} : refused();
  }
  if (core && a.resource == "serviceaccounts" && a.subresource == "token") {
    return a.verb == "create" && podOnNodeRefers(a, node) ? authz::Answer{authz::Decision::kAllow, ""} : refused();
  }
  if (a.group == "coordination.k8s.io" && a.resource == "leases") {
    bool own = a.ns == "kube-node-lease" && (a.name == node || (a.name.empty() && a.verb == "create"));
    bool verb = a.verb == "get" || a.verb == "create" || a.verb == "update" || a.verb == "patch" || a.verb == "delete";
    return own && verb ? authz::Answer{authz::Decision::kAllow, ""} : refused();
  }
  // A node reads its own Node and pods, as a watch by name or nodeName; admission limits what it writes.
  if (byRules(a)) return {authz::Decision::kAllow, ""};
  return no;
}

}  // namespace km::apiserver
