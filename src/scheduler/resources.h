// What pods ask for and nodes have, as the scheduler counts it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "api/types/core_v1.h"

namespace km::scheduler {

// cpu in thousandths, memory and storage in bytes.
struct Amounts {
  int64_t milliCpu = 0, memory = 0, ephemeralStorage = 0, pods = 0;
  std::map<std::string, int64_t, std::less<>> others;  // extended resources, huge pages

  void add(const Amounts& o, int sign = 1);
  bool operator==(const Amounts&) const = default;
};

Amounts amountsOf(const codec::Map<codec::Quantity>& list);

// What a pod needs: the sum of its containers, or its largest init step, with sidecars, pod-level requests
// and overhead, as upstream counts. `withDefaults`: containers that ask for nothing count as 100m and 200Mi,
// for scores.
Amounts podRequests(const api::core_v1::Pod& pod, bool withDefaults = false);
// The same of a pod that has a node: while it is resized, the larger of what is wanted and what it still has.
Amounts placedRequests(const api::core_v1::Pod& pod, bool withDefaults = false);
// Whether the two differ.
bool resizing(const api::core_v1::Pod& pod);

struct HostPort {
  std::string ip, protocol;
  int32_t port;
  auto operator<=>(const HostPort&) const = default;
  bool conflicts(const HostPort& o) const;
};
std::vector<HostPort> hostPorts(const api::core_v1::Pod& pod);

}  // namespace km::scheduler
