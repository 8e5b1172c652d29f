#include "registry/core/volume_overlaps.h"

#include <fmt/format.h>

#include "api/field_error.h"
#include "api/types/core_v1.h"

namespace km::registry {

namespace v1 = api::core_v1;

namespace {

struct Target {
  std::string path, source;
  std::string str() const {
    return source.empty() ? api::goQuote(path) : fmt::format("{} ({})", api::goQuote(path), source);
  }
};
using Targets = std::vector<Target>;

template <typename Items>
Targets targetsOf(const Items& items, std::string source) {
  Targets out;
  for (const auto& i : items) out.push_back({i.path.str(), source});
  return out;
}

bool below(std::string_view path, std::string_view folder) {
  return path == folder || (path.starts_with(folder) && path[folder.size()] == '/');
}

// Each target against those before it: "a" with "a/b".
std::vector<std::string> overlaps(const Targets& targets, Targets& seen) {
  std::vector<std::string> out;
  for (Target t : targets) {
    while (t.path.ends_with('/')) t.path.pop_back();
    for (const Target& other : seen) {
      if (t.path.empty() || other.path.empty()) continue;
      if (below(other.path, t.path) || below(t.path, other.path)) out.push_back(fmt::format("{} with {}", t.str(), other.str()));
    }
    seen.push_back(std::move(t));
  }
  return out;
}

Targets certificateTargets(const v1::PodCertificateProjection& c) {
  Targets out;
  if (!c.certificateChainPath.empty()) out.push_back({c.certificateChainPath.str(), "PodCertificate chain"});
  if (!c.keyPath.empty()) out.push_back({c.keyPath.str(), "PodCertificate key"});
  if (!c.credentialBundlePath.empty()) out.push_back({c.credentialBundlePath.str(), "PodCertificate credential bundle"});
  return out;
}

Targets targetsOf(const v1::VolumeProjection& s) {
  if (s.configMap && !s.configMap->items.empty()) {
    return targetsOf(s.configMap->items, fmt::format("ConfigMap {}", api::goQuote(s.configMap->name)));
  }
  if (s.secret && !s.secret->items.empty()) {
    return targetsOf(s.secret->items, fmt::format("Secret {}", api::goQuote(s.secret->name)));
  }
  if (s.downwardAPI && !s.downwardAPI->items.empty()) return targetsOf(s.downwardAPI->items, "DownwardAPI");
  if (s.serviceAccountToken) return {{s.serviceAccountToken->path.str(), "ServiceAccountToken"}};
  if (s.clusterTrustBundle) {
    const auto& b = *s.clusterTrustBundle;
    std::string name = b.name ? b.name->str() : b.signerName ? b.signerName->str() : "";
    return {{b.path.str(), fmt::format("ClusterTrustBundle {}", api::goQuote(name))}};
  }
  if (s.podCertificate) return certificateTargets(*s.podCertificate);
  return {};
}

bool hasSource(const v1::VolumeProjection& s) {
  return s.configMap || s.secret || s.downwardAPI || s.serviceAccountToken || s.clusterTrustBundle || s.podCertificate;
}

}  // namespace

void volumeOverlapWarnings(const codec::List<v1::Volume>& volumes, std::vector<std::string>& out) {
  for (const v1::Volume& v : volumes) {
    auto tell = [&](const Targets& targets, Targets& seen, std::string_view what) {
      for (const std::string& o : overlaps(targets, seen)) {
        out.push_back(fmt::format("volume {} ({}): overlapping paths: {}", api::goQuote(v.name), what, o));
      }
    };
    auto one = [&](const auto& items, const std::string& what) {
      Targets seen;
      tell(targetsOf(items, ""), seen, what);
    };
    if (v.configMap) one(v.configMap->items, fmt::format("ConfigMap {}", api::goQuote(v.configMap->name)));
    if (v.secret) one(v.secret->items, fmt::format("Secret {}", api::goQuote(v.secret->secretName)));
    if (v.downwardAPI) one(v.downwardAPI->items, "DownwardAPI");
    if (!v.projected) continue;
    Targets seen;
    for (const auto& s : v.projected->sources) {
      if (!hasSource(s)) {
        out.push_back(fmt::format("volume {} (Projected) has no sources provided", api::goQuote(v.name)));
      } else {
        tell(targetsOf(s), seen, "Projected");
      }
    }
  }
}

}  // namespace km::registry
