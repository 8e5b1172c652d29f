#include "registry/go_json.h"

#include <algorithm>
#include <sstream>

#include "api/types/core_v1.h"
#include "base/strings.h"
#include "codec/json.h"
#include "codec/ops.h"
#include "registry/unified_diff.h"

namespace km::registry {
namespace {

// Go's name of a field, where it is not the JSON name with a capital. A name before the dot is for that type only.
constexpr std::pair<std::string_view, std::string_view> kNames[] = {
    {"uid", "UID"}, {"gid", "GID"}, {"ip", "IP"}, {"ips", "IPs"}, {"apiGroup", "APIGroup"}, {"apiGroups", "APIGroups"},
    {"apiVersion", "APIVersion"}, {"apiVersions", "APIVersions"}, {"hostIP", "HostIP"}, {"seLinuxOptions", "SELinuxOptions"},
    {"seLinuxChangePolicy", "SELinuxChangePolicy"}, {"seLinuxMount", "SELinuxMount"}, {"gcePersistentDisk", "GCEPersistentDisk"},
    {"awsElasticBlockStore", "AWSElasticBlockStore"}, {"nfs", "NFS"}, {"iscsi", "ISCSI"}, {"rbd", "RBD"}, {"cephfs", "CephFS"},
    {"fc", "FC"}, {"storageos", "StorageOS"}, {"csi", "CSI"}, {"fsType", "FSType"}, {"iqn", "IQN"},
    {"iscsiInterface", "ISCSIInterface"}, {"chapAuthDiscovery", "DiscoveryCHAPAuth"}, {"chapAuthSession", "SessionCHAPAuth"},
    {"wwids", "WWIDs"}, {"pdName", "PDName"}, {"sslEnabled", "SSLEnabled"}, {"httpHeaders", "HTTPHeaders"}, {"tty", "TTY"},
    {"httpGet", "HTTPGet"}, {"tcpSocket", "TCPSocket"}, {"grpc", "GRPC"}, {"lastState", "LastTerminationState"},
    {"dnsPolicy", "DNSPolicy"}, {"dnsConfig", "DNSConfig"}, {"os", "OS"}, {"osImage", "OSImage"}, {"fsGroup", "FSGroup"},
    {"fsGroupChangePolicy", "FSGroupChangePolicy"}, {"fsGroupPolicy", "FSGroupPolicy"}, {"qosClass", "QOSClass"},
    {"ipMode", "IPMode"}, {"ipFamilies", "IPFamilies"}, {"ipFamilyPolicy", "IPFamilyPolicy"},
    {"gmsaCredentialSpecName", "GMSACredentialSpecName"}, {"gmsaCredentialSpec", "GMSACredentialSpec"},
    {"ttlSecondsAfterFinished", "TTLSecondsAfterFinished"}, {"cidr", "CIDR"}, {"cidrs", "CIDRs"}, {"ipBlock", "IPBlock"},
    {"tls", "TLS"}, {"http", "HTTP"}, {"jsonPatch", "JSONPatch"}, {"url", "URL"}, {"caBundle", "CABundle"}, {"diskURI", "DataDiskURI"},
    {"GlusterfsVolumeSource.endpoints", "EndpointsName"}, {"GlusterfsPersistentVolumeSource.endpoints", "EndpointsName"},
    {"RBDVolumeSource.monitors", "CephMonitors"}, {"RBDVolumeSource.image", "RBDImage"}, {"RBDVolumeSource.pool", "RBDPool"},
    {"RBDVolumeSource.user", "RadosUser"}, {"RBDPersistentVolumeSource.monitors", "CephMonitors"},
    {"RBDPersistentVolumeSource.image", "RBDImage"}, {"RBDPersistentVolumeSource.pool", "RBDPool"},
    {"RBDPersistentVolumeSource.user", "RadosUser"}, {"Event.reportingComponent", "ReportingController"},
};

// The order of the internal type, by JSON names, where it differs. Fields that are not named don't exist there;
// "+NAME" exists only there and prints as null.
constexpr std::pair<std::string_view, std::string_view> kOrders[] = {
    {"Volume",
     "name hostPath emptyDir gcePersistentDisk awsElasticBlockStore gitRepo secret nfs iscsi glusterfs persistentVolumeClaim rbd quobyte "
     "flexVolume cinder cephfs flocker downwardAPI fc azureFile configMap vsphereVolume azureDisk photonPersistentDisk projected "
     "portworxVolume scaleIO storageos csi ephemeral image"},
    {"PersistentVolumeSpec",
     "capacity gcePersistentDisk awsElasticBlockStore hostPath glusterfs nfs rbd quobyte iscsi flexVolume cinder cephfs fc flocker "
     "azureFile vsphereVolume azureDisk photonPersistentDisk portworxVolume scaleIO local storageos csi accessModes claimRef "
     "persistentVolumeReclaimPolicy storageClassName mountOptions volumeMode nodeAffinity volumeAttributesClassName"},
    {"PersistentVolumeSource",
     "gcePersistentDisk awsElasticBlockStore hostPath glusterfs nfs rbd quobyte iscsi flexVolume cinder cephfs fc flocker azureFile "
     "vsphereVolume azureDisk photonPersistentDisk portworxVolume scaleIO local storageos csi"},
    {"PodSpec",
     "volumes initContainers containers ephemeralContainers restartPolicy terminationGracePeriodSeconds activeDeadlineSeconds dnsPolicy "
     "nodeSelector serviceAccountName automountServiceAccountToken nodeName securityContext imagePullSecrets hostname subdomain "
     "setHostnameAsFQDN affinity schedulerName tolerations hostAliases priorityClassName priority preemptionPolicy dnsConfig "
     "readinessGates runtimeClassName overhead enableServiceLinks topologySpreadConstraints os schedulingGates resourceClaims resources "
     "hostnameOverride schedulingGroup"},
    {"PodSecurityContext",
     "seLinuxOptions windowsOptions runAsUser runAsGroup runAsNonRoot supplementalGroups supplementalGroupsPolicy fsGroup "
     "fsGroupChangePolicy sysctls seccompProfile appArmorProfile seLinuxChangePolicy"},
    {"ServiceSpec",
     "type ports selector clusterIP clusterIPs ipFamilies ipFamilyPolicy externalName externalIPs loadBalancerIP sessionAffinity "
     "sessionAffinityConfig loadBalancerSourceRanges externalTrafficPolicy healthCheckNodePort publishNotReadyAddresses "
     "allocateLoadBalancerNodePorts loadBalancerClass internalTrafficPolicy trafficDistribution"},
    {"DeploymentSpec",
     "replicas selector template strategy minReadySeconds revisionHistoryLimit paused +RollbackTo progressDeadlineSeconds"},
    {"JobSpec",
     "parallelism completions podFailurePolicy successPolicy activeDeadlineSeconds backoffLimit backoffLimitPerIndex maxFailedIndexes "
     "selector manualSelector template ttlSecondsAfterFinished completionMode suspend podReplacementPolicy managedBy"},
    {"ContainerResourceMetricSource", "name container target"},
    {"ContainerResourceMetricStatus", "name container current"},
    {"CSIDriverSpec",
     "attachRequired fsGroupPolicy podInfoOnMount volumeLifecycleModes storageCapacity tokenRequests requiresRepublish seLinuxMount "
     "nodeAllocatableUpdatePeriodSeconds serviceAccountTokenInSecrets preventPodSchedulingIfMissing"},
    {"ValidatingAdmissionPolicySpec",
     "paramKind matchConstraints validations matchConditions failurePolicy auditAnnotations variables"},
};

// Types of metav1 are the same inside and have tags.
constexpr std::string_view kTagged[] = {"LabelSelector", "LabelSelectorRequirement", "FieldSelectorRequirement", "Condition", "OwnerReference"};

std::string goName(std::string_view type, std::string_view json) {
  for (auto [from, to] : kNames) {
    size_t dot = from.find('.');
    if (dot == std::string_view::npos ? from == json : from.substr(0, dot) == type && from.substr(dot + 1) == json) return std::string(to);
  }
  std::string out(json);
  if (!out.empty() && out[0] >= 'a' && out[0] <= 'z') out[0] = static_cast<char>(out[0] - 32);
  return out;
}

// The value of a field by the ordinary encoder: cut out of an object that holds nothing else.
std::string plainJson(const void* object, const codec::Field& f) {
  codec::Field one = f;
  one.flags = static_cast<uint8_t>(one.flags & ~(codec::kOmitEmpty | codec::kOmitZero));
  codec::TypeInfo t = {"", "", &one, &one, 1, 1, 0, codec::Form::kObject, 0};
  std::string text;
  codec::encodeJson(text, object, t, "");
  size_t colon = text.find(':');
  return text.substr(colon + 1, text.size() - colon - 2);
}

class Printer {
 public:
  std::string out;

  void object(const void* o, const codec::TypeInfo& t) {
    if (std::find(std::begin(kTagged), std::end(kTagged), t.name) != std::end(kTagged)) return codec::encodeJson(out, o, t, "");
    out += '{';
    fields(o, t);
    out += '}';
  }

 private:
  bool first() const { return out.back() == '{'; }
  void name(std::string_view n) {
    if (!first()) out += ',';
    out += '"';
    out += n;
    out += "\":";
  }

  void fields(const void* o, const codec::TypeInfo& t) {
    for (auto [type, order] : kOrders) {
      if (type != t.name) continue;
      for (std::string_view word : split(order, ' ')) {
        if (word[0] == '+') {
          name(word.substr(1));
          out += "null";
        } else if (const codec::Field* f = t.find(word)) {
          field(o, t, *f);
        }
      }
      return;
    }
    for (const codec::Field& f : t) field(o, t, f);
  }

  void field(const void* o, const codec::TypeInfo& t, const codec::Field& f) {
    const void* place = codec::at(o, f);
    if (f.name == "metadata" && f.kind == codec::Kind::kMessage) {
      // Embedded: its fields stand among ours, as its tags say.
      std::string meta;
      codec::encodeJson(meta, place, *f.type, "");
      if (meta.size() <= 2) return;
      if (!first()) out += ',';
      out += meta.substr(1, meta.size() - 2);
      return;
    }
    name(goName(t.name, f.name));
    // Pointers here that are values there.
    static constexpr std::string_view kValues[] = {"RollingUpdateDaemonSet", "RollingUpdateDeployment"};
    if (f.kind == codec::Kind::kIntOrString && codec::isEmptyField(o, f) &&
        std::find(std::begin(kValues), std::end(kValues), t.name) != std::end(kValues)) {
      out += '0';
      return;
    }
    bool hostSettings = t.name == "PodSpec" && f.name == "securityContext";
    if (codec::isEmptyField(o, f) && f.shape != codec::Shape::kPlain) {
      out += "null";
    } else if (f.kind != codec::Kind::kMessage) {
      out += plainJson(o, f);
    } else if (f.shape == codec::Shape::kPlain) {
      object(place, *f.type);
    } else if (f.shape == codec::Shape::kOpt) {
      const void* inner = *static_cast<void* const*>(place);
      if (hostSettings) return podSecurity(*static_cast<const api::core_v1::PodSpec*>(o), inner, *f.type);
      object(inner, *f.type);
    } else if (f.shape == codec::Shape::kList) {
      list(*static_cast<const codec::ListBase*>(place), *f.type);
    } else {
      out += plainJson(o, f);
    }
  }

  void list(const codec::ListBase& l, const codec::TypeInfo& t) {
    out += '[';
    for (uint32_t i = 0; i < l.size_; i++) {
      if (i > 0) out += ',';
      object(static_cast<const char*>(l.data_) + static_cast<size_t>(i) * t.size, t);
    }
    out += ']';
  }

  // The host's namespaces are settings of the pod's security context there.
  void podSecurity(const api::core_v1::PodSpec& spec, const void* context, const codec::TypeInfo& t) {
    auto text = [](bool b) { return b ? "true" : "false"; };
    auto optional = [&](const std::optional<bool>& b) { return b ? text(*b) : "null"; };
    out += '{';
    name("HostNetwork");
    out += text(spec.hostNetwork);
    name("HostPID");
    out += text(spec.hostPID);
    name("HostIPC");
    out += text(spec.hostIPC);
    name("ShareProcessNamespace");
    out += optional(spec.shareProcessNamespace);
    name("HostUsers");
    out += optional(spec.hostUsers);
    fields(context, t);
    out += '}';
  }
};

// Go's json.Indent with one space a level.
std::vector<std::string> indented(std::string_view json) {
  std::vector<std::string> lines(1);
  size_t depth = 0;
  auto newLine = [&] { lines.emplace_back(depth, ' '); };
  bool inText = false;
  for (size_t i = 0; i < json.size(); i++) {
    char c = json[i];
    if (inText) {
      lines.back() += c;
      if (c == '\\') lines.back() += json[++i];
      if (c == '"') inText = false;
      continue;
    }
    if (c == '{' || c == '[') {
      lines.back() += c;
      if (i + 1 < json.size() && (json[i + 1] == '}' || json[i + 1] == ']')) {
        lines.back() += json[++i];
        continue;
      }
      depth++;
      newLine();
    } else if (c == '}' || c == ']') {
      depth--;
      newLine();
      lines.back() += c;
    } else if (c == ',') {
      lines.back() += c;
      newLine();
    } else {
      lines.back() += c;
      if (c == ':') lines.back() += ' ';
      if (c == '"') inText = true;
    }
  }
  return lines;
}

}  // namespace

std::string goJson(const void* object, const codec::TypeInfo& t) {
  Printer p;
  p.object(object, t);
  return std::move(p.out);
}

std::string goDiff(const void* a, const void* b, const codec::TypeInfo& t) {
  return unifiedDiff(indented(goJson(a, t)), indented(goJson(b, t)));
}

}  // namespace km::registry
