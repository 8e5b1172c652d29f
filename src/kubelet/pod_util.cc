#include "kubelet/pod_util.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/fnv.h"
#include "codec/json.h"

namespace km::kubelet {

v1::Container asContainer(const v1::EphemeralContainer& e) {
  // EphemeralContainerCommon has Container's JSON fields.
  const v1::EphemeralContainerCommon& common = e;
  auto c = codec::fromJson<v1::Container>(codec::toJson(common));
  return c.ok() ? std::move(*c) : v1::Container{};
}

void eachContainer(const v1::Pod& pod, const std::function<void(const v1::Container&, ContainerKind)>& f) {
  for (const auto& c : pod.spec.initContainers) f(c, ContainerKind::kInit);
  for (const auto& c : pod.spec.containers) f(c, ContainerKind::kMain);
  for (const auto& e : pod.spec.ephemeralContainers) f(asContainer(e), ContainerKind::kEphemeral);
}

const v1::Container* findContainer(const v1::Pod& pod, std::string_view name) {
  for (const auto& c : pod.spec.initContainers) {
    if (c.name == name) return &c;
  }
  for (const auto& c : pod.spec.containers) {
    if (c.name == name) return &c;
  }
  return nullptr;
}

bool isRestartableInit(const v1::Container& c) { return c.restartPolicy && *c.restartPolicy == "Always"; }

bool shouldRestart(const v1::Pod& pod, const v1::Container& c, ContainerKind kind, int exitCode) {
  if (kind == ContainerKind::kEphemeral) return false;
  if (c.restartPolicy) {
    for (const auto& rule : c.restartPolicyRules) {
      if (!rule.exitCodes) continue;
      const auto& values = rule.exitCodes->values;
      bool in = std::find(values.begin(), values.end(), exitCode) != values.end();
      if (in == (rule.exitCodes->operator_ == "In")) return rule.action == "Restart";
    }
  }
  std::string_view policy = c.restartPolicy ? std::string_view(*c.restartPolicy) : std::string_view(pod.spec.restartPolicy);
  if (!c.restartPolicy && kind == ContainerKind::kInit && policy == "Always") policy = "OnFailure";
  if (policy == "Never") return false;
  return policy != "OnFailure" || exitCode != 0;
}

std::string qosClass(const v1::Pod& pod) {
  if (!pod.status.qosClass.empty()) return pod.status.qosClass.str();
  bool any = false, guaranteed = true;
  eachContainer(pod, [&](const v1::Container& c, ContainerKind kind) {
    if (kind == ContainerKind::kEphemeral) return;
    for (std::string_view r : {"cpu", "memory"}) {
      const codec::Quantity* limit = c.resources.limits.find(r);
      const codec::Quantity* request = c.resources.requests.find(r);
      if ((limit && !limit->isZero()) || (request && !request->isZero())) any = true;
      if (!limit || limit->isZero() || (request && *request != *limit)) guaranteed = false;
    }
  });
  return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
}

int64_t gracePeriod(const v1::Pod& pod) {
  if (pod.metadata.deletionGracePeriodSeconds) return *pod.metadata.deletionGracePeriodSeconds;
  return pod.spec.terminationGracePeriodSeconds.value_or(30);
}

bool isStatic(const v1::Pod& pod) {
  const codec::String* source = pod.metadata.annotations.find("kubernetes.io/config.source");
  return source != nullptr && *source != "api";
}

bool isEnded(const v1::Pod& pod) { return pod.status.phase == "Succeeded" || pod.status.phase == "Failed"; }

std::string podLogDirectory(const v1::Pod& pod) {
  const auto& m = pod.metadata;
  return fmt::format("{}_{}_{}", m.namespace_.view(), m.name.view(), m.uid.view());
}

std::string describe(const v1::Pod& pod) {
  const auto& m = pod.metadata;
  return fmt::format("{}_{}({})", m.name.view(), m.namespace_.view(), m.uid.view());
}

std::string containerHash(const v1::Container& c) {
  std::string text = R"({"image":)";
  codec::appendJsonString(text, c.image);
  text += R"(,"name":)";
  codec::appendJsonString(text, c.name);
  text += "}";
  return fmt::format("{:x}", fnv1a32(text));
}

std::string expand(std::string_view text, const std::function<const std::string*(std::string_view)>& value) {
  std::string out;
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    if (text[i + 1] == '$') {
      out += '$';
      i++;
      continue;
    }
    size_t end = text[i + 1] == '(' ? text.find(')', i + 2) : std::string_view::npos;
    if (end == std::string_view::npos) {
      out += text[i];
      continue;
    }
    const std::string* v = value(text.substr(i + 2, end - i - 2));
    out += v ? std::string_view(*v) : text.substr(i, end - i + 1);
    i = end;
  }
  return out;
}

WallTime fromNanos(int64_t n) { return {n / 1'000'000'000, static_cast<int32_t>(n % 1'000'000'000)}; }
int64_t toNanos(WallTime t) { return t.seconds * 1'000'000'000 + t.nanos; }

}  // namespace km::kubelet
