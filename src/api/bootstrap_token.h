// Bootstrap tokens as Secrets of kube-system keep them (bootstrap.kubernetes.io/token).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "api/types/fwd.h"
#include "base/clock.h"

namespace km::api {

inline constexpr std::string_view kBootstrapTokenType = "bootstrap.kubernetes.io/token";
inline constexpr std::string_view kBootstrapTokenNamespace = "kube-system";

// "bootstrap-token-ID", the name of the token's Secret.
std::string bootstrapTokenName(std::string_view id);
// A field of it ("token-id", "usage-bootstrap-signing"); "" if it is absent.
std::string_view bootstrapTokenField(const core_v1::Secret& s, std::string_view key);
// Seconds until the token expires: nothing if it never does, at most 0 if it has, or says no time that can be read.
std::optional<int64_t> bootstrapTokenSecondsLeft(const core_v1::Secret& s, WallTime now);

}  // namespace km::api
