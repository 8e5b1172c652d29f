#include "kubelet/volumes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <algorithm>
#include <filesystem>

#include "base/files.h"
#include "kubelet/atomic_writer.h"
#include "kubelet/subpath.h"
#include "kubelet/volume_payload.h"

namespace km::kubelet {
namespace {

namespace fs = std::filesystem;
constexpr long kTmpfs = 0x01021994;

std::optional<gid_t> fsGroup(const v1::Pod& pod) {
  if (!pod.spec.securityContext || !pod.spec.securityContext->fsGroup) return std::nullopt;
  return static_cast<gid_t>(*pod.spec.securityContext->fsGroup);
}

// The directory of a volume, made if missing.
Result<std::string> directoryOf(const VolumeContext& ctx, std::string_view plugin, std::string_view name,
                                bool* fresh) {
  std::string path = fmt::format("{}/volumes/kubernetes.io~{}/{}",
                                 podDirectory(*ctx.options, ctx.downward.pod->metadata.uid), plugin, name);
  *fresh = !fileExists(path);
  KM_TRY(makeDirs(path, 0755));
  if (*fresh && ::chmod(path.c_str(), 0777) != 0) return errors::fromErrno("chmod " + path, errno);
  return path;
}

Status mountTmpfs(const std::string& path, int64_t sizeLimit, mode_t mode = 01777) {
  struct statfs sf {};
  if (::statfs(path.c_str(), &sf) == 0 && sf.f_type == kTmpfs) {
    struct stat self {
    }, parent{};
    if (::stat(path.c_str(), &self) == 0 && ::stat((path + "/..").c_str(), &parent) == 0 &&
        self.st_dev != parent.st_dev)
      return {};
  }
  std::string options = fmt::format("mode={:o}", mode);
  if (sizeLimit > 0) options += fmt::format(",size={}", sizeLimit);
  if (::mount("tmpfs", path.c_str(), "tmpfs", 0, options.c_str()) != 0)
    return errors::fromErrno("mount tmpfs at " + path, errno);
  return {};
}

Status giveToGroup(const std::string& path, gid_t group) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) return errors::fromErrno("stat " + path, errno);
  if (S_ISLNK(st.st_mode)) return {};
  if (::lchown(path.c_str(), -1, group) != 0) return errors::fromErrno("chown " + path, errno);
  mode_t mode = (st.st_mode & 07777) | (S_ISDIR(st.st_mode) ? 02770 : 0660);
  if (::chmod(path.c_str(), mode) != 0) return errors::fromErrno("chmod " + path, errno);
  return {};
}

Result<std::string> emptyDir(const VolumeContext& ctx, const v1::Volume& v) {
  bool fresh = false;
  KM_ASSIGN(std::string path, directoryOf(ctx, "empty-dir", v.name, &fresh));
  std::string_view medium = v.emptyDir->medium;
  if (medium == "Memory") {
    int64_t limit = v.emptyDir->sizeLimit ? v.emptyDir->sizeLimit->value() : 0;
    int64_t memory = podMemoryLimit(*ctx.downward.pod);
    if (memory > 0 && (limit == 0 || memory < limit)) limit = memory;
    KM_TRY(mountTmpfs(path, limit));
  } else if (!medium.empty()) {
    return errors::failed(fmt::format("unsupported storage medium \"{}\"", medium));
  }
  if (auto group = fsGroup(*ctx.downward.pod); group && fresh) KM_TRY(giveToGroup(path, *group));
  return path;
}

Result<std::string> hostPath(const v1::Volume& v) {
  std::string path = v.hostPath->path.str();
  std::string_view type = v.hostPath->type ? std::string_view(*v.hostPath->type) : std::string_view();
  struct stat st {};
  bool exists = ::stat(path.c_str(), &st) == 0;
  auto wrong = [&](std::string_view what) {
    return errors::failed(fmt::format("hostPath type check failed: {} is not {}", path, what));
  };
  if (type == "DirectoryOrCreate") {
    if (!exists) {
      KM_TRY(makeDirs(path, 0755));
    } else if (!S_ISDIR(st.st_mode)) {
      return wrong("a directory");
    }
  } else if (type == "FileOrCreate") {
    if (!exists) {
      KM_ASSIGN(UniqueFd fd, openFile(path, O_CREAT | O_WRONLY, 0644));
    } else if (S_ISDIR(st.st_mode)) {
      return wrong("a file");
    }
  } else if (type == "Directory") {
    if (!exists || !S_ISDIR(st.st_mode)) return wrong("a directory");
  } else if (type == "File") {
    if (!exists || !S_ISREG(st.st_mode)) return wrong("a file");
  } else if (type == "Socket") {
    if (!exists || !S_ISSOCK(st.st_mode)) return wrong("a socket file");
  } else if (type == "CharDevice") {
    if (!exists || !S_ISCHR(st.st_mode)) return wrong("a character device");
  } else if (type == "BlockDevice") {
    if (!exists || !S_ISBLK(st.st_mode)) return wrong("a block device");
  } else if (!exists) {
    KM_TRY(makeDirs(path, 0755));  // as the runtime would on a mount of unset type
  }
  return path;
}

Result<std::string> fromPayload(const VolumeContext& ctx, std::string_view plugin, const v1::Volume& v,
                                bool memory, Payload payload) {
  bool fresh = false;
  KM_ASSIGN(std::string path, directoryOf(ctx, plugin, v.name, &fresh));
  if (memory) KM_TRY(mountTmpfs(path, podMemoryLimit(*ctx.downward.pod)));
  auto group = fsGroup(*ctx.downward.pod);
  if (group) {
    if (::chown(path.c_str(), -1, *group) != 0) return errors::fromErrno("chown " + path, errno);
    struct stat st {};
    if (::stat(path.c_str(), &st) == 0) ::chmod(path.c_str(), (st.st_mode & 07777) | 02770);
  }
  KM_TRY(writePayload(path, payload, group).status());
  return path;
}

Result<VolumePath> setUp(const VolumeContext& ctx, const v1::Volume& v, Duration* renewAt) {
  bool ours = v.configMap || v.secret || v.downwardAPI || v.projected;
  if (ctx.options->hollow && (ours || v.emptyDir || v.hostPath)) {
    if (ours) KM_TRY(payloadOf(ctx, v, renewAt).status());
    return VolumePath{"/volumes/" + v.name.str(), ours};
  }
  if (v.emptyDir) {
    KM_ASSIGN(auto path, emptyDir(ctx, v));
    return VolumePath{path, false};
  }
  if (v.hostPath) {
    KM_ASSIGN(auto path, hostPath(v));
    return VolumePath{path, false};
  }
  std::string_view plugin;
  if (v.configMap) plugin = "configmap";
  if (v.secret) plugin = "secret";
  if (v.downwardAPI) plugin = "downward-api";
  if (v.projected) plugin = "projected";
  if (plugin.empty())
    return errors::failed(
        fmt::format("volume \"{}\" is of a type that this kubelet does not have", v.name.view()));
  KM_ASSIGN(Payload payload, payloadOf(ctx, v, renewAt));
  KM_ASSIGN(auto path, fromPayload(ctx, plugin, v, !v.configMap, std::move(payload)));
  return VolumePath{path, true};
}

}  // namespace

Result<VolumePaths> setUpVolumes(const VolumeContext& ctx, Duration* renewAt) {
  VolumePaths out;
  for (const auto& v : ctx.downward.pod->spec.volumes) {
    auto r = setUp(ctx, v, renewAt);
    if (!r.ok())
      return Status(r.status().code(), r.status().reason(),
                    fmt::format("MountVolume.SetUp failed for volume \"{}\" : {}", v.name.view(),
                                r.status().message()));
    out[v.name.str()] = std::move(*r);
  }
  return out;
}

Status tearDownPod(const Options& options, std::string_view uid) {
  std::string dir = podDirectory(options, uid);
  if (options.hollow || !fileExists(dir)) return {};
  releaseSubpaths(dir + "/volume-subpaths");
  unmountBelow(dir);
  // A mount that could not be taken away must not be emptied.
  std::error_code error;
  struct stat self {};
  if (::stat(dir.c_str(), &self) != 0) return errors::fromErrno("stat " + dir, errno);
  for (auto it = fs::recursive_directory_iterator(dir, error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    struct stat st {};
    if (::lstat(it->path().c_str(), &st) == 0 && st.st_dev != self.st_dev)
      return errors::failed("still mounted: " + it->path().string());
  }
  fs::remove_all(dir, error);
  return error ? errors::failed("remove " + dir + ": " + error.message()) : Status();
}

References referencesOf(const v1::Pod& pod) {
  References out;
  auto add = [](std::vector<std::string>& to, const codec::String& name) {
    if (!name.empty() && std::find(to.begin(), to.end(), name.view()) == to.end()) to.push_back(name.str());
  };
  for (const auto& v : pod.spec.volumes) {
    if (v.configMap) add(out.configMaps, v.configMap->name);
    if (v.secret) add(out.secrets, v.secret->secretName);
    if (!v.projected) continue;
    for (const auto& s : v.projected->sources) {
      if (s.configMap) add(out.configMaps, s.configMap->name);
      if (s.secret) add(out.secrets, s.secret->name);
    }
  }
  eachContainer(pod, [&](const v1::Container& c, ContainerKind) {
    for (const auto& from : c.envFrom) {
      if (from.configMapRef) add(out.configMaps, from.configMapRef->name);
      if (from.secretRef) add(out.secrets, from.secretRef->name);
    }
    for (const auto& e : c.env) {
      if (!e.valueFrom) continue;
      if (e.valueFrom->configMapKeyRef) add(out.configMaps, e.valueFrom->configMapKeyRef->name);
      if (e.valueFrom->secretKeyRef) add(out.secrets, e.valueFrom->secretKeyRef->name);
    }
  });
  for (const auto& s : pod.spec.imagePullSecrets) add(out.secrets, s.name);
  return out;
}

}  // namespace km::kubelet
