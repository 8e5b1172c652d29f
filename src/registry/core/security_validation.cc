// Security contexts of pods and containers, and what an operating system excludes.
#include <fmt/format.h>

#include <algorithm>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "codec/json.h"
#include "base/strings.h"
#include "registry/core/pod_parts.h"

namespace km::registry {

namespace v1 = api::core_v1;

std::string rangeText(int64_t low, int64_t high) {
  return fmt::format("must be between {} and {}, inclusive", low, high);
}

namespace {

void validateId(int64_t id, const Path& p, FieldErrors& errors) {
  if (id < 0 || id > INT32_MAX) errors.invalid(p, id, rangeText(0, INT32_MAX));
}

void validateSeccomp(const codec::Box<v1::SeccompProfile>& s, const Path& p, FieldErrors& errors) {
  if (!s) return;
  oneOf(s->type, {"Localhost", "RuntimeDefault", "Unconfined"}, p.child("type"), errors,
        "type is required when seccompProfile is set");
  Path local = p.child("localhostProfile");
  if (s->type == "Localhost") {
    if (!s->localhostProfile) {
      errors.required(local, "must be set when seccomp type is Localhost");
    } else {
      validateDescendingPath(*s->localhostProfile, local, errors);
    }
  } else if (s->localhostProfile) {
    errors.invalid(local, structValue(*s), "can only be set when seccomp type is Localhost");
  }
}

void validateAppArmor(const codec::Box<v1::AppArmorProfile>& a, const Path& p, FieldErrors& errors) {
  constexpr int kMaxPath = 4095;
  if (!a) return;
  Path local = p.child("localhostProfile");
  if (a->type == "Localhost") {
    constexpr std::string_view kNeeded = "must be set when AppArmor type is Localhost";
    if (!a->localhostProfile) return errors.required(local, kNeeded);
    std::string_view trimmed = trimSpace(*a->localhostProfile);
    if (trimmed != a->localhostProfile->view()) {
      errors.invalid(local, a->localhostProfile->view(), "must not be padded with whitespace");
    } else if (trimmed.empty()) {
      errors.required(local, kNeeded);
    }
    if (a->localhostProfile->size() > kMaxPath) errors.tooLong(local, kMaxPath);
  } else if (isIn(a->type, {"RuntimeDefault", "Unconfined"})) {
    if (a->localhostProfile) {
      errors.invalid(local, a->localhostProfile->view(), "can only be set when AppArmor type is Localhost");
    }
  } else {
    oneOf(a->type, {"Localhost", "RuntimeDefault", "Unconfined"}, p.child("type"), errors,
          "type is required when appArmorProfile is set");
  }
}

bool isNetBios(std::string_view s) {
  if (s.empty() || s.size() > 15 || s[0] == '.') return false;
  return s.find_first_of("\\/:*?\"<>|") == std::string_view::npos;
}

bool isDomain(std::string_view s) {
  if (s.empty()) return false;
  for (std::string_view label : split(s, '.')) {
    auto alnum = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    if (label.empty() || label.size() > 63 || !alnum(label.front()) || !alnum(label.back())) return false;
    if (!std::all_of(label.begin(), label.end(), [&](char c) { return alnum(c) || c == '-'; })) return false;
  }
  return true;
}

void validateUserName(std::string_view name, const Path& p, FieldErrors& errors) {
  // Upstream hands the pointer over, which prints as JSON.
  std::string shown;
  codec::appendJsonString(shown, name);
  auto bad = [&](std::string_view why) { errors.invalid(p, BadValue::raw(shown), fmt::format("runAsUserName{}", why)); };
  if (name.empty()) return bad(" cannot be an empty string");
  if (std::any_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; })) {
    return bad(" cannot contain control characters");
  }
  auto parts = split(name, '\\');
  if (parts.size() > 2) return bad(" cannot contain more than one backslash");
  bool hasDomain = parts.size() == 2;
  std::string_view domain = hasDomain ? parts[0] : "";
  std::string_view user = parts.back();
  if (domain.size() >= 256) bad("'s Domain length must be under 256 characters");
  if (hasDomain && !isNetBios(domain) && !isDomain(domain))
    bad("'s Domain doesn't match the NetBios nor the DNS format");
  if (user.empty()) {
    bad("'s User cannot be empty");
  } else if (user.size() > 104) {
    bad("'s User length must not be longer than 104 characters");
  }
  if (!user.empty() && user.find_first_not_of(". ") == std::string_view::npos)
    bad("'s User cannot contain only periods or spaces");
  if (user.find_first_of("\"/\\:;|=,+*?<>@[]") != std::string_view::npos) {
    bad("'s User cannot contain the following characters: \"/\\:;|=,+*?<>@[]");
  }
}

void validateWindows(const codec::Box<v1::WindowsSecurityContextOptions>& w, const Path& p,
                     FieldErrors& errors) {
  if (!w) return;
  if (w->gmsaCredentialSpecName)
    dnsSubdomain(*w->gmsaCredentialSpecName, p.child("gmsaCredentialSpecName"), errors);
  if (w->gmsaCredentialSpec) {
    Path at = p.child("gmsaCredentialSpec");
    if (w->gmsaCredentialSpec->empty()) {
      errors.invalid(at, "", "gmsaCredentialSpec cannot be an empty string");
    } else if (w->gmsaCredentialSpec->size() > 64 * 1024) {
      errors.invalid(at, w->gmsaCredentialSpec->view(), "gmsaCredentialSpec size must be under 64 KiB");
    }
  }
  if (w->runAsUserName) validateUserName(*w->runAsUserName, p.child("runAsUserName"), errors);
}

bool isSysctlName(std::string_view s) {
  if (s.size() > 253 || s.empty()) return false;
  auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  size_t start = 0;
  for (size_t i = 0; i <= s.size(); i++) {
    if (i < s.size() && s[i] != '.' && s[i] != '/') {
      if (!alnum(s[i]) && s[i] != '-' && s[i] != '_') return false;
      continue;
    }
    if (i == start || !alnum(s[start]) || !alnum(s[i - 1])) return false;
    start = i + 1;
  }
  return true;
}

void validateSysctls(const v1::PodSpec& spec, const Path& p, FieldErrors& errors) {
  const auto& list = spec.securityContext->sysctls;
  for (size_t i = 0; i < list.size(); i++) {
    Path name = p.index(i).child("name");
    const auto& s = list[i];
    if (s.name.empty()) {
      errors.required(name, "");
    } else if (!isSysctlName(s.name)) {
      errors.invalid(name, s.name.view(),
                     "must have at most 253 characters and match regex "
                     "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$");
    } else {
      for (size_t k = 0; k < i; k++) {
        if (list[k].name == s.name) {
          errors.duplicate(name, s.name.view());
          break;
        }
      }
    }
    std::string dotted = s.name.str();
    size_t separator = dotted.find_first_of("./");
    if (separator != std::string::npos && dotted[separator] == '/') {
      for (char& c : dotted) c = c == '/' ? '.' : c == '.' ? '/' : c;
    }
    bool net = dotted.starts_with("net.");
    bool ipc = isIn(dotted, {"kernel.sem"}) || dotted.starts_with("kernel.shm") ||
               dotted.starts_with("kernel.msg") || dotted.starts_with("fs.mqueue.");
    if (spec.hostNetwork && net) {
      errors.invalid(name, s.name.view(), "may not be specified when 'hostNetwork' is true");
    } else if (spec.hostIPC && ipc) {
      errors.invalid(name, s.name.view(), "may not be specified when 'hostIPC' is true");
    }
  }
}

// Calls `visit(container, path)` for the containers of every list, as upstream visits them.
template <typename F>
void eachContainer(const v1::PodSpec& spec, const Path& p, F visit) {
  for (size_t i = 0; i < spec.initContainers.size(); i++)
    visit(spec.initContainers[i], p.child("initContainers").index(i));
  for (size_t i = 0; i < spec.containers.size(); i++)
    visit(spec.containers[i], p.child("containers").index(i));
  for (size_t i = 0; i < spec.ephemeralContainers.size(); i++) {
    visit(spec.ephemeralContainers[i], p.child("ephemeralContainers").index(i));
  }
}

void validateHostProcess(const v1::PodSpec& spec, const Path& p, FieldErrors& errors) {
  std::optional<bool> ofPod;
  if (spec.securityContext && spec.securityContext->windowsOptions)
    ofPod = spec.securityContext->windowsOptions->hostProcess;
  int all = 0, host = 0;
  eachContainer(spec, p, [&](const auto& c, const Path& at) {
    all++;
    std::optional<bool> own;
    if (c.securityContext && c.securityContext->windowsOptions)
      own = c.securityContext->windowsOptions->hostProcess;
    if (ofPod && own && *ofPod != *own) {
      errors.invalid(
          at.child("securityContext.windowsOptions.hostProcess"), *own,
          fmt::format("pod hostProcess value must be identical if both are specified, was {}", *ofPod));
    }
    if (own.value_or(ofPod.value_or(false))) host++;
  });
  if (host == 0) return;
  if (host != all) {
    errors.invalid(
        p, "",
        "If pod contains any hostProcess containers then all containers must be HostProcess containers");
  }
  if (!spec.hostNetwork) {
    errors.invalid(p.child("hostNetwork"), spec.hostNetwork,
                   "hostNetwork must be true if pod contains any hostProcess containers");
  }
}

void validateHostUsers(const v1::PodSpec& spec, const Path& p, FieldErrors& errors) {
  if (spec.hostUsers.value_or(true)) return;
  constexpr std::string_view kWhy = "when `hostUsers` is false";
  if (spec.hostNetwork) errors.forbidden(p.child("hostNetwork"), kWhy);
  if (spec.hostPID) errors.forbidden(p.child("HostPID"), kWhy);
  if (spec.hostIPC) errors.forbidden(p.child("HostIPC"), kWhy);
  eachContainer(spec, p, [&](const auto& c, const Path& at) {
    if (!c.volumeDevices.empty()) errors.forbidden(at.child("volumeDevices"), kWhy);
  });
}

void validateLinuxPod(const v1::PodSpec& spec, const Path& p, FieldErrors& errors) {
  constexpr std::string_view kWhy = "windows options cannot be set for a linux pod";
  if (spec.securityContext && spec.securityContext->windowsOptions)
    errors.forbidden(p.child("securityContext.windowsOptions"), kWhy);
  eachContainer(spec, p, [&](const auto& c, const Path& at) {
    if (c.securityContext && c.securityContext->windowsOptions)
      errors.forbidden(at.child("securityContext.windowsOptions"), kWhy);
  });
}

void validateWindowsPod(const v1::PodSpec& spec, const Path& p, FieldErrors& errors) {
  constexpr std::string_view kWhy = "cannot be set for a windows pod";
  auto refuse = [&](bool set, const Path& at) {
    if (set) errors.forbidden(at, kWhy);
  };
  if (spec.securityContext) {
    const auto& s = *spec.securityContext;
    Path sc = p.child("securityContext");
    refuse(s.appArmorProfile.has_value(), sc.child("appArmorProfile"));
    refuse(s.seLinuxOptions.has_value(), sc.child("seLinuxOptions"));
    refuse(spec.hostUsers.has_value(), p.child("hostUsers"));
    refuse(spec.hostPID, p.child("hostPID"));
    refuse(spec.hostIPC, p.child("hostIPC"));
    refuse(s.seccompProfile.has_value(), sc.child("seccompProfile"));
    refuse(s.fsGroup.has_value(), sc.child("fsGroup"));
    refuse(s.fsGroupChangePolicy.has_value(), sc.child("fsGroupChangePolicy"));
    refuse(!s.sysctls.empty(), sc.child("sysctls"));
    refuse(spec.shareProcessNamespace.has_value(), p.child("shareProcessNamespace"));
    refuse(s.runAsUser.has_value(), sc.child("runAsUser"));
    refuse(s.runAsGroup.has_value(), sc.child("runAsGroup"));
    refuse(!s.supplementalGroups.empty(), sc.child("supplementalGroups"));
    refuse(s.supplementalGroupsPolicy.has_value(), sc.child("supplementalGroupsPolicy"));
    refuse(s.seLinuxChangePolicy.has_value(), sc.child("seLinuxChangePolicy"));
  }
  eachContainer(spec, p, [&](const auto& c, const Path& at) {
    if (!c.securityContext) return;
    const auto& s = *c.securityContext;
    Path sc = at.child("securityContext");
    refuse(s.appArmorProfile.has_value(), sc.child("appArmorProfile"));
    refuse(s.seLinuxOptions.has_value(), sc.child("seLinuxOptions"));
    refuse(s.seccompProfile.has_value(), sc.child("seccompProfile"));
    refuse(s.capabilities.has_value(), sc.child("capabilities"));
    refuse(s.readOnlyRootFilesystem.has_value(), sc.child("readOnlyRootFilesystem"));
    refuse(s.privileged.has_value(), sc.child("privileged"));
    refuse(s.allowPrivilegeEscalation.has_value(), sc.child("allowPrivilegeEscalation"));
    refuse(s.procMount.has_value(), sc.child("procMount"));
    refuse(s.runAsUser.has_value(), sc.child("runAsUser"));
    refuse(s.runAsGroup.has_value(), sc.child("runAsGroup"));
  });
}

}  // namespace

void validateContainerSecurity(const v1::SecurityContext& s, bool hostUsers, const Path& p,
                               FieldErrors& errors) {
  if (s.runAsUser) validateId(*s.runAsUser, p.child("runAsUser"), errors);
  if (s.runAsGroup) validateId(*s.runAsGroup, p.child("runAsGroup"), errors);
  if (s.procMount) {
    if (!isIn(*s.procMount, {"Default", "Unmasked"})) {
      errors.notSupported(p.child("procMount"), s.procMount->view(), {"Default", "Unmasked"});
    }
    if (hostUsers && *s.procMount == "Unmasked") {
      errors.invalid(p.child("procMount"), s.procMount->view(),
                     "`hostUsers` must be false to use `Unmasked`");
    }
  }
  validateSeccomp(s.seccompProfile, p.child("seccompProfile"), errors);
  if (s.allowPrivilegeEscalation && !*s.allowPrivilegeEscalation) {
    if (s.privileged.value_or(false)) {
      errors.invalid(p, structValue(s),
                     "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
    }
    if (s.capabilities) {
      for (const auto& c : s.capabilities->add) {
        if (c == "CAP_SYS_ADMIN") {
          errors.invalid(
              p, structValue(s),
              "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
        }
      }
    }
  }
  validateWindows(s.windowsOptions, p.child("windowsOptions"), errors);
  validateAppArmor(s.appArmorProfile, p.child("appArmorProfile"), errors);
}

void validatePodSecurity(const v1::PodSpec& spec, const Path& p, FieldErrors& errors) {
  if (!spec.securityContext) return;
  const auto& s = *spec.securityContext;
  if (s.fsGroup) validateId(*s.fsGroup, p.child("fsGroup"), errors);
  if (s.runAsUser) validateId(*s.runAsUser, p.child("runAsUser"), errors);
  if (s.runAsGroup) validateId(*s.runAsGroup, p.child("runAsGroup"), errors);
  for (size_t i = 0; i < s.supplementalGroups.size(); i++) {
    validateId(s.supplementalGroups[i], p.child("supplementalGroups").index(i), errors);
  }
  if (spec.shareProcessNamespace.value_or(false) && spec.hostPID) {
    errors.invalid(p.child("shareProcessNamespace"), true,
                   "ShareProcessNamespace and HostPID cannot both be enabled");
  }
  if (!s.sysctls.empty()) validateSysctls(spec, p.child("sysctls"), errors);
  if (s.fsGroupChangePolicy && !isIn(*s.fsGroupChangePolicy, {"Always", "OnRootMismatch"})) {
    errors.notSupported(p.child("fsGroupChangePolicy"), s.fsGroupChangePolicy->view(),
                        {"Always", "OnRootMismatch"});
  }
  validateSeccomp(s.seccompProfile, p.child("seccompProfile"), errors);
  validateWindows(s.windowsOptions, p.child("windowsOptions"), errors);
  validateAppArmor(s.appArmorProfile, p.child("appArmorProfile"), errors);
  if (s.supplementalGroupsPolicy && !isIn(*s.supplementalGroupsPolicy, {"Merge", "Strict"})) {
    errors.notSupported(p.child("supplementalGroupsPolicy"), s.supplementalGroupsPolicy->view(),
                        {"Merge", "Strict"});
  }
  // Mounting with a label stands behind a gate that is off.
  if (s.seLinuxChangePolicy && *s.seLinuxChangePolicy != "Recursive") {
    errors.notSupported(p.child("seLinuxChangePolicy"), s.seLinuxChangePolicy->view(), {"Recursive"});
  }
}

void validateOsRules(const v1::PodSpec& spec, const Path& p, FieldErrors& errors) {
  validateHostProcess(spec, p, errors);
  validateHostUsers(spec, p, errors);
}

void validateOs(const v1::PodSpec& spec, const Path& p, FieldErrors& errors) {
  if (!spec.os) return;
  Path os = p.child("os");
  if (spec.os->name.empty()) return errors.required(os.child("name"), "");
  if (spec.os->name == "linux") return validateLinuxPod(spec, p, errors);
  if (spec.os->name == "windows") return validateWindowsPod(spec, p, errors);
  errors.notSupported(os, spec.os->name.view(), {"linux", "windows"});
}

namespace {

// A field and the annotation that it replaced must agree.
void matchSeccomp(const codec::Box<v1::SeccompProfile>& field, const codec::String* annotation, const Path& p,
                  FieldErrors& errors) {
  if (!field || annotation == nullptr) return;
  std::string_view a = *annotation;
  constexpr std::string_view kLocal = "localhost/";
  bool sameType = field->type == "Unconfined"       ? a == "unconfined"
                  : field->type == "RuntimeDefault" ? isIn(a, {"runtime/default", "docker/default"})
                  : field->type == "Localhost"      ? a.starts_with(kLocal)
                                                    : true;
  if (!sameType) return errors.forbidden(p.child("type"), "seccomp type in annotation and field must match");
  if (field->type == "Localhost" &&
      (!field->localhostProfile || a.substr(kLocal.size()) != field->localhostProfile->view())) {
    errors.forbidden(p.child("localhostProfile"), "seccomp profile in annotation and field must match");
  }
}

void matchAppArmor(const v1::AppArmorProfile& field, std::string_view a, const Path& p, FieldErrors& errors) {
  constexpr std::string_view kLocal = "localhost/";
  bool sameType = field.type == "Unconfined"       ? a == "unconfined"
                  : field.type == "RuntimeDefault" ? a == "runtime/default"
                  : field.type == "Localhost"      ? a.starts_with(kLocal)
                                                   : true;
  if (!sameType) return errors.forbidden(p.child("type"), "apparmor type in annotation and field must match");
  if (field.type == "Localhost" &&
      (!field.localhostProfile || a.substr(kLocal.size()) != field.localhostProfile->view())) {
    errors.forbidden(p.child("localhostProfile"), "apparmor profile in annotation and field must match");
  }
}

}  // namespace

void validateSeccompMatch(const api::meta_v1::ObjectMeta& meta, const v1::PodSpec& spec, const Path& p,
                          FieldErrors& errors) {
  if (spec.securityContext) {
    matchSeccomp(spec.securityContext->seccompProfile,
                 meta.annotations.find("seccomp.security.alpha.kubernetes.io/pod"),
                 p.child("securityContext.seccompProfile"), errors);
  }
  eachContainer(spec, p, [&](const auto& c, const Path& at) {
    if (!c.securityContext) return;
    matchSeccomp(c.securityContext->seccompProfile,
                 meta.annotations.find("container.seccomp.security.alpha.kubernetes.io/" + c.name.str()),
                 at.child("securityContext.seccompProfile"), errors);
  });
}

void validateAppArmorMatch(const api::meta_v1::ObjectMeta& meta, const v1::PodSpec& spec, const Path& p,
                           FieldErrors& errors) {
  if (spec.os && spec.os->name == "windows") return;
  eachContainer(spec, p, [&](const auto& c, const Path& at) {
    const v1::AppArmorProfile* profile =
        spec.securityContext ? spec.securityContext->appArmorProfile.get() : nullptr;
    if (c.securityContext && c.securityContext->appArmorProfile)
      profile = c.securityContext->appArmorProfile.get();
    const codec::String* a =
        meta.annotations.find("container.apparmor.security.beta.kubernetes.io/" + c.name.str());
    if (profile != nullptr && a != nullptr)
      matchAppArmor(*profile, *a, at.child("securityContext.appArmorProfile"), errors);
  });
}

// Annotations of old must be well-formed.
void validateSecurityAnnotations(const api::meta_v1::ObjectMeta& meta, const v1::PodSpec& spec, const Path& p,
                                 FieldErrors& errors) {
  constexpr std::string_view kPod = "seccomp.security.alpha.kubernetes.io/pod";
  constexpr std::string_view kContainer = "container.seccomp.security.alpha.kubernetes.io/";
  constexpr std::string_view kArmor = "container.apparmor.security.beta.kubernetes.io/";
  auto seccomp = [&](std::string_view profile, const Path& at) {
    if (isIn(profile, {"runtime/default", "docker/default", "unconfined"})) return;
    if (profile.starts_with("localhost/")) return validateDescendingPath(profile.substr(10), at, errors);
    errors.invalid(at, profile, "must be a valid seccomp profile");
  };
  if (const codec::String* v = meta.annotations.find(kPod)) seccomp(*v, p.child(kPod));
  for (const auto& [key, value] : meta.annotations) {
    if (key.view().starts_with(kContainer)) seccomp(value, p.child(key));
  }
  for (const auto& [key, value] : meta.annotations) {
    if (!key.view().starts_with(kArmor)) continue;
    std::string_view name = key.view().substr(kArmor.size());
    bool found = false;
    eachContainer(spec, p, [&](const auto& c, const Path&) { found = found || c.name == name; });
    if (!found) errors.invalid(p.key(key), name, "container not found");
    if (!isIn(value, {"", "runtime/default", "unconfined"}) && !value.view().starts_with("localhost/")) {
      errors.invalid(p.key(key), value.view(),
                     fmt::format("invalid AppArmor profile name: {}", api::goQuote(value)));
    }
  }
}

}  // namespace km::registry
