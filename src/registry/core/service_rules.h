// Rules of services that the strategy and the allocator share.
#pragma once

#include "registry/rules.h"

namespace km::registry {

bool isHeadless(const api::core_v1::Service& s);
bool needsClusterIp(const api::core_v1::Service& s);
bool needsNodePort(const api::core_v1::Service& s);
bool needsHealthCheckPort(const api::core_v1::Service& s);
bool isExternallyAccessible(const api::core_v1::Service& s);
// clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy by themselves and against each other; `old` may be null.
void validateClusterIpFields(const api::core_v1::Service& s, const api::core_v1::Service* old, FieldErrors& errors);

// The class of a load balancer is chosen once, with the type.
void validateLoadBalancerClass(const api::core_v1::Service& s, const api::core_v1::Service* old, FieldErrors& errors);
// All that a new or changed service must be by itself; `old` may be null.
void validateService(const api::core_v1::Service& s, const api::core_v1::Service* old, FieldErrors& errors);
// What was given once stays: a second family may come and go, the first may not.
void validateKept(const api::core_v1::Service& s, const api::core_v1::Service& old, FieldErrors& errors);

}  // namespace km::registry
