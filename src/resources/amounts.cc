#include "resources/amounts.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/validation.h"

namespace km::resources {

bool isNativeResource(std::string_view name) {
  return name.find('/') == std::string_view::npos || name.find("kubernetes.io/") != std::string_view::npos;
}

bool isExtendedResource(std::string_view name) {
  if (isNativeResource(name) || name.starts_with("requests.")) return false;
  return api::isQualifiedName(fmt::format("requests.{}", name)).empty();
}

void roundUp(ResourceList& list) {
  constexpr __int128 kMilli = 1'000'000;
  for (auto& [name, q] : list) {
    __int128 n = q.nanoValue();
    __int128 rest = n % kMilli;
    if (rest == 0) continue;
    // Away from zero, as upstream rounds.
    q = codec::Quantity::nano(n - rest + (n > 0 ? kMilli : -kMilli), q.format());
  }
}

void addTo(ResourceList& sum, const ResourceList& more) {
  for (const auto& [name, q] : more) {
    if (codec::Quantity* have = sum.find(name)) {
      *have += q;
    } else {
      sum[name] = q;
    }
  }
}

void maxInto(ResourceList& max, const ResourceList& other) {
  for (const auto& [name, q] : other) {
    codec::Quantity* have = max.find(name);
    if (have == nullptr) {
      max[name] = q;
    } else if (*have < q) {
      *have = q;
    }
  }
}

ResourceList lessNothingNegative(const ResourceList& a, const ResourceList& b) {
  ResourceList out;
  for (const auto& [name, q] : a) {
    codec::Quantity left = q;
    if (const codec::Quantity* taken = b.find(name)) left -= *taken;
    out[name] = left.sign() > 0 ? left : codec::Quantity();
  }
  for (const auto& [name, q] : b) {
    if (!a.contains(name)) out[name] = codec::Quantity();
  }
  return out;
}

ResourceList only(const ResourceList& list, const Names& names) {
  ResourceList out;
  for (const auto& [name, q] : list) {
    if (std::find(names.begin(), names.end(), name.view()) != names.end()) out[name] = q;
  }
  return out;
}

ResourceList withoutZeros(const ResourceList& list) {
  ResourceList out;
  for (const auto& [name, q] : list) {
    if (!q.isZero()) out[name] = q;
  }
  return out;
}

bool sameAmounts(const ResourceList& a, const ResourceList& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return x.key == y.key && x.value == y.value; });
}

Names namesOf(const ResourceList& list) {
  Names out;
  for (const auto& [name, q] : list) out.push_back(name.str());
  return out;
}

std::string text(const ResourceList& list) {
  std::string out;
  for (const auto& [name, q] : list) out += fmt::format("{}{}={}", out.empty() ? "" : ",", name, q.str());
  return out;
}

}  // namespace km::resources
