#include "admission/pod_security_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "api/field_error.h"
#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/strings.h"

namespace km::admission {
namespace {

using api::core_v1::PodSpec;
using Meta = api::meta_v1::ObjectMeta;
using Found = std::optional<Violation>;
using Names = std::vector<std::string>;
using Values = std::set<std::string>;

template <typename List>
std::string quoted(const List& items) {
  std::string out;
  for (const auto& i : items) out += fmt::format("{}\"{}\"", out.empty() ? "" : ", ", i);
  return out;
}

std::string_view plural(size_t n, std::string_view one, std::string_view many) { return n == 1 ? one : many; }

std::string containersText(const Names& names) { return fmt::format("{} {}", plural(names.size(), "container", "containers"), quoted(names)); }

// Every container, of whatever list, with its own type.
template <typename Visit>
void visit(const PodSpec& s, Visit visitor) {
  for (const auto& c : s.initContainers) visitor(c);
  for (const auto& c : s.containers) visitor(c);
  for (const auto& c : s.ephemeralContainers) visitor(c);
}

bool isWindows(const PodSpec& s) { return s.os && s.os->name == "windows"; }
bool hasUserNamespace(const PodSpec& s) { return s.hostUsers && !*s.hostUsers; }

// Who sets something: the pod, some containers, or both.
struct Setters {
  bool pod = false;
  Names containers;
  bool none() const { return !pod && containers.empty(); }
  std::string str() const {
    if (containers.empty()) return "pod";
    return (pod ? "pod and " : "") + containersText(containers);
  }
};

// --- baseline -----------------------------------------------------------------------------------------

Found appArmor(const Meta& meta, const PodSpec& s) {
  Setters bad;
  Values values;
  auto allowed = [](const auto& profile) { return profile.type == "RuntimeDefault" || profile.type == "Localhost"; };
  if (s.securityContext && s.securityContext->appArmorProfile && !allowed(*s.securityContext->appArmorProfile)) {
    bad.pod = true;
    values.insert(s.securityContext->appArmorProfile->type.str());
  }
  visit(s, [&](const auto& c) {
    if (!c.securityContext || !c.securityContext->appArmorProfile || allowed(*c.securityContext->appArmorProfile)) return;
    bad.containers.push_back(c.name.str());
    values.insert(c.securityContext->appArmorProfile->type.str());
  });
  Names list(values.begin(), values.end()), annotations;
  for (const auto& [key, value] : meta.annotations) {
    if (!key.view().starts_with("container.apparmor.security.beta.kubernetes.io/")) continue;
    bool fine = value.empty() || value == "runtime/default" || value.view().starts_with("localhost/");
    if (!fine) annotations.push_back(fmt::format("{}={}", key, api::goQuote(value)));
  }
  std::string setters = bad.none() ? "" : bad.str();
  if (!annotations.empty()) {
    std::sort(annotations.begin(), annotations.end());
    list.insert(list.end(), annotations.begin(), annotations.end());
    if (!setters.empty()) setters += " and ";
    setters += plural(annotations.size(), "annotation", "annotations");
  }
  if (setters.empty()) return std::nullopt;
  return Violation{std::string(plural(list.size(), "forbidden AppArmor profile", "forbidden AppArmor profiles")),
                   fmt::format("{} must not set AppArmor profile type to {}", setters, quoted(list))};
}

Found capabilities(const Meta&, const PodSpec& s) {
  static constexpr std::string_view kAllowed[] = {"AUDIT_WRITE", "CHOWN",   "DAC_OVERRIDE", "FOWNER", "FSETID",  "KILL",      "MKNOD",
                                                  "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"};
  Names bad;
  Values values;
  visit(s, [&](const auto& c) {
    if (!c.securityContext || !c.securityContext->capabilities) return;
    bool fine = true;
    for (const auto& added : c.securityContext->capabilities->add) {
      if (std::find(std::begin(kAllowed), std::end(kAllowed), added.view()) != std::end(kAllowed)) continue;
      fine = false;
      values.insert(added.str());
    }
    if (!fine) bad.push_back(c.name.str());
  });
  if (bad.empty()) return std::nullopt;
  return Violation{"non-default capabilities",
                   fmt::format("{} must not include {} in securityContext.capabilities.add", containersText(bad), quoted(values))};
}

Found hostNamespaces(const Meta&, const PodSpec& s) {
  std::vector<std::string> bad;
  if (s.hostNetwork) bad.emplace_back("hostNetwork=true");
  if (s.hostPID) bad.emplace_back("hostPID=true");
  if (s.hostIPC) bad.emplace_back("hostIPC=true");
  if (bad.empty()) return std::nullopt;
  return Violation{"host namespaces", join(bad, ", ")};
}

Found hostPathVolumes(const Meta&, const PodSpec& s) {
  Names bad;
  for (const auto& v : s.volumes) {
    if (v.hostPath) bad.push_back(v.name.str());
  }
  if (bad.empty()) return std::nullopt;
  return Violation{"hostPath volumes", fmt::format("{} {}", plural(bad.size(), "volume", "volumes"), quoted(bad))};
}

Found hostPorts(const Meta&, const PodSpec& s) {
  Names bad;
  Values ports;
  visit(s, [&](const auto& c) {
    bool fine = true;
    for (const auto& p : c.ports) {
      if (p.hostPort == 0) continue;
      fine = false;
      ports.insert(std::to_string(p.hostPort));
    }
    if (!fine) bad.push_back(c.name.str());
  });
  if (bad.empty()) return std::nullopt;
  Names list(ports.begin(), ports.end());
  return Violation{"hostPort", fmt::format("{} {} {} {}", containersText(bad), plural(bad.size(), "uses", "use"),
                                           plural(list.size(), "hostPort", "hostPorts"), join(list, ", "))};
}

Found hostProbes(const Meta&, const PodSpec& s) {
  Values bad, hosts;
  auto take = [&](const codec::String& name, const auto& handler) {
    if (!handler) return;
    auto host = [&](const auto& action) {
      if (!action || action->host.empty()) return;
      bad.insert(name.str());
      hosts.insert(action->host.str());
    };
    host(handler->httpGet);
    host(handler->tcpSocket);
  };
  visit(s, [&](const auto& c) {
    take(c.name, c.livenessProbe);
    take(c.name, c.readinessProbe);
    take(c.name, c.startupProbe);
    if (!c.lifecycle) return;
    take(c.name, c.lifecycle->postStart);
    take(c.name, c.lifecycle->preStop);
  });
  if (bad.empty()) return std::nullopt;
  Names names(bad.begin(), bad.end());
  return Violation{"probe or lifecycle host",
                   fmt::format("{} {} {} {}", containersText(names), plural(names.size(), "uses", "use"),
                               plural(hosts.size(), "probe or lifecycle host", "probe or lifecycle hosts"), quoted(hosts))};
}

Found privileged(const Meta&, const PodSpec& s) {
  Names bad;
  visit(s, [&](const auto& c) {
    if (c.securityContext && c.securityContext->privileged.value_or(false)) bad.push_back(c.name.str());
  });
  if (bad.empty()) return std::nullopt;
  return Violation{"privileged", containersText(bad) + " must not set securityContext.privileged=true"};
}

Found procMount(const Meta&, const PodSpec& s) {
  Names bad;
  Values values;
  visit(s, [&](const auto& c) {
    if (!c.securityContext || !c.securityContext->procMount || *c.securityContext->procMount == "Default") return;
    bad.push_back(c.name.str());
    values.insert(c.securityContext->procMount->str());
  });
  if (bad.empty()) return std::nullopt;
  return Violation{"procMount", fmt::format("{} must not set securityContext.procMount to {}", containersText(bad), quoted(values))};
}

Found procMount35(const Meta& meta, const PodSpec& s) { return hasUserNamespace(s) ? std::nullopt : procMount(meta, s); }

Found seLinux(const PodSpec& s, bool engine) {
  Setters bad;
  Values types;
  bool user = false, role = false;
  auto fine = [&](const auto& o) {
    bool known = o.type.empty() || o.type == "container_t" || o.type == "container_init_t" || o.type == "container_kvm_t" ||
                 (engine && o.type == "container_engine_t");
    if (!known) types.insert(o.type.str());
    user = user || !o.user.empty();
    role = role || !o.role.empty();
    return known && o.user.empty() && o.role.empty();
  };
  if (s.securityContext && s.securityContext->seLinuxOptions) bad.pod = !fine(*s.securityContext->seLinuxOptions);
  visit(s, [&](const auto& c) {
    if (c.securityContext && c.securityContext->seLinuxOptions && !fine(*c.securityContext->seLinuxOptions)) {
      bad.containers.push_back(c.name.str());
    }
  });
  if (bad.none()) return std::nullopt;
  std::vector<std::string> data;
  if (!types.empty()) data.push_back(fmt::format("{} {}", plural(types.size(), "type", "types"), quoted(types)));
  if (user) data.emplace_back("user may not be set");
  if (role) data.emplace_back("role may not be set");
  return Violation{"seLinuxOptions", fmt::format("{} set forbidden securityContext.seLinuxOptions: {}", bad.str(), join(data, "; "))};
}

Found seLinux10(const Meta&, const PodSpec& s) { return seLinux(s, false); }
Found seLinux31(const Meta&, const PodSpec& s) { return seLinux(s, true); }

Found seccompAnnotations(const Meta& meta, const PodSpec& s) {
  Values bad;
  auto look = [&](const std::string& key) {
    const codec::String* v = meta.annotations.find(key);
    if (v == nullptr || *v == "runtime/default" || *v == "docker/default" || v->view().starts_with("localhost/")) return;
    bad.insert(fmt::format("{}={}", key, api::goQuote(*v)));
  };
  look("seccomp.security.alpha.kubernetes.io/pod");
  visit(s, [&](const auto& c) { look(fmt::format("container.seccomp.security.alpha.kubernetes.io/{}", c.name)); });
  if (bad.empty()) return std::nullopt;
  Names list(bad.begin(), bad.end());
  return Violation{"seccompProfile", fmt::format("forbidden {} {}", plural(list.size(), "annotation", "annotations"), join(list, ", "))};
}

// `wanted`: a profile must be set.
Found seccomp(const PodSpec& s, bool wanted) {
  Setters bad;
  Names missing;
  Values values;
  bool ofPod = false;
  auto fine = [&](const auto& profile) {
    if (profile.type == "Localhost" || profile.type == "RuntimeDefault") return true;
    values.insert(profile.type.str());
    return false;
  };
  if (s.securityContext && s.securityContext->seccompProfile) {
    ofPod = fine(*s.securityContext->seccompProfile);
    bad.pod = !ofPod;
  }
  visit(s, [&](const auto& c) {
    if (c.securityContext && c.securityContext->seccompProfile) {
      if (!fine(*c.securityContext->seccompProfile)) bad.containers.push_back(c.name.str());
    } else if (!ofPod) {
      missing.push_back(c.name.str());
    }
  });
  if (!bad.none()) {
    return Violation{"seccompProfile", fmt::format("{} must not set securityContext.seccompProfile.type to {}", bad.str(), quoted(values))};
  }
  if (!wanted || missing.empty()) return std::nullopt;
  return Violation{"seccompProfile", fmt::format("pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
                                                 containersText(missing))};
}

Found seccompBaseline(const Meta&, const PodSpec& s) { return seccomp(s, false); }

Found sysctls(const PodSpec& s, int minor) {
  struct Row {
    std::string_view name;
    int since;
  };
  static constexpr Row kAllowed[] = {
      {"kernel.shm_rmid_forced", 0},           {"net.ipv4.ip_local_port_range", 0},        {"net.ipv4.tcp_syncookies", 0},
      {"net.ipv4.ping_group_range", 0},        {"net.ipv4.ip_unprivileged_port_start", 0}, {"net.ipv4.ip_local_reserved_ports", 27},
      {"net.ipv4.tcp_keepalive_time", 29},     {"net.ipv4.tcp_fin_timeout", 29},           {"net.ipv4.tcp_keepalive_intvl", 29},
      {"net.ipv4.tcp_keepalive_probes", 29},   {"net.ipv4.tcp_rmem", 32},                  {"net.ipv4.tcp_wmem", 32}};
  std::vector<std::string> bad;
  if (!s.securityContext) return std::nullopt;
  for (const auto& one : s.securityContext->sysctls) {
    bool allowed = false;
    for (const Row& r : kAllowed) allowed = allowed || (one.name == r.name && r.since <= minor);
    if (!allowed) bad.push_back(one.name.str());
  }
  if (bad.empty()) return std::nullopt;
  return Violation{"forbidden sysctls", join(bad, ", ")};
}
template <int minor>
Found sysctlsOf(const Meta&, const PodSpec& s) {
  return sysctls(s, minor);
}

Found windowsHostProcess(const Meta&, const PodSpec& s) {
  Setters bad;
  auto set = [](const auto& context) {
    return context && context->windowsOptions && context->windowsOptions->hostProcess.value_or(false);
  };
  bad.pod = set(s.securityContext);
  visit(s, [&](const auto& c) {
    if (set(c.securityContext)) bad.containers.push_back(c.name.str());
  });
  if (bad.none()) return std::nullopt;
  return Violation{"hostProcess", bad.str() + " must not set securityContext.windowsOptions.hostProcess=true"};
}

// --- restricted ---------------------------------------------------------------------------------------

template <Found (*check)(const Meta&, const PodSpec&)>
Found notOnWindows(const Meta& meta, const PodSpec& s) {
  return isWindows(s) ? std::nullopt : check(meta, s);
}
template <Found (*check)(const Meta&, const PodSpec&)>
Found notInUserNamespace(const Meta& meta, const PodSpec& s) {
  return hasUserNamespace(s) ? std::nullopt : check(meta, s);
}

Found escalation(const Meta&, const PodSpec& s) {
  Names bad;
  visit(s, [&](const auto& c) {
    if (!c.securityContext || c.securityContext->allowPrivilegeEscalation.value_or(true)) bad.push_back(c.name.str());
  });
  if (bad.empty()) return std::nullopt;
  return Violation{"allowPrivilegeEscalation != false", containersText(bad) + " must set securityContext.allowPrivilegeEscalation=false"};
}

Found restrictedCapabilities(const Meta&, const PodSpec& s) {
  Names keeping, adding;
  Values values;
  visit(s, [&](const auto& c) {
    if (!c.securityContext || !c.securityContext->capabilities) {
      keeping.push_back(c.name.str());
      return;
    }
    const auto& caps = *c.securityContext->capabilities;
    bool all = false, bad = false;
    for (const auto& d : caps.drop) all = all || d == "ALL";
    if (!all) keeping.push_back(c.name.str());
    for (const auto& a : caps.add) {
      if (a == "NET_BIND_SERVICE") continue;
      bad = true;
      values.insert(a.str());
    }
    if (bad) adding.push_back(c.name.str());
  });
  std::vector<std::string> details;
  if (!keeping.empty()) details.push_back(containersText(keeping) + " must set securityContext.capabilities.drop=[\"ALL\"]");
  if (!adding.empty()) {
    details.push_back(fmt::format("{} must not include {} in securityContext.capabilities.add", containersText(adding), quoted(values)));
  }
  if (details.empty()) return std::nullopt;
  return Violation{"unrestricted capabilities", join(details, "; ")};
}

Found restrictedVolumes(const Meta&, const PodSpec& s) {
  Names bad;
  Values types;
  for (const auto& v : s.volumes) {
    if (v.configMap || v.csi || v.downwardAPI || v.emptyDir || v.ephemeral || v.image || v.persistentVolumeClaim || v.projected || v.secret) {
      continue;
    }
    bad.push_back(v.name.str());
    // The first source in upstream's order, by its field.
    std::string_view type = "unknown";
    auto is = [&](bool has, std::string_view name) {
      if (has && type == "unknown") type = name;
    };
    is(bool(v.hostPath), "hostPath");
    is(bool(v.gcePersistentDisk), "gcePersistentDisk");
    is(bool(v.awsElasticBlockStore), "awsElasticBlockStore");
    is(bool(v.gitRepo), "gitRepo");
    is(bool(v.nfs), "nfs");
    is(bool(v.iscsi), "iscsi");
    is(bool(v.glusterfs), "glusterfs");
    is(bool(v.rbd), "rbd");
    is(bool(v.flexVolume), "flexVolume");
    is(bool(v.cinder), "cinder");
    is(bool(v.cephfs), "cephfs");
    is(bool(v.flocker), "flocker");
    is(bool(v.fc), "fc");
    is(bool(v.azureFile), "azureFile");
    is(bool(v.vsphereVolume), "vsphereVolume");
    is(bool(v.quobyte), "quobyte");
    is(bool(v.azureDisk), "azureDisk");
    is(bool(v.photonPersistentDisk), "photonPersistentDisk");
    is(bool(v.portworxVolume), "portworxVolume");
    is(bool(v.scaleIO), "scaleIO");
    is(bool(v.storageos), "storageos");
    types.emplace(type);
  }
  if (bad.empty()) return std::nullopt;
  return Violation{"restricted volume types",
                   fmt::format("{} {} {} {} {}", plural(bad.size(), "volume", "volumes"), quoted(bad), plural(bad.size(), "uses", "use"),
                               plural(types.size(), "restricted volume type", "restricted volume types"), quoted(types))};
}

Found nonRoot(const Meta&, const PodSpec& s) {
  Setters bad;
  Names missing;
  bool ofPod = false;
  if (s.securityContext && s.securityContext->runAsNonRoot) {
    ofPod = *s.securityContext->runAsNonRoot;
    bad.pod = !ofPod;
  }
  visit(s, [&](const auto& c) {
    if (c.securityContext && c.securityContext->runAsNonRoot) {
      if (!*c.securityContext->runAsNonRoot) bad.containers.push_back(c.name.str());
    } else if (!ofPod) {
      missing.push_back(c.name.str());
    }
  });
  if (!bad.none()) return Violation{"runAsNonRoot != true", bad.str() + " must not set securityContext.runAsNonRoot=false"};
  if (missing.empty()) return std::nullopt;
  return Violation{"runAsNonRoot != true", fmt::format("pod or {} must set securityContext.runAsNonRoot=true", containersText(missing))};
}

Found user(const Meta&, const PodSpec& s) {
  Setters bad;
  auto root = [](const auto& context) { return context && context->runAsUser && *context->runAsUser == 0; };
  bad.pod = root(s.securityContext);
  visit(s, [&](const auto& c) {
    if (root(c.securityContext)) bad.containers.push_back(c.name.str());
  });
  if (bad.none()) return std::nullopt;
  return Violation{"runAsUser=0", bad.str() + " must not set runAsUser=0"};
}

Found seccompRestricted(const Meta&, const PodSpec& s) { return seccomp(s, true); }

// --- the standards ------------------------------------------------------------------------------------

struct Check {
  std::string_view id;
  bool restricted;
  int since, until;  // minor versions; until is exclusive
  Found (*check)(const Meta&, const PodSpec&);
  std::string_view overrides = "";  // a baseline check that it takes the place of
};

constexpr int kEver = 1 << 30;
constexpr int kNewest = 35;  // the last version that changed a check

// In the order in which they are told: baseline before restricted, by id.
constexpr Check kChecks[] = {
    {"appArmorProfile", false, 0, kEver, appArmor},
    {"capabilities_baseline", false, 0, kEver, capabilities},
    {"hostNamespaces", false, 0, kEver, hostNamespaces},
    {"hostPathVolumes", false, 0, kEver, hostPathVolumes},
    {"hostPorts", false, 0, kEver, hostPorts},
    {"hostProbesAndHostLifecycle", false, 34, kEver, hostProbes},
    {"privileged", false, 0, kEver, privileged},
    {"procMount", false, 0, 35, procMount},
    {"procMount", false, 35, kEver, procMount35},
    {"seLinuxOptions", false, 0, 31, seLinux10},
    {"seLinuxOptions", false, 31, kEver, seLinux31},
    {"seccompProfile_baseline", false, 0, 19, seccompAnnotations},
    {"seccompProfile_baseline", false, 19, kEver, seccompBaseline},
    {"sysctls", false, 0, 27, sysctlsOf<0>},
    {"sysctls", false, 27, 29, sysctlsOf<27>},
    {"sysctls", false, 29, 32, sysctlsOf<29>},
    {"sysctls", false, 32, kEver, sysctlsOf<32>},
    {"windowsHostProcess", false, 0, kEver, windowsHostProcess},
    {"allowPrivilegeEscalation", true, 8, 25, escalation},
    {"allowPrivilegeEscalation", true, 25, kEver, notOnWindows<escalation>},
    {"capabilities_restricted", true, 22, 25, restrictedCapabilities, "capabilities_baseline"},
    {"capabilities_restricted", true, 25, kEver, notOnWindows<restrictedCapabilities>, "capabilities_baseline"},
    {"procMount_restricted", true, 35, kEver, procMount, "procMount"},
    {"restrictedVolumes", true, 0, kEver, restrictedVolumes, "hostPathVolumes"},
    {"runAsNonRoot", true, 0, 35, nonRoot},
    {"runAsNonRoot", true, 35, kEver, notInUserNamespace<nonRoot>},
    {"runAsUser", true, 23, 35, user},
    {"runAsUser", true, 35, kEver, notInUserNamespace<user>},
    {"seccompProfile_restricted", true, 19, 25, seccompRestricted, "seccompProfile_baseline"},
    {"seccompProfile_restricted", true, 25, kEver, notOnWindows<seccompRestricted>, "seccompProfile_baseline"},
};

}  // namespace

std::string PodSecurityPolicy::str() const {
  std::string_view name = level == PodSecurityLevel::kPrivileged ? "privileged" : level == PodSecurityLevel::kBaseline ? "baseline" : "restricted";
  return version.minor < 0 ? fmt::format("{}:latest", name) : fmt::format("{}:v1.{}", name, version.minor);
}

std::vector<Violation> podSecurityViolations(const PodSecurityPolicy& policy, const Meta& meta, const PodSpec& spec) {
  std::vector<Violation> out;
  if (policy.level == PodSecurityLevel::kPrivileged) return out;
  bool restricted = policy.level == PodSecurityLevel::kRestricted;
  int minor = policy.version.minor < 0 ? kNewest : std::min(policy.version.minor, kNewest);
  auto holds = [&](const Check& c) { return c.since <= minor && minor < c.until && (restricted || !c.restricted); };
  for (const Check& c : kChecks) {
    if (!holds(c)) continue;
    bool overridden = false;
    for (const Check& other : kChecks) overridden = overridden || (holds(other) && other.overrides == c.id);
    if (overridden) continue;
    if (Found v = c.check(meta, spec)) out.push_back(std::move(*v));
  }
  return out;
}

std::string reasonsOf(const std::vector<Violation>& violations) {
  std::string out;
  for (const Violation& v : violations) out += (out.empty() ? "" : ", ") + v.reason;
  return out;
}

std::string detailsOf(const std::vector<Violation>& violations) {
  std::string out;
  for (const Violation& v : violations) {
    if (!out.empty()) out += ", ";
    out += v.reason;
    if (!v.detail.empty()) out += fmt::format(" ({})", v.detail);
  }
  return out;
}

}  // namespace km::admission
