// NodeRestriction: a kubelet changes only its own Node, its leases and CSINode, and the pods that are bound
// to it; it makes mirror pods only, and tokens only for its pods.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "admission/plugins.h"
#include "admission/pod_references.h"
#include "api/types/authentication_v1.h"
#include "api/types/certificates_v1.h"
#include "api/types/core_v1.h"
#include "api/types/resource_v1.h"
#include "api/types/storage_v1.h"
#include "codec/ops.h"
#include "pki/request.h"

namespace km::admission {
namespace {

using api::core_v1::Node;
using api::core_v1::PersistentVolume;
using api::core_v1::PersistentVolumeClaim;
using api::core_v1::Pod;
using api::core_v1::PodSpec;
using api::core_v1::Volume;

// The node that a user is, or "".
std::string nodeOf(const authn::UserInfo& user) {
  if (!user.in(authn::kNodes) || !user.name.starts_with(authn::kNodePrefix)) return "";
  return user.name.substr(authn::kNodePrefix.size());
}

// Is it of this domain or one below it?
bool within(std::string_view domain, std::string_view of) {
  return domain == of || (domain.ends_with(of) && domain[domain.size() - of.size() - 1] == '.');
}

// Labels that a kubelet may not set on itself: those for isolating nodes, and of kubernetes.io all but some.
bool forbiddenLabel(std::string_view key) {
  size_t slash = key.find('/');
  if (slash == std::string_view::npos) return false;
  std::string_view domain = key.substr(0, slash);
  if (within(domain, "node-restriction.kubernetes.io")) return true;
  if (!within(domain, "kubernetes.io") && !within(domain, "k8s.io")) return false;
  if (within(domain, "kubelet.kubernetes.io") || within(domain, "node.kubernetes.io")) return false;
  static constexpr std::string_view kOwn[] = {"kubernetes.io/hostname",
                                              "kubernetes.io/arch",
                                              "kubernetes.io/os",
                                              "beta.kubernetes.io/instance-type",
                                              "beta.kubernetes.io/os",
                                              "beta.kubernetes.io/arch",
                                              "topology.kubernetes.io/region",
                                              "topology.kubernetes.io/zone",
                                              "failure-domain.beta.kubernetes.io/region",
                                              "failure-domain.beta.kubernetes.io/zone"};
  return std::find(std::begin(kOwn), std::end(kOwn), key) == std::end(kOwn);
}

// Labels that were added, changed or removed although a kubelet may not, sorted.
std::string forbiddenLabels(const Node& now, const Node* old) {
  std::set<std::string> bad;
  auto differing = [&](const auto& from, const auto* against) {
    for (const auto& [key, value] : from) {
      const codec::String* other = against != nullptr ? against->find(key) : nullptr;
      if ((other == nullptr || !(*other == value)) && forbiddenLabel(key)) bad.insert(key.str());
    }
  };
  differing(now.metadata.labels, old != nullptr ? &old->metadata.labels : nullptr);
  if (old != nullptr) differing(old->metadata.labels, &now.metadata.labels);
  return fmt::format("{}", fmt::join(bad, ", "));
}

bool sameClaims(const Pod& a, const Pod& b) {
  const auto& x = a.status.resourceClaimStatuses;
  const auto& y = b.status.resourceClaimStatuses;
  return std::equal(x.begin(), x.end(), y.begin(), y.end(), [](const auto& l, const auto& r) {
    return l.name == r.name && l.resourceClaimName == r.resourceClaimName;
  });
}

// Which objects a pod's volume needs of the API, "" if none.
std::string_view neededBy(const Volume& v) {
  if (v.csi) return "csidrivers (via CSI volumes)";
  if (v.glusterfs) return "endpoints (via glusterFS volumes)";
  if (v.persistentVolumeClaim) return "persistentvolumeclaims";
  if (v.ephemeral) return "persistentvolumeclaims (via ephemeral volumes)";
  if (!v.projected) return "";
  for (const auto& s : v.projected->sources) {
    if (s.serviceAccountToken) return "serviceaccounts (via projected volumes)";
    if (s.clusterTrustBundle) return "clustertrustbundles";
    if (s.podCertificate) return "podcertificates";
  }
  return "";
}

// Which objects a pod needs of the API, "" if none: a static pod needs none.
std::string_view neededBy(const PodSpec& spec) {
  if (!spec.serviceAccountName.empty()) return "serviceaccounts";
  if (refersToSecrets(spec)) return "secrets";
  if (refersToConfigMaps(spec)) return "configmaps";
  if (!spec.resourceClaims.empty()) return "resourceclaims";
  for (const Volume& v : spec.volumes) {
    if (std::string_view what = neededBy(v); !what.empty()) return what;
  }
  return "";
}

std::string_view nameOf(Operation o) {
  switch (o) {
    case Operation::kCreate:
      return "CREATE";
    case Operation::kUpdate:
      return "UPDATE";
    case Operation::kDelete:
      return "DELETE";
    case Operation::kConnect:
      break;
  }
  return "CONNECT";
}

class NodeRestriction : public Plugin {
 public:
  explicit NodeRestriction(const PluginContext& c) : context_(c) {}
  std::string_view name() const override { return "NodeRestriction"; }

  Status mutate(Attributes& a) const override {
    if (!a.user->in(authn::kNodes) || !a.user->name.starts_with(authn::kNodePrefix)) return {};
    std::string node = nodeOf(*a.user);
    if (node.empty())
      return refuse(a, fmt::format("could not determine node from user \"{}\"", a.user->name));
    if (a.isFor("", "pods")) return pods(a, node);
    if (a.isFor("", "nodes")) return nodes(a, node);
    if (a.isFor("", "persistentvolumeclaims")) return claims(a, node);
    if (a.isFor("", "serviceaccounts")) return tokens(a, node);
    if (a.isFor("coordination.k8s.io", "leases")) return leases(a, node);
    if (a.isFor("storage.k8s.io", "csinodes")) return csiNodes(a, node);
    if (a.isFor("resource.k8s.io", "resourceslices")) return slices(a, node);
    if (a.isFor("certificates.k8s.io", "certificatesigningrequests")) return requests(a, node);
    return {};
  }

 private:
  static Status refuse(const Attributes& a, std::string why) {
    return errors::forbidden({a.resource->group, a.resource->name}, nameIn(a), why);
  }

  // The name of a create stands in the object only.
  static std::string_view nameIn(const Attributes& a) {
    return a.name.empty() && a.object != nullptr ? a.object->name() : a.name;
  }

  Status pods(const Attributes& a, const std::string& node) const {
    if (a.subresource == "status") return podStatus(a, node);
    if (a.subresource == "eviction") return eviction(a, node);
    if (!a.subresource.empty())
      return refuse(a,
                    fmt::format("unexpected pod subresource \"{}\", only 'status' and 'eviction' are allowed",
                                a.subresource));
    if (a.operation == Operation::kCreate) return mirrorPod(a, node);
    if (a.operation == Operation::kDelete) {
      if (a.old == nullptr || a.old->as<Pod>().spec.nodeName == node) return {};
      return refuse(a,
                    fmt::format("node \"{}\" can only delete pods with spec.nodeName set to itself", node));
    }
    return refuse(
        a, fmt::format("unexpected operation \"{}\", node \"{}\" can only create and delete mirror pods",
                       nameOf(a.operation), node));
  }

  Status podStatus(const Attributes& a, const std::string& node) const {
    if (a.operation != Operation::kUpdate || a.old == nullptr)
      return refuse(a, fmt::format("unexpected operation \"{}\"", nameOf(a.operation)));
    const Pod& old = a.old->as<Pod>();
    const Pod& now = a.object->as<Pod>();
    if (old.spec.nodeName != node) {
      return refuse(
          a, fmt::format("node \"{}\" can only update pod status for pods with spec.nodeName set to itself",
                         node));
    }
    if (!(now.metadata.labels == old.metadata.labels))
      return refuse(a, fmt::format("node \"{}\" cannot update labels through pod status", node));
    if (!sameClaims(now, old))
      return refuse(a, fmt::format("node \"{}\" cannot update resource claim statues", node));
    bool extended = now.status.extendedResourceClaimStatus || old.status.extendedResourceClaimStatus;
    if (extended && !(now.status.extendedResourceClaimStatus == old.status.extendedResourceClaimStatus)) {
      return refuse(a, fmt::format("node \"{}\" cannot update extended resource claim status", node));
    }
    return {};
  }

  Status eviction(const Attributes& a, const std::string& node) const {
    api::ObjectPtr pod = context_.get("", "pods", a.ns, nameIn(a));
    if (!pod) return errors::notFound({"", "pod"}, nameIn(a));
    if (pod->as<Pod>().spec.nodeName == node) return {};
    return refuse(a, fmt::format("node {} can only evict pods with spec.nodeName set to itself", node));
  }

  Status mirrorPod(const Attributes& a, const std::string& node) const {
    const Pod& pod = a.object->as<Pod>();
    if (!pod.metadata.annotations.contains("kubernetes.io/config.mirror")) {
      return refuse(a, fmt::format("pod does not have \"kubernetes.io/config.mirror\" annotation, node "
                                   "\"{}\" can only create mirror pods",
                                   node));
    }
    if (pod.spec.nodeName != node)
      return refuse(a,
                    fmt::format("node \"{}\" can only create pods with spec.nodeName set to itself", node));
    const auto& owners = pod.metadata.ownerReferences;
    if (owners.size() > 1)
      return refuse(
          a,
          fmt::format("node \"{}\" can only create pods with a single owner reference set to itself", node));
    bool own = owners.size() == 1 && owners[0].apiVersion == "v1" && owners[0].kind == "Node" &&
               owners[0].name == node;
    if (!own)
      return refuse(
          a, fmt::format("node \"{}\" can only create pods with an owner reference set to itself", node));
    if (!owners[0].controller.value_or(false)) {
      return refuse(
          a, fmt::format("node \"{}\" can only create pods with a controller owner reference set to itself",
                         node));
    }
    if (owners[0].blockOwnerDeletion.value_or(false)) {
      return refuse(a,
                    fmt::format("node \"{}\" must not set blockOwnerDeletion on an owner reference", node));
    }
    api::ObjectPtr o = context_.get("", "nodes", "", node);
    if (!o) return errors::notFound({"", "node"}, node);
    if (owners[0].uid != o->meta().uid) {
      return refuse(
          a, fmt::format("node {} UID mismatch: expected {} got {}", node, owners[0].uid, o->meta().uid));
    }
    std::string_view needed = neededBy(pod.spec);
    return needed.empty()
               ? Status()
               : refuse(a, fmt::format("node \"{}\" can not create pods that reference {}", node, needed));
  }

  Status nodes(const Attributes& a, const std::string& node) const {
    if (nameIn(a) != node)
      return refuse(a, fmt::format("node \"{}\" is not allowed to modify node \"{}\"", node, nameIn(a)));
    if (a.operation == Operation::kDelete || a.object == nullptr) return {};
    const Node& now = a.object->as<Node>();
    if (a.operation == Operation::kCreate) {
      if (now.spec.configSource)
        return refuse(
            a, fmt::format("node \"{}\" is not allowed to create pods with a non-nil configSource", node));
      std::string bad = forbiddenLabels(now, nullptr);
      return bad.empty() ? Status()
                         : refuse(a, fmt::format("node \"{}\" is not allowed to set the following labels: {}",
                                                 node, bad));
    }
    const Node& old = a.old->as<Node>();
    if (now.spec.configSource && !(now.spec.configSource == old.spec.configSource)) {
      return refuse(
          a, fmt::format("node \"{}\" is not allowed to update configSource to a new non-nil configSource",
                         node));
    }
    if (!(now.spec.taints == old.spec.taints))
      return refuse(a, fmt::format("node \"{}\" is not allowed to modify taints", node));
    if (!(now.metadata.ownerReferences == old.metadata.ownerReferences)) {
      return refuse(a, fmt::format("node \"{}\" is not allowed to modify ownerReferences", node));
    }
    std::string bad = forbiddenLabels(now, &old);
    return bad.empty() ? Status() : refuse(a, fmt::format("is not allowed to modify labels: {}", bad));
  }

  Status claims(const Attributes& a, const std::string& node) const {
    if (a.subresource != "status") return refuse(a, "may only update PVC status");
    if (a.operation != Operation::kUpdate)
      return refuse(a, fmt::format("unexpected operation \"{}\"", nameOf(a.operation)));
    auto rest = [](const api::Object& o) {
      api::MutableObject copy = o.clone();
      auto& c = copy->as<PersistentVolumeClaim>();
      c.metadata.resourceVersion = codec::String();
      c.metadata.managedFields.clear();
      c.status.capacity = {};
      c.status.conditions.clear();
      c.status.allocatedResourceStatuses = {};
      c.status.allocatedResources = {};
      return copy;
    };
    if (codec::equal(&rest(*a.object)->as<PersistentVolumeClaim>(),
                     &rest(*a.old)->as<PersistentVolumeClaim>(), PersistentVolumeClaim::kType))
      return {};
    return refuse(
        a, fmt::format(
               "node \"{}\" is not allowed to update fields other than status.quantity and status.conditions",
               node));
  }

  Status leases(const Attributes& a, const std::string& node) const {
    if (a.ns != "kube-node-lease")
      return refuse(a, "can only access leases in the \"kube-node-lease\" system namespace");
    if (nameIn(a) != node)
      return refuse(a, "can only access node lease with the same name as the requesting node");
    return {};
  }

  Status csiNodes(const Attributes& a, const std::string& node) const {
    return nameIn(a) == node ? Status()
                             : refuse(a, "can only access CSINode with the same name as the requesting node");
  }

  Status slices(const Attributes& a, const std::string& node) const {
    auto own = [&](const api::Object* o) {
      if (o == nullptr) return true;
      const auto& of = o->as<api::resource_v1::ResourceSlice>().spec.nodeName;
      return of && *of == node;
    };
    if (a.operation == Operation::kCreate && !own(a.object.get()))
      return refuse(a, "can only create ResourceSlice with the same NodeName as the requesting node");
    if (a.operation == Operation::kDelete && !own(a.old.get()))
      return refuse(a, "can only delete ResourceSlice with the same NodeName as the requesting node");
    return {};
  }

  Status requests(const Attributes& a, const std::string& node) const {
    if (a.operation != Operation::kCreate || a.object == nullptr) return {};
    const auto& spec = a.object->as<api::certificates_v1::CertificateSigningRequest>().spec;
    if (spec.signerName != "kubernetes.io/kubelet-serving" &&
        spec.signerName != "kubernetes.io/kube-apiserver-client-kubelet")
      return {};
    auto asked = pki::parseRequest(spec.request.view());
    if (!asked.ok()) return refuse(a, fmt::format("unable to parse csr: {}", asked.status().message()));
    if (asked->commonName == a.user->name) return {};
    return refuse(a, fmt::format("can only create a node CSR with CN=system:node:{}", node));
  }

  Status tokens(const Attributes& a, const std::string& node) const {
    if (a.operation != Operation::kCreate || a.subresource != "token" || a.object == nullptr) return {};
    const auto& spec = a.object->as<api::authentication_v1::TokenRequest>().spec;
    const auto& ref = spec.boundObjectRef;
    if (!ref || ref->apiVersion != "v1" || ref->kind != "Pod" || ref->name.empty())
      return refuse(a, "node requested token not bound to a pod");
    if (ref->uid.empty()) return refuse(a, "node requested token with a pod binding without a uid");
    api::ObjectPtr pod = context_.get("", "pods", a.ns, ref->name);
    if (!pod) return errors::notFound({"", "pod"}, ref->name);
    if (ref->uid != pod->meta().uid) {
      return refuse(a, fmt::format("the UID in the bound object reference ({}) does not match the UID in "
                                   "record. The object might have been deleted and then "
                                   "recreated",
                                   ref->uid));
    }
    if (pod->as<Pod>().spec.nodeName != node)
      return refuse(a, "node requested token bound to a pod scheduled on a different node");
    if (spec.audiences.size() > 1) return refuse(a, "node may only request 0 or 1 audiences");
    std::string audience = spec.audiences.empty() ? "" : spec.audiences[0].str();
    if (mentions(pod->as<Pod>(), audience)) return {};
    if (context_.mayUseAudience && context_.mayUseAudience(*a.user, a.ns, audience, a.name)) return {};
    return refuse(a, fmt::format("audience \"{}\" not found in pod spec volume, {} is not authorized to "
                                 "request tokens for this audience",
                                 audience, a.user->name));
  }

  // Does a volume of the pod need a token for the audience?
  bool mentions(const Pod& pod, const std::string& audience) const {
    return std::any_of(pod.spec.volumes.begin(), pod.spec.volumes.end(), [&](const Volume& v) {
      if (v.projected) {
        for (const auto& s : v.projected->sources) {
          if (s.serviceAccountToken && s.serviceAccountToken->audience == audience) return true;
        }
      }
      std::string driver = driverOf(pod, v);
      api::ObjectPtr o = driver.empty() ? nullptr : context_.get("storage.k8s.io", "csidrivers", "", driver);
      if (!o) return false;
      const auto& wanted = o->as<api::storage_v1::CSIDriver>().spec.tokenRequests;
      return std::any_of(wanted.begin(), wanted.end(), [&](const auto& t) { return t.audience == audience; });
    });
  }

  std::string driverOf(const Pod& pod, const Volume& v) const {
    if (v.csi) return v.csi->driver.str();
    std::string name = v.persistentVolumeClaim ? v.persistentVolumeClaim->claimName.str()
                       : v.ephemeral           ? fmt::format("{}-{}", pod.metadata.name, v.name)
                                               : std::string();
    api::ObjectPtr claim =
        name.empty() ? nullptr : context_.get("", "persistentvolumeclaims", pod.metadata.namespace_, name);
    if (!claim) return "";
    api::ObjectPtr volume =
        context_.get("", "persistentvolumes", "", claim->as<PersistentVolumeClaim>().spec.volumeName);
    if (!volume || !volume->as<PersistentVolume>().spec.csi) return "";
    return volume->as<PersistentVolume>().spec.csi->driver.str();
  }

  PluginContext context_;
};

}  // namespace

std::unique_ptr<Plugin> makeNodeRestriction(const PluginContext& c) {
  return std::make_unique<NodeRestriction>(c);
}

}  // namespace km::admission
