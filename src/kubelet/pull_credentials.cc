#include "kubelet/pull_credentials.h"

#include "base/base64.h"
#include "base/strings.h"
#include "codec/value.h"

namespace km::kubelet {
namespace {

std::string registryOf(std::string_view image) {
  size_t slash = image.find('/');
  std::string_view first = slash == std::string_view::npos ? std::string_view() : image.substr(0, slash);
  bool host = first.find('.') != std::string_view::npos || first.find(':') != std::string_view::npos || first == "localhost";
  return host ? std::string(first) : "docker.io";
}

std::string normal(std::string_view server) {
  for (std::string_view scheme : {"https://", "http://"}) {
    if (server.starts_with(scheme)) server.remove_prefix(scheme.size());
  }
  server = server.substr(0, server.find('/'));
  return server == "index.docker.io" || server == "registry-1.docker.io" ? "docker.io" : std::string(server);
}

}  // namespace

std::vector<std::optional<api::cri_runtime_v1::AuthConfig>> pullCredentials(const v1::Pod& pod, std::string_view image, ObjectSource& objects) {
  std::vector<std::optional<api::cri_runtime_v1::AuthConfig>> out;
  std::string registry = registryOf(image);
  for (const auto& ref : pod.spec.imagePullSecrets) {
    auto secret = objects.secret(pod.metadata.namespace_, ref.name);
    if (!secret.ok()) continue;
    const codec::String* text = (*secret)->data.find(".dockerconfigjson");
    bool wrapped = text != nullptr;
    if (!text) text = (*secret)->data.find(".dockercfg");
    if (!text) continue;
    auto parsed = codec::Value::parse(*text);
    if (!parsed.ok()) continue;
    const codec::Value* servers = wrapped ? parsed->find("auths") : &*parsed;
    if (!servers || !servers->isObject()) continue;
    for (const auto& [server, entry] : servers->members()) {
      if (normal(server) != registry || !entry.isObject()) continue;
      auto field = [&](std::string_view name) {
        const codec::Value* v = entry.find(name);
        return v ? std::string(v->asString()) : std::string();
      };
      api::cri_runtime_v1::AuthConfig auth;
      auth.username = field("username");
      auth.password = field("password");
      auth.identityToken = field("identitytoken");
      auth.registryToken = field("registrytoken");
      if (std::string pair = field("auth"); auth.username.empty() && !pair.empty()) {
        if (auto plain = base64Decode(pair)) {
          if (auto parts = cut(*plain, ':')) {
            auth.username = parts->first;
            auth.password = parts->second;
          }
        }
      }
      out.emplace_back(std::move(auth));
    }
  }
  if (out.empty()) out.emplace_back(std::nullopt);
  return out;
}

}  // namespace km::kubelet
