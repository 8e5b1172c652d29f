// The Pod Security Standards: what pods of a level may ask for, by version of the standards.
#pragma once

#include <string>
#include <vector>

#include "api/types/fwd.h"

namespace km::admission {

enum class PodSecurityLevel { kPrivileged, kBaseline, kRestricted };

struct PodSecurityVersion {
  int minor = -1;  // of 1.x; -1: latest
  friend bool operator==(const PodSecurityVersion&, const PodSecurityVersion&) = default;
};

struct PodSecurityPolicy {
  PodSecurityLevel level = PodSecurityLevel::kPrivileged;
  PodSecurityVersion version;
  std::string str() const;  // "baseline:v1.25"
  friend bool operator==(const PodSecurityPolicy&, const PodSecurityPolicy&) = default;
};

struct Violation {
  std::string reason, detail;
};

// What the pod asks for and the policy forbids, in upstream's order and words.
std::vector<Violation> podSecurityViolations(const PodSecurityPolicy& policy, const api::meta_v1::ObjectMeta& meta,
                                             const api::core_v1::PodSpec& spec);
std::string reasonsOf(const std::vector<Violation>& violations);  // "a, b"
std::string detailsOf(const std::vector<Violation>& violations);  // "a (why), b (why)"

}  // namespace km::admission
