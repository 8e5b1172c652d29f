// ConfigMaps, Secrets and ServiceAccounts.
#include <fmt/format.h>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "codec/json.h"
#include "registry/cells.h"
#include "registry/kinds.h"
#include "registry/rules.h"

namespace km::registry {
namespace {

using api::core_v1::ConfigMap;
using api::core_v1::Secret;
using api::core_v1::ServiceAccount;

constexpr int kMaxBytes = 1024 * 1024;
constexpr std::string_view kImmutableSet = "field is immutable when `immutable` is set";

class ConfigMapStrategy : public Strategy {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& m = o.as<ConfigMap>();
    size_t total = 0;
    for (const auto& [key, value] : m.data) {
      errors.each(Path("data").key(key), key.view(), api::isConfigMapKey(key));
      if (m.binaryData.contains(key)) {
        errors.invalid(Path("data").key(key), key.view(), "duplicate of key present in binaryData");
      }
      total += value.size();
    }
    for (const auto& [key, value] : m.binaryData) {
      errors.each(Path("binaryData").key(key), key.view(), api::isConfigMapKey(key));
      total += value.size();
    }
    // Upstream means the whole object by a path without a name, which prints so.
    if (total > kMaxBytes) errors.tooLong(Path("[]"), kMaxBytes);
  }

  void validateUpdate(const Context& c, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    const auto& m = o.as<ConfigMap>();
    const auto& was = old.as<ConfigMap>();
    if (was.immutable.value_or(false)) {
      if (!m.immutable.value_or(false)) errors.forbidden(Path("immutable"), kImmutableSet);
      if (!(m.data == was.data)) errors.forbidden(Path("data"), kImmutableSet);
      if (!(m.binaryData == was.binaryData)) errors.forbidden(Path("binaryData"), kImmutableSet);
    }
    validateCreate(c, o, errors);
  }

  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    const auto& m = o.as<ConfigMap>();
    return {textCell(o.name()), numberCell(static_cast<int64_t>(m.data.size() + m.binaryData.size())), ageCell(o, now)};
  }
};

// What Go's json.Unmarshal into a map says; empty if it is an object.
std::string jsonObjectError(std::string_view text) {
  if (Status s = codec::checkJsonSyntax(text); !s.ok()) return s.message();
  size_t at = text.find_first_not_of(" \t\r\n");
  if (at == std::string_view::npos || text[at] == '{' || text.substr(at, 4) == "null") return {};
  std::string_view what = text[at] == '[' ? "array" : text[at] == '"' ? "string" : text[at] == 't' || text[at] == 'f' ? "bool" : "number";
  return fmt::format("json: cannot unmarshal {} into Go value of type map[string]interface {{}}", what);
}

void validateSecretData(const Secret& s, FieldErrors& errors) {
  Path data("data");
  auto need = [&](std::string_view key) {
    if (!s.data.contains(key)) errors.required(data.key(key), "");
  };
  auto needJson = [&](std::string_view key) {
    const codec::String* value = s.data.find(key);
    if (value == nullptr) return errors.required(data.key(key), "");
    std::string error = jsonObjectError(*value);
    if (!error.empty()) errors.invalid(data.key(key), "<secret contents redacted>", error);
  };
  if (s.type == "kubernetes.io/service-account-token") {
    if (s.metadata.annotations.get("kubernetes.io/service-account.name").empty()) {
      errors.required(Path("metadata.annotations").key("kubernetes.io/service-account.name"), "");
    }
  } else if (s.type == "kubernetes.io/dockercfg") {
    needJson(".dockercfg");
  } else if (s.type == "kubernetes.io/dockerconfigjson") {
    needJson(".dockerconfigjson");
  } else if (s.type == "kubernetes.io/basic-auth") {
    if (!s.data.contains("username") && !s.data.contains("password")) {
      need("username");
      need("password");
    }
  } else if (s.type == "kubernetes.io/ssh-auth") {
    if (s.data.get("ssh-privatekey").empty()) errors.required(data.key("ssh-privatekey"), "");
  } else if (s.type == "kubernetes.io/tls") {
    need("tls.crt");
    need("tls.key");
  }
}

class SecretStrategy : public Strategy {
 public:
  void prepareForUpdate(const Context&, api::Object& o, const api::Object& old) const override {
    if (o.as<Secret>().type.empty()) o.as<Secret>().type = old.as<Secret>().type;
  }

  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& s = o.as<Secret>();
    size_t total = 0;
    for (const auto& [key, value] : s.data) {
      errors.each(Path("data").key(key), key.view(), api::isConfigMapKey(key));
      total += value.size();
    }
    if (total > kMaxBytes) errors.tooLong(Path("data"), kMaxBytes);
    validateSecretData(s, errors);
  }

  void validateUpdate(const Context& c, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    const auto& s = o.as<Secret>();
    const auto& was = old.as<Secret>();
    immutable(s.type == was.type, Path("type"), s.type.view(), errors);
    if (was.immutable.value_or(false)) {
      if (!s.immutable.value_or(false)) errors.forbidden(Path("immutable"), kImmutableSet);
      if (!(s.data == was.data)) errors.forbidden(Path("data"), kImmutableSet);
    }
    validateCreate(c, o, errors);
  }

  void warnings(const Context& c, const api::Object& o, const api::Object*) const override {
    const auto& s = o.as<Secret>();
    if (s.type != "kubernetes.io/tls") return;
    if (s.data.get("tls.crt").view().find("-----BEGIN ") == std::string_view::npos) {
      c.warn("tls: failed to find any PEM data in certificate input");
    } else if (s.data.get("tls.key").view().find("-----BEGIN ") == std::string_view::npos) {
      c.warn("tls: failed to find any PEM data in key input");
    }
  }

  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    const auto& s = o.as<Secret>();
    return {textCell(o.name()), textCell(s.type), numberCell(static_cast<int64_t>(s.data.size())), ageCell(o, now)};
  }
};

class ServiceAccountStrategy : public Strategy {
 public:
  void prepareForCreate(const Context&, api::Object& o) const override { keepSecretNames(o); }
  void prepareForUpdate(const Context&, api::Object& o, const api::Object&) const override { keepSecretNames(o); }

  void warnings(const Context& c, const api::Object& o, const api::Object* old) const override {
    constexpr char kEnforce[] = "kubernetes.io/enforce-mountable-secrets";
    if (old != nullptr && old->meta().annotations.contains(kEnforce)) return;
    if (!o.meta().annotations.contains(kEnforce)) return;
    c.warn(fmt::format("metadata.annotations[{}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets",
                       kEnforce));
  }

  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    return {textCell(o.name()), ageCell(o, now)};
  }

 private:
  // References to secrets keep nothing but the name.
  static void keepSecretNames(api::Object& o) {
    for (auto& ref : o.as<ServiceAccount>().secrets) {
      codec::String name = ref.name;
      ref = {};
      ref.name = name;
    }
  }
};

}  // namespace

std::unique_ptr<Strategy> makeConfigMap() { return std::make_unique<ConfigMapStrategy>(); }
std::unique_ptr<Strategy> makeSecret() { return std::make_unique<SecretStrategy>(); }
std::unique_ptr<Strategy> makeServiceAccount() { return std::make_unique<ServiceAccountStrategy>(); }

}  // namespace km::registry
