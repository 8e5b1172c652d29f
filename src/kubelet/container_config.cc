#include "kubelet/container_config.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>

#include "base/files.h"
#include "base/rand.h"
#include "base/strings.h"
#include "base/unique_fd.h"
#include "kubelet/dns.h"
#include "kubelet/pod_runtime.h"
#include "kubelet/resources.h"
#include "kubelet/subpath.h"

namespace km::kubelet {
namespace {

using namespace api::cri_runtime_v1;

int32_t protocolOf(std::string_view p) {
  return p == "UDP" ? Protocol::kUDP : p == "SCTP" ? Protocol::kSCTP : Protocol::kTCP;
}

int32_t propagationOf(const v1::VolumeMount& m) {
  if (!m.mountPropagation) return MountPropagation::kPROPAGATION_PRIVATE;
  if (*m.mountPropagation == "HostToContainer") return MountPropagation::kPROPAGATION_HOST_TO_CONTAINER;
  if (*m.mountPropagation == "Bidirectional") return MountPropagation::kPROPAGATION_BIDIRECTIONAL;
  return MountPropagation::kPROPAGATION_PRIVATE;
}

void addMount(ContainerConfig& out, std::string containerPath, std::string hostPath, bool readOnly,
              int32_t propagation = 0) {
  Mount& m = out.mounts.add();
  m.containerPath = containerPath;
  m.hostPath = hostPath;
  m.readonly = readOnly;
  m.propagation = propagation;
}

Status addVolumeMounts(const ContainerContext& ctx, const v1::Container& c, const Environment& env,
                       ContainerConfig& out) {
  const v1::Pod& pod = *ctx.downward.pod;
  auto value = [&](std::string_view name) -> const std::string* {
    for (const auto& [n, v] : env) {
      if (n == name) return &v;
    }
    return nullptr;
  };
  int index = -1;
  for (const auto& m : c.volumeMounts) {
    index++;
    auto it = ctx.volumes->find(m.name.view());
    if (it == ctx.volumes->end())
      return errors::failed(fmt::format("cannot find volume \"{}\" to mount into container \"{}\"",
                                        m.name.view(), c.name.view()));
    std::string host = it->second.path;
    std::string sub = m.subPath.str();
    if (!m.subPathExpr.empty()) {
      bool missing = false;
      sub = expand(m.subPathExpr, [&](std::string_view n) {
        const std::string* v = value(n);
        missing |= v == nullptr;
        return v;
      });
      if (missing) return errors::failed(fmt::format("missing value for \"{}\"", m.subPathExpr.view()));
    }
    if (!sub.empty() && !ctx.options->hollow) {
      std::string holder =
          fmt::format("{}/volume-subpaths/{}/{}/{}", podDirectory(*ctx.options, pod.metadata.uid),
                      m.name.view(), c.name.view(), index);
      KM_ASSIGN(host, bindSubpath(host, sub, holder, it->second.readOnly));
    }
    std::string target = m.mountPath.str();
    if (!target.starts_with("/")) target = "/" + target;
    addMount(out, target, host, m.readOnly || it->second.readOnly, propagationOf(m));
  }
  return {};
}

bool mounts(const v1::Container& c, std::string_view path) {
  for (const auto& m : c.volumeMounts) {
    if (m.mountPath == path) return true;
  }
  return false;
}

// The file is written in place, not replaced: running containers have it mounted.
Status addHosts(const ContainerContext& ctx, const v1::Container& c, ContainerConfig& out) {
  const v1::Pod& pod = *ctx.downward.pod;
  if (mounts(c, "/etc/hosts")) return {};
  if (!pod.spec.hostNetwork && ctx.downward.podIps.empty()) return {};
  std::string path = podDirectory(*ctx.options, pod.metadata.uid) + "/etc-hosts";
  std::string own;
  if (pod.spec.hostNetwork) {
    KM_ASSIGN(own, readFile("/etc/hosts"));
  }
  KM_ASSIGN(UniqueFd fd, openFile(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  ::fchmod(fd.get(), 0644);
  KM_TRY(writeAll(fd.get(), hostsFile(*ctx.options, pod, ctx.downward.podIps, own)));
  addMount(out, "/etc/hosts", path, false);
  return {};
}

Status addTerminationLog(const ContainerContext& ctx, const v1::Container& c, ContainerConfig& out) {
  if (c.terminationMessagePath.empty()) return {};
  std::string dir = fmt::format("{}/containers/{}",
                                podDirectory(*ctx.options, ctx.downward.pod->metadata.uid), c.name.view());
  KM_TRY(makeDirs(dir, 0750));
  std::string path = fmt::format("{}/{:08x}", dir, static_cast<uint32_t>(randomUint64()));
  KM_ASSIGN(UniqueFd fd, openFile(path, O_WRONLY | O_CREAT, 0666));
  ::fchmod(fd.get(), 0666);
  addMount(out, c.terminationMessagePath.str(), path, false);
  return {};
}

void addLabels(const ContainerContext& ctx, const v1::Container& c, ContainerConfig& out) {
  const auto& m = ctx.downward.pod->metadata;
  out.labels[kPodNameLabel] = m.name;
  out.labels[kPodNamespaceLabel] = m.namespace_;
  out.labels[kPodUidLabel] = m.uid;
  out.labels[kContainerNameLabel] = c.name;
  out.annotations[kHashAnnotation] = containerHash(c);
  out.annotations[kRestartCountAnnotation] = std::to_string(ctx.restartCount);
  out.annotations[kTerminationPathAnnotation] = c.terminationMessagePath;
  out.annotations[kTerminationPolicyAnnotation] = c.terminationMessagePolicy;
  if (ctx.downward.pod->spec.terminationGracePeriodSeconds) {
    out.annotations[kPodGraceAnnotation] =
        std::to_string(*ctx.downward.pod->spec.terminationGracePeriodSeconds);
  }
}

// Containers write in volumes: what is read must lie beneath, with no symbolic link on the way.
Result<std::string> fileOfVolume(const ContainerContext& ctx, std::string_view volume,
                                 std::string_view path) {
  constexpr size_t kMaxFile = 64 << 10;
  auto it = ctx.volumes->find(volume);
  if (it == ctx.volumes->end()) return errors::failed(fmt::format("volume \"{}\" is not known", volume));
  UniqueFd root(::open(it->second.path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return errors::fromErrno("open " + it->second.path, errno);
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  UniqueFd fd(
      static_cast<int>(::syscall(SYS_openat2, root.get(), std::string(path).c_str(), &how, sizeof how)));
  if (!fd && errno == ENOENT)
    return Status(404, "NotFound", fmt::format("file \"{}\" of volume \"{}\" does not exist", path, volume));
  if (!fd) return errors::fromErrno(fmt::format("open {} of volume {}", path, volume), errno);
  std::string out(kMaxFile + 1, '\0');
  ssize_t n = ::read(fd.get(), out.data(), out.size());
  if (n < 0) return errors::fromErrno(fmt::format("read {} of volume {}", path, volume), errno);
  if (static_cast<size_t>(n) > kMaxFile)
    return errors::failed(fmt::format("file \"{}\" of volume \"{}\" is too long", path, volume));
  out.resize(static_cast<size_t>(n));
  return out;
}

}  // namespace

std::string podDirectory(const Options& options, std::string_view uid) {
  return fmt::format("{}/pods/{}", options.rootDir, uid);
}

Result<PodSandboxConfig> sandboxConfig(const Options& options, const v1::Pod& pod, uint32_t attempt) {
  PodSandboxConfig out;
  const auto& m = pod.metadata;
  auto& meta = out.metadata.ensure();
  meta.name = m.name;
  meta.namespace_ = m.namespace_;
  meta.uid = m.uid;
  meta.attempt = attempt;
  out.labels = m.labels;
  out.labels[kPodNameLabel] = m.name;
  out.labels[kPodNamespaceLabel] = m.namespace_;
  out.labels[kPodUidLabel] = m.uid;
  out.annotations = m.annotations;
  auto resolv = options.hollow ? Result<std::string>(std::string()) : readFile(options.resolvConf);
  out.dnsConfig = podDns(options, pod, resolv.ok() ? *resolv : "");
  if (!pod.spec.hostNetwork) {
    out.hostname = podHostname(pod);
    std::string domain = podHostDomain(options, pod);
    if (pod.spec.setHostnameAsFQDN.value_or(false) && !domain.empty()) {
      std::string full = out.hostname.str() + "." + domain;
      if (full.size() > 64)
        return errors::failed(
            fmt::format("failed to construct FQDN from pod hostname and cluster domain, FQDN {} is too long "
                        "(64 characters is the max, {} characters requested)",
                        full, full.size()));
      out.hostname = full;
    }
  }
  out.logDirectory = options.podLogsDir + "/" + podLogDirectory(pod);
  if (!options.hollow) KM_TRY(makeDirs(out.logDirectory.str(), 0755));
  eachContainer(pod, [&](const v1::Container& c, ContainerKind) {
    for (const auto& p : c.ports) {
      PortMapping& port = out.portMappings.add();
      port.protocol = protocolOf(p.protocol);
      port.containerPort = p.containerPort;
      port.hostPort = p.hostPort;
      port.hostIp = p.hostIP;
    }
  });
  auto& linux = out.linux.ensure();
  if (options.podCgroups) linux.cgroupParent = cgroupParent(pod);
  linux.securityContext = sandboxSecurity(options, pod);
  if (pod.spec.securityContext) {
    for (const auto& s : pod.spec.securityContext->sysctls)
      linux.sysctls[replaceAll(s.name, "/", ".")] = s.value;
  }
  return out;
}

Result<ContainerConfig> containerConfig(const ContainerContext& ctx, const v1::Container& c) {
  const v1::Pod& pod = *ctx.downward.pod;
  KM_ASSIGN(Environment env, makeEnvironment(ctx.downward, c, *ctx.services, *ctx.objects,
                                             [&](std::string_view volume, std::string_view path) {
                                               return fileOfVolume(ctx, volume, path);
                                             }));
  ContainerConfig out;
  out.metadata.ensure().name = c.name;
  out.metadata->attempt = static_cast<uint32_t>(ctx.restartCount);
  out.image.ensure().image = ctx.imageRef;
  out.image->userSpecifiedImage = c.image;
  auto value = [&](std::string_view name) -> const std::string* {
    for (const auto& [n, v] : env) {
      if (n == name) return &v;
    }
    return nullptr;
  };
  for (const auto& a : c.command) out.command.push_back(expand(a, value));
  for (const auto& a : c.args) out.args.push_back(expand(a, value));
  out.workingDir = c.workingDir;
  for (const auto& [name, v] : env) {
    KeyValue& kv = out.envs.add();
    kv.key = name;
    kv.value = v;
  }
  KM_TRY(addVolumeMounts(ctx, c, env, out));
  if (!ctx.options->hollow) {
    KM_TRY(addHosts(ctx, c, out));
    KM_TRY(addTerminationLog(ctx, c, out));
    KM_TRY(
        makeDirs(fmt::format("{}/{}/{}", ctx.options->podLogsDir, podLogDirectory(pod), c.name.view()), 0755));
  }
  addLabels(ctx, c, out);
  out.logPath = fmt::format("{}/{}.log", c.name.view(), ctx.restartCount);
  out.stdin = c.stdin;
  out.stdinOnce = c.stdinOnce;
  out.tty = c.tty;
  auto& linux = out.linux.ensure();
  linux.resources = containerResources(*ctx.options, pod, c, ctx.memoryCapacity);
  KM_ASSIGN(auto security, containerSecurity(*ctx.options, pod, c, ctx.imageUser, ctx.targetId));
  linux.securityContext = std::move(security);
  return out;
}

}  // namespace km::kubelet
