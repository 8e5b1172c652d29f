#include "registry/core/quantities.h"

namespace km::registry {

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

}  // namespace km::registry
