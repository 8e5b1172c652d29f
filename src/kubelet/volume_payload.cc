#include "kubelet/volume_payload.h"

#include <fmt/format.h>

#include "kubelet/resources.h"

namespace km::kubelet {
namespace {

using Data = std::map<std::string, std::string>;

// Chosen keys, or all. `kind` words the error.
Status addKeys(const Data& data, const codec::List<v1::KeyToPath>& items, mode_t mode, bool optional, std::string_view what, Payload& out) {
  if (items.empty()) {
    for (const auto& [key, value] : data) out[key] = {value, mode, {}};
    return {};
  }
  for (const auto& item : items) {
    auto it = data.find(item.key.str());
    if (it == data.end()) {
      if (optional) continue;
      return errors::failed(fmt::format("references non-existent {} key: {}", what, item.key.view()));
    }
    out[item.path.str()] = {it->second, static_cast<mode_t>(item.mode.value_or(static_cast<int32_t>(mode))), {}};
  }
  return {};
}

template <typename M>
void copyInto(const M& from, Data& to) {
  for (const auto& [key, value] : from) to[key.str()] = value.str();
}

Status addConfigMap(const VolumeContext& ctx, std::string_view name, const codec::List<v1::KeyToPath>& items, mode_t mode, bool optional, Payload& out) {
  Data data;
  auto m = ctx.objects->configMap(ctx.downward.pod->metadata.namespace_, name);
  if (m.ok()) {
    copyInto((*m)->data, data);
    copyInto((*m)->binaryData, data);
  } else if (m.status().code() != 404 || !optional) {
    return m.status();
  }
  return addKeys(data, items, mode, optional, "config", out);
}

Status addSecret(const VolumeContext& ctx, std::string_view name, const codec::List<v1::KeyToPath>& items, mode_t mode, bool optional, Payload& out) {
  Data data;
  auto s = ctx.objects->secret(ctx.downward.pod->metadata.namespace_, name);
  if (s.ok()) {
    copyInto((*s)->data, data);
  } else if (s.status().code() != 404 || !optional) {
    return s.status();
  }
  return addKeys(data, items, mode, optional, "secret", out);
}

Status addDownward(const VolumeContext& ctx, const codec::List<v1::DownwardAPIVolumeFile>& items, mode_t mode, Payload& out) {
  for (const auto& item : items) {
    std::string value;
    if (item.fieldRef) {
      KM_ASSIGN(value, fieldValue(ctx.downward, item.fieldRef->fieldPath));
    } else if (item.resourceFieldRef) {
      KM_ASSIGN(value, resourceValue(ctx.downward, *item.resourceFieldRef, nullptr));
    }
    out[item.path.str()] = {std::move(value), static_cast<mode_t>(item.mode.value_or(static_cast<int32_t>(mode))), {}};
  }
  return {};
}

// The one user that all containers run as: then a token's file can be theirs.
std::optional<uid_t> onlyUser(const v1::Pod& pod) {
  std::optional<int64_t> user;
  bool mixed = false, first = true;
  eachContainer(pod, [&](const v1::Container& c, ContainerKind) {
    std::optional<int64_t> u = c.securityContext && c.securityContext->runAsUser ? c.securityContext->runAsUser
                               : pod.spec.securityContext                       ? pod.spec.securityContext->runAsUser
                                                                                : std::nullopt;
    if (first) user = u;
    first = false;
    mixed |= !u || u != user;
  });
  if (mixed || !user) return std::nullopt;
  return static_cast<uid_t>(*user);
}

Status addToken(const VolumeContext& ctx, const v1::ServiceAccountTokenProjection& what, mode_t mode, Duration* renewAt, Payload& out) {
  const v1::Pod& pod = *ctx.downward.pod;
  KM_ASSIGN(std::string token, ctx.tokens->token(pod, what, renewAt));
  ProjectedFile file{std::move(token), mode, {}};
  bool group = pod.spec.securityContext && pod.spec.securityContext->fsGroup;
  if (group) {
    file.mode = 0600;  // the group's bit is added
  } else if (auto user = onlyUser(pod)) {
    file.mode = 0600;
    file.owner = user;
  }
  out[what.path.str()] = std::move(file);
  return {};
}

Status addProjection(const VolumeContext& ctx, const v1::VolumeProjection& p, mode_t mode, Duration* renewAt, Payload& out) {
  if (p.configMap) KM_TRY(addConfigMap(ctx, p.configMap->name, p.configMap->items, mode, p.configMap->optional.value_or(false), out));
  if (p.secret) KM_TRY(addSecret(ctx, p.secret->name, p.secret->items, mode, p.secret->optional.value_or(false), out));
  if (p.downwardAPI) KM_TRY(addDownward(ctx, p.downwardAPI->items, mode, out));
  if (p.serviceAccountToken) KM_TRY(addToken(ctx, *p.serviceAccountToken, mode, renewAt, out));
  if (p.clusterTrustBundle || p.podCertificate) return errors::failed("trust bundles and pod certificates are not supported by this kubelet");
  return {};
}

}  // namespace

int64_t podMemoryLimit(const v1::Pod& pod) { return podResources(pod).memoryLimit; }

Result<Payload> payloadOf(const VolumeContext& ctx, const v1::Volume& v, Duration* renewAt) {
  Payload out;
  auto mode = [](const std::optional<int32_t>& m) { return static_cast<mode_t>(m.value_or(0644)); };
  if (v.configMap) {
    KM_TRY(addConfigMap(ctx, v.configMap->name, v.configMap->items, mode(v.configMap->defaultMode), v.configMap->optional.value_or(false), out));
  } else if (v.secret) {
    KM_TRY(addSecret(ctx, v.secret->secretName, v.secret->items, mode(v.secret->defaultMode), v.secret->optional.value_or(false), out));
  } else if (v.downwardAPI) {
    KM_TRY(addDownward(ctx, v.downwardAPI->items, mode(v.downwardAPI->defaultMode), out));
  } else if (v.projected) {
    for (const auto& s : v.projected->sources) KM_TRY(addProjection(ctx, s, mode(v.projected->defaultMode), renewAt, out));
  }
  return out;
}

}  // namespace km::kubelet
