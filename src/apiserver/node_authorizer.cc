#include "apiserver/node_authorizer.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/selector.h"
#include "api/types/core_v1.h"
#include "api/types/rbac_v1.h"
#include "api/types/resource_v1.h"
#include "api/types/storage_v1.h"

namespace km::apiserver {
namespace {

using api::core_v1::Pod;
using api::core_v1::PodSpec;

template <typename F>
void eachContainer(const PodSpec& spec, F f) {
  for (const auto& c : spec.initContainers) f(c);
  for (const auto& c : spec.containers) f(c);
  for (const auto& c : spec.ephemeralContainers) f(c);
}

bool refersToSecret(const Pod& pod, std::string_view name) {
  for (const auto& s : pod.spec.imagePullSecrets) {
    if (s.name == name) return true;
  }
  bool found = false;
  eachContainer(pod.spec, [&](const auto& c) {
    for (const auto& e : c.envFrom) found = found || (e.secretRef && e.secretRef->name == name);
    for (const auto& e : c.env)
      found = found || (e.valueFrom && e.valueFrom->secretKeyRef && e.valueFrom->secretKeyRef->name == name);
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
    for (const auto& e : c.env)
      found = found ||
              (e.valueFrom && e.valueFrom->configMapKeyRef && e.valueFrom->configMapKeyRef->name == name);
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

bool refersToResourceClaim(const Pod& pod, std::string_view name) {
  for (const auto& c : pod.spec.resourceClaims) {
    if (c.resourceClaimName && *c.resourceClaimName == name) return true;
  }
  for (const auto& c : pod.status.resourceClaimStatuses) {
    if (c.resourceClaimName && *c.resourceClaimName == name) return true;
  }
  return pod.status.extendedResourceClaimStatus &&
         pod.status.extendedResourceClaimStatus->resourceClaimName == name;
}

bool in(std::string_view verb, std::initializer_list<std::string_view> verbs) {
  return std::find(verbs.begin(), verbs.end(), verb) != verbs.end();
}

const authz::Answer kAllowed{authz::Decision::kAllow, ""};

authz::Answer no(std::string reason = "") {
  return {authz::Decision::kNoOpinion, std::move(reason)};
}

// Does the selector demand that the field has this value?
bool selects(std::string_view selector, std::string_view field, std::string_view value) {
  if (selector.empty()) return false;
  auto parsed = api::FieldSelector::parse(selector);
  const std::string* exact = parsed.ok() ? parsed->exact(field) : nullptr;
  return exact != nullptr && *exact == value;
}

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

// Is the object the node's own, or does a pod that is bound to the node refer to it?
bool NodeAuthorizer::isRelated(const authz::Attributes& a, const std::string& node) const {
  if (a.resource == "resourceslices") {
    api::ObjectPtr o = resources_.cache(a.group, a.resource).get("", a.name);
    if (!o) return false;
    const auto& of = o->as<api::resource_v1::ResourceSlice>().spec.nodeName;
    return of && *of == node;
  }
  if (a.resource == "volumeattachments") {
    api::ObjectPtr o = resources_.cache(a.group, a.resource).get("", a.name);
    return o && o->as<api::storage_v1::VolumeAttachment>().spec.nodeName == node;
  }
  cache::Snapshot pods = resources_.cache("", "pods").listIndexed(node);
  return std::any_of(pods.objects->begin(), pods.objects->end(), [&](const api::ObjectPtr& o) {
    return (a.resource == "persistentvolumes" || o->ns() == a.ns) && podRefers(o->as<Pod>(), a);
  });
}

bool NodeAuthorizer::podRefers(const Pod& pod, const authz::Attributes& a) const {
  if (a.resource == "pods") return pod.metadata.name == a.name;
  // A mirror pod was made by its node: what it refers to gives the node no rights.
  if (pod.metadata.annotations.contains("kubernetes.io/config.mirror")) return false;
  if (a.resource == "secrets") return refersToSecret(pod, a.name);
  if (a.resource == "configmaps") return refersToConfigMap(pod, a.name);
  if (a.resource == "persistentvolumeclaims") return refersToClaim(pod, a.name);
  if (a.resource == "serviceaccounts") return pod.spec.serviceAccountName == a.name;
  if (a.resource == "resourceclaims") return refersToResourceClaim(pod, a.name);
  if (a.resource != "persistentvolumes") return false;
  for (const auto& v : pod.spec.volumes) {
    std::string claimName = v.persistentVolumeClaim ? v.persistentVolumeClaim->claimName.str()
                            : v.ephemeral           ? fmt::format("{}-{}", pod.metadata.name, v.name)
                                                    : std::string();
    if (claimName.empty()) continue;
    api::ObjectPtr claim =
        resources_.cache("", "persistentvolumeclaims").get(pod.metadata.namespace_, claimName);
    if (claim && claim->as<api::core_v1::PersistentVolumeClaim>().spec.volumeName == a.name) return true;
  }
  return false;
}

authz::Answer NodeAuthorizer::related(const authz::Attributes& a, const std::string& node) const {
  if (a.name.empty()) return no("No Object name found");
  return isRelated(a, node)
             ? kAllowed
             : no(fmt::format("no relationship found between node '{}' and this object", node));
}

authz::Answer NodeAuthorizer::onlyGet(const authz::Attributes& a, const std::string& node) const {
  if (a.verb != "get") return no("can only get individual resources of this type");
  if (!a.subresource.empty()) return no("cannot get subresource");
  return related(a, node);
}

authz::Answer NodeAuthorizer::onlyRead(const authz::Attributes& a, const std::string& node) const {
  if (!in(a.verb, {"get", "list", "watch"})) return no("can only read resources of this type");
  if (!a.subresource.empty()) return no("cannot read subresource");
  if (a.ns.empty()) return no("can only read namespaced object of this type");
  return related(a, node);
}

authz::Answer NodeAuthorizer::claims(const authz::Attributes& a, const std::string& node) const {
  if (a.subresource != "status") return onlyGet(a, node);
  return in(a.verb, {"update", "patch"}) ? related(a, node) : no("can only get/update/patch this type");
}

authz::Answer NodeAuthorizer::accounts(const authz::Attributes& a, const std::string& node) const {
  if (a.verb == "get" && a.subresource.empty()) return onlyRead(a, node);
  if (a.verb != "create" || a.name.empty())
    return no("can only create tokens for individual service accounts");
  if (a.subresource != "token") return no("can only create token subresource of serviceaccount");
  return related(a, node);
}

// The name is not known at a create: admission looks at it.
authz::Answer NodeAuthorizer::leases(const authz::Attributes& a, const std::string& node) const {
  if (!in(a.verb, {"get", "create", "update", "patch", "delete"}))
    return no("can only get, create, update, patch, or delete a node lease");
  if (a.ns != "kube-node-lease")
    return no("can only access leases in the \"kube-node-lease\" system namespace");
  bool own = a.verb == "create" || a.name == node;
  return own ? kAllowed : no("can only access node lease with the same name as the requesting node");
}

authz::Answer NodeAuthorizer::csiNodes(const authz::Attributes& a, const std::string& node) const {
  if (!in(a.verb, {"get", "create", "update", "patch", "delete"}))
    return no("can only get, create, update, patch, or delete a CSINode");
  if (!a.subresource.empty()) return no("cannot authorize CSINode subresources");
  bool own = a.verb == "create" || a.name == node;
  return own ? kAllowed : no("can only access CSINode with the same name as the requesting node");
}

authz::Answer NodeAuthorizer::slices(const authz::Attributes& a, const std::string& node) const {
  if (!a.subresource.empty()) return no("cannot authorize ResourceSlice subresources");
  if (a.verb == "create") return kAllowed;
  if (in(a.verb, {"get", "update", "patch", "delete"})) return related(a, node);
  if (in(a.verb, {"watch", "list", "deletecollection"})) {
    return selects(a.fieldSelector, "spec.nodeName", node)
               ? kAllowed
               : no("can only list/watch/deletecollection resourceslices with nodeName field selector");
  }
  return no(
      "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, "
      "delete, deletecollection");
}

authz::Answer NodeAuthorizer::nodes(const authz::Attributes& a, const std::string& node) const {
  if (a.subresource == "status") return in(a.verb, {"update", "patch"}) ? kAllowed : no();
  if (!a.subresource.empty()) return no();
  if (in(a.verb, {"create", "update", "patch"})) return kAllowed;  // admission holds it to its own
  if (!in(a.verb, {"get", "list", "watch"})) return no();
  if (a.name == node) return kAllowed;
  if (a.name.empty())
    return no(fmt::format("node '{}' cannot read all nodes, only its own Node object", node));
  return no(fmt::format("node '{}' cannot read '{}', only its own Node object", node, a.name));
}

authz::Answer NodeAuthorizer::pods(const authz::Attributes& a, const std::string& node) const {
  if (a.subresource == "status") return in(a.verb, {"update", "patch"}) ? kAllowed : no();
  if (a.subresource == "eviction") return a.verb == "create" ? kAllowed : no();
  if (!a.subresource.empty()) return no();
  if (a.verb == "get") return onlyGet(a, node);
  if (in(a.verb, {"create", "delete"})) return kAllowed;  // admission holds it to mirror pods and its own
  if (!in(a.verb, {"list", "watch"})) return no();
  if (selects(a.fieldSelector, "spec.nodeName", node)) return kAllowed;
  return a.name.empty() ? no("can only list/watch pods with spec.nodeName field selector") : related(a, node);
}

authz::Answer NodeAuthorizer::authorize(const authz::Attributes& a) const {
  if (!a.user->in(authn::kNodes) || !a.user->name.starts_with(authn::kNodePrefix)) return no();
  std::string node = a.user->name.substr(authn::kNodePrefix.size());
  if (node.empty()) return no(fmt::format("unknown node for user \"{}\"", a.user->name));
  struct Row {
    std::string_view group, resource;
    authz::Answer (NodeAuthorizer::*rule)(const authz::Attributes&, const std::string&) const;
  };
  static constexpr Row kRows[] = {
      {"", "secrets", &NodeAuthorizer::onlyRead},
      {"", "configmaps", &NodeAuthorizer::onlyRead},
      {"", "persistentvolumeclaims", &NodeAuthorizer::claims},
      {"", "persistentvolumes", &NodeAuthorizer::onlyGet},
      {"resource.k8s.io", "resourceclaims", &NodeAuthorizer::onlyGet},
      {"storage.k8s.io", "volumeattachments", &NodeAuthorizer::onlyGet},
      {"", "serviceaccounts", &NodeAuthorizer::accounts},
      {"coordination.k8s.io", "leases", &NodeAuthorizer::leases},
      {"storage.k8s.io", "csinodes", &NodeAuthorizer::csiNodes},
      {"resource.k8s.io", "resourceslices", &NodeAuthorizer::slices},
      {"", "nodes", &NodeAuthorizer::nodes},
      {"", "pods", &NodeAuthorizer::pods},
  };
  if (a.isResource) {
    for (const Row& row : kRows) {
      if (row.group == a.group && row.resource == a.resource) return (this->*row.rule)(a, node);
    }
  }
  return a.isResource && byRules(a) ? kAllowed : no();
}

}  // namespace km::apiserver
