#include "kubelet/security.h"

#include <fmt/format.h>

namespace km::kubelet {
namespace {

using namespace api::cri_runtime_v1;

constexpr std::string_view kMasked[] = {"/proc/asound",     "/proc/acpi",        "/proc/interrupts",      "/proc/kcore",
                                        "/proc/keys",       "/proc/latency_stats", "/proc/timer_list",    "/proc/timer_stats",
                                        "/proc/sched_debug", "/proc/scsi",       "/sys/firmware",         "/sys/devices/virtual/powercap"};
constexpr std::string_view kReadOnly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};

SecurityProfile seccompOf(const Options& options, const v1::SeccompProfile* p) {
  SecurityProfile out;
  out.profileType = ProfileType::kUnconfined;
  if (!p) return out;
  if (p->type == "RuntimeDefault") out.profileType = ProfileType::kRuntimeDefault;
  if (p->type == "Localhost") {
    out.profileType = ProfileType::kLocalhost;
    out.localhostRef = options.rootDir + "/seccomp/" + (p->localhostProfile ? p->localhostProfile->str() : "");
  }
  return out;
}

template <typename T>
void setId(codec::Box<Int64Value>& to, const std::optional<T>& from) {
  if (from) to.ensure().value = *from;
}

void addGroups(const v1::PodSecurityContext& sc, codec::List<int64_t>& groups, int32_t& policy) {
  for (int64_t g : sc.supplementalGroups) groups.push_back(g);
  if (sc.fsGroup) groups.push_back(*sc.fsGroup);
  policy = sc.supplementalGroupsPolicy && *sc.supplementalGroupsPolicy == "Strict" ? SupplementalGroupsPolicy::kStrict : SupplementalGroupsPolicy::kMerge;
}

template <typename F>
void addSelinux(codec::Box<SELinuxOption>& to, const F& from) {
  if (!from) return;
  auto& o = to.ensure();
  o.user = from->user;
  o.role = from->role;
  o.type = from->type;
  o.level = from->level;
}

bool hasCap(const v1::SecurityContext* sc, std::string_view name) {
  if (!sc || !sc->capabilities) return false;
  for (const auto& c : sc->capabilities->add) {
    if (c == name || c.view() == "CAP_" + std::string(name)) return true;
  }
  return false;
}

Status checkNonRoot(const v1::Pod& pod, const v1::Container& c, const ImageUser& user, std::optional<int64_t> uid) {
  const auto* sc = c.securityContext.get();
  const auto* psc = pod.spec.securityContext.get();
  bool wanted = sc && sc->runAsNonRoot ? *sc->runAsNonRoot : psc && psc->runAsNonRoot.value_or(false);
  if (!wanted) return {};
  std::string where = fmt::format("(pod: \"{}\", container: {})", describe(pod), c.name.view());
  if (uid) {
    if (*uid == 0) return errors::failed("container's runAsUser breaks non-root policy " + where);
    return {};
  }
  if (user.uid && *user.uid == 0) return errors::failed("container has runAsNonRoot and image will run as root " + where);
  if (!user.uid && !user.name.empty()) {
    return errors::failed(fmt::format("container has runAsNonRoot and image has non-numeric user ({}), cannot verify user is non-root {}", user.name, where));
  }
  if (!user.uid && user.name.empty()) return errors::failed("container has runAsNonRoot and image will run as root " + where);
  return {};
}

}  // namespace

NamespaceOption namespacesOf(const v1::Pod& pod) {
  NamespaceOption n;
  n.network = pod.spec.hostNetwork ? NamespaceMode::kNODE : NamespaceMode::kPOD;
  n.ipc = pod.spec.hostIPC ? NamespaceMode::kNODE : NamespaceMode::kPOD;
  n.pid = pod.spec.hostPID ? NamespaceMode::kNODE : pod.spec.shareProcessNamespace.value_or(false) ? NamespaceMode::kPOD : NamespaceMode::kCONTAINER;
  return n;
}

LinuxSandboxSecurityContext sandboxSecurity(const Options& options, const v1::Pod& pod) {
  LinuxSandboxSecurityContext out;
  out.namespaceOptions = namespacesOf(pod);
  out.seccomp.ensure().profileType = ProfileType::kRuntimeDefault;
  eachContainer(pod, [&](const v1::Container& c, ContainerKind) {
    if (c.securityContext && c.securityContext->privileged.value_or(false)) out.privileged = true;
  });
  if (const auto* sc = pod.spec.securityContext.get()) {
    setId(out.runAsUser, sc->runAsUser);
    setId(out.runAsGroup, sc->runAsGroup);
    addGroups(*sc, out.supplementalGroups, out.supplementalGroupsPolicy);
    addSelinux(out.selinuxOptions, sc->seLinuxOptions);
  }
  return out;
}

Result<LinuxContainerSecurityContext> containerSecurity(const Options& options, const v1::Pod& pod, const v1::Container& c, const ImageUser& user,
                                                        const std::string& targetId) {
  const v1::SecurityContext* sc = c.securityContext.get();
  const v1::PodSecurityContext* psc = pod.spec.securityContext.get();
  LinuxContainerSecurityContext out;
  std::optional<int64_t> uid = sc && sc->runAsUser ? sc->runAsUser : psc ? psc->runAsUser : std::nullopt;
  std::optional<int64_t> gid = sc && sc->runAsGroup ? sc->runAsGroup : psc ? psc->runAsGroup : std::nullopt;
  KM_TRY(checkNonRoot(pod, c, user, uid));
  if (uid) {
    out.runAsUser.ensure().value = *uid;
  } else if (user.uid) {
    out.runAsUser.ensure().value = *user.uid;
  } else if (!user.name.empty()) {
    out.runAsUsername = user.name;
  } else {
    out.runAsUser.ensure().value = 0;
  }
  setId(out.runAsGroup, gid);
  out.privileged = sc && sc->privileged.value_or(false);
  out.readonlyRootfs = sc && sc->readOnlyRootFilesystem.value_or(false);
  out.noNewPrivs = sc && sc->allowPrivilegeEscalation && !*sc->allowPrivilegeEscalation && !out.privileged && !hasCap(sc, "SYS_ADMIN");
  if (sc && sc->capabilities) {
    auto& caps = out.capabilities.ensure();
    for (const auto& a : sc->capabilities->add) caps.addCapabilities.push_back(a);
    for (const auto& d : sc->capabilities->drop) caps.dropCapabilities.push_back(d);
  }
  out.namespaceOptions = namespacesOf(pod);
  if (!targetId.empty()) {
    out.namespaceOptions->pid = NamespaceMode::kTARGET;
    out.namespaceOptions->targetId = targetId;
  }
  if (psc) addGroups(*psc, out.supplementalGroups, out.supplementalGroupsPolicy);
  addSelinux(out.selinuxOptions, sc && sc->seLinuxOptions ? sc->seLinuxOptions : psc ? psc->seLinuxOptions : codec::Box<v1::SELinuxOptions>());
  const v1::SeccompProfile* profile = sc && sc->seccompProfile ? sc->seccompProfile.get() : psc ? psc->seccompProfile.get() : nullptr;
  if (!out.privileged) out.seccomp = seccompOf(options, profile);
  if (!(sc && sc->procMount && *sc->procMount == "Unmasked")) {
    for (std::string_view p : kMasked) out.maskedPaths.push_back(p);
    for (std::string_view p : kReadOnly) out.readonlyPaths.push_back(p);
  }
  return out;
}

}  // namespace km::kubelet
