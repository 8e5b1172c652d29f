#include "kubelet/environment.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/strings.h"

namespace km::kubelet {
namespace {

std::string variable(std::string_view text) {
  std::string out = toUpper(text);
  std::replace(out.begin(), out.end(), '-', '_');
  return out;
}

bool hasAddress(const v1::Service& s) {
  return !s.spec.clusterIP.empty() && s.spec.clusterIP != "None";
}

std::string joinHostPort(std::string_view host, int port) {
  return host.find(':') == std::string_view::npos ? fmt::format("{}:{}", host, port)
                                                  : fmt::format("[{}]:{}", host, port);
}

void addService(const v1::Service& s, Environment& out) {
  std::string name = variable(s.metadata.name), ip = s.spec.clusterIP.str();
  out.emplace_back(name + "_SERVICE_HOST", ip);
  out.emplace_back(name + "_SERVICE_PORT", std::to_string(s.spec.ports[0].port));
  for (const auto& p : s.spec.ports) {
    if (!p.name.empty())
      out.emplace_back(fmt::format("{}_SERVICE_PORT_{}", name, variable(p.name)), std::to_string(p.port));
  }
  bool first = true;
  for (const auto& p : s.spec.ports) {
    std::string protocol = p.protocol.empty() ? "TCP" : p.protocol.str();
    std::string url = fmt::format("{}://{}", toLower(protocol), joinHostPort(ip, p.port));
    if (std::exchange(first, false)) out.emplace_back(name + "_PORT", url);
    std::string prefix = fmt::format("{}_PORT_{}_{}", name, p.port, toUpper(protocol));
    out.emplace_back(prefix, url);
    out.emplace_back(prefix + "_PROTO", toLower(protocol));
    out.emplace_back(prefix + "_PORT", std::to_string(p.port));
    out.emplace_back(prefix + "_ADDR", ip);
  }
}

// Later values of a name replace earlier ones in place.
class Builder {
 public:
  void set(std::string name, std::string value) {
    auto [it, fresh] = at_.emplace(name, out_.size());
    if (fresh) {
      out_.emplace_back(std::move(name), std::move(value));
    } else {
      out_[it->second].second = std::move(value);
    }
  }
  const std::string* get(std::string_view name) const {
    auto it = at_.find(name);
    return it == at_.end() ? nullptr : &out_[it->second].second;
  }
  Environment take() { return std::move(out_); }

 private:
  Environment out_;
  std::map<std::string, size_t, std::less<>> at_;
};

template <typename M>
void addAll(const M& data, std::string_view prefix, Builder& out) {
  for (const auto& [key, value] : data) out.set(std::string(prefix) + key.str(), value.str());
}

Status addFrom(const v1::EnvFromSource& from, std::string_view ns, ObjectSource& objects, Builder& out) {
  if (from.configMapRef) {
    auto m = objects.configMap(ns, from.configMapRef->name);
    if (!m.ok())
      return m.status().code() == 404 && from.configMapRef->optional.value_or(false) ? Status() : m.status();
    addAll((*m)->data, from.prefix, out);
  } else if (from.secretRef) {
    auto s = objects.secret(ns, from.secretRef->name);
    if (!s.ok())
      return s.status().code() == 404 && from.secretRef->optional.value_or(false) ? Status() : s.status();
    addAll((*s)->data, from.prefix, out);
  }
  return {};
}

// nullopt: an optional source that is not there.
Result<std::optional<std::string>> valueFrom(const DownwardContext& context, const v1::Container& c,
                                             const v1::EnvVarSource& from, ObjectSource& objects,
                                             const VolumeFiles& files) {
  using Value = std::optional<std::string>;
  std::string_view ns = context.pod->metadata.namespace_;
  if (from.fieldRef) {
    KM_ASSIGN(auto v, fieldValue(context, from.fieldRef->fieldPath));
    return Value(std::move(v));
  }
  if (from.resourceFieldRef) {
    KM_ASSIGN(auto v, resourceValue(context, *from.resourceFieldRef, &c));
    return Value(std::move(v));
  }
  if (from.configMapKeyRef) {
    const auto& ref = *from.configMapKeyRef;
    bool optional = ref.optional.value_or(false);
    auto m = objects.configMap(ns, ref.name);
    if (!m.ok())
      return m.status().code() == 404 && optional ? Result<Value>(Value()) : Result<Value>(m.status());
    const codec::String* v = (*m)->data.find(ref.key);
    if (v) return Value(v->str());
    if (optional) return Value();
    return errors::failed(
        fmt::format("couldn't find key {} in ConfigMap {}/{}", ref.key.view(), ns, ref.name.view()));
  }
  if (from.secretKeyRef) {
    const auto& ref = *from.secretKeyRef;
    bool optional = ref.optional.value_or(false);
    auto s = objects.secret(ns, ref.name);
    if (!s.ok())
      return s.status().code() == 404 && optional ? Result<Value>(Value()) : Result<Value>(s.status());
    const codec::String* v = (*s)->data.find(ref.key);
    if (v) return Value(v->str());
    if (optional) return Value();
    return errors::failed(
        fmt::format("couldn't find key {} in Secret {}/{}", ref.key.view(), ns, ref.name.view()));
  }
  if (from.fileKeyRef) {
    const auto& ref = *from.fileKeyRef;
    bool optional = ref.optional.value_or(false);
    auto text = files ? files(ref.volumeName, ref.path)
                      : Result<std::string>(errors::failed("volumes are not known"));
    if (!text.ok())
      return text.status().code() == 404 && optional ? Result<Value>(Value()) : Result<Value>(text.status());
    KM_ASSIGN(Value v, envFileValue(*text, ref.key));
    if (v || optional) return v;
    return errors::failed(fmt::format("environment variable key \"{}\" not found in file", ref.key.view()));
  }
  return Value(std::string());
}

}  // namespace

Result<std::optional<std::string>> envFileValue(std::string_view text, std::string_view name) {
  std::optional<std::string> found;
  int line = 1;
  auto wrong = [&](std::string_view what) {
    return errors::failed(
        fmt::format("failed to parse environment variable file at line {}: {}", line, what));
  };
  while (!text.empty()) {
    size_t end = text.find('\n');
    std::string_view here = text.substr(0, end);
    std::string_view plain = trimSpace(here);
    if (plain.empty() || plain[0] == '#') {
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      line++;
      continue;
    }
    size_t equals = here.find('=');
    if (equals == std::string_view::npos) return wrong("missing '='");
    std::string_view key = trimSpace(here.substr(0, equals));
    if (key.empty()) return wrong("empty name");
    if (equals + 1 >= text.size() || text[equals + 1] != '\'')
      return wrong("the value must be in single quotes");
    size_t close = text.find('\'', equals + 2);
    if (close == std::string_view::npos) return wrong("unterminated single quote");
    std::string_view value = text.substr(equals + 2, close - equals - 2);
    size_t next = text.find('\n', close);
    std::string_view rest =
        trimSpace(text.substr(close + 1, next == std::string_view::npos ? next : next - close - 1));
    if (!rest.empty() && rest[0] != '#') return wrong("unexpected text after the value");
    if (key == name) found = std::string(value);
    line += 1 + static_cast<int>(std::count(value.begin(), value.end(), '\n'));
    text.remove_prefix(next == std::string_view::npos ? text.size() : next + 1);
  }
  return found;
}

Environment serviceEnvironment(const v1::Pod& pod, const Services& services) {
  bool links = pod.spec.enableServiceLinks.value_or(true);
  std::map<std::string, const v1::Service*> chosen;
  for (const auto& s : services) {
    if (!hasAddress(*s) || s->spec.ports.empty()) continue;
    bool own = s->metadata.namespace_ == pod.metadata.namespace_;
    bool master = s->metadata.namespace_ == "default" && s->metadata.name == "kubernetes";
    if (own && (links || master)) {
      chosen[s->metadata.name.str()] = s.get();
    } else if (master) {
      chosen.emplace(s->metadata.name.str(), s.get());
    }
  }
  Environment out;
  for (const auto& [name, s] : chosen) addService(*s, out);
  return out;
}

Result<Environment> makeEnvironment(const DownwardContext& context, const v1::Container& c,
                                    const Services& services, ObjectSource& objects,
                                    const VolumeFiles& files) {
  Environment fromServices = serviceEnvironment(*context.pod, services);
  std::map<std::string, std::string, std::less<>> serviceValues(fromServices.begin(), fromServices.end());
  Builder out;
  for (const auto& from : c.envFrom) KM_TRY(addFrom(from, context.pod->metadata.namespace_, objects, out));
  auto lookUp = [&](std::string_view name) -> const std::string* {
    if (const std::string* v = out.get(name)) return v;
    auto it = serviceValues.find(name);
    return it == serviceValues.end() ? nullptr : &it->second;
  };
  for (const auto& e : c.env) {
    if (e.valueFrom) {
      KM_ASSIGN(auto value, valueFrom(context, c, *e.valueFrom, objects, files));
      if (value) out.set(e.name.str(), std::move(*value));
    } else {
      out.set(e.name.str(), expand(e.value, lookUp));
    }
  }
  for (auto& [name, value] : fromServices) {
    if (!out.get(name)) out.set(name, value);
  }
  return out.take();
}

}  // namespace km::kubelet
