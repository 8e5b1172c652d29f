#include "api/bootstrap_token.h"

#include "api/types/core_v1.h"
#include "codec/scalars.h"

namespace km::api {

std::string bootstrapTokenName(std::string_view id) { return "bootstrap-token-" + std::string(id); }

std::string_view bootstrapTokenField(const core_v1::Secret& s, std::string_view key) {
  const auto* v = s.data.find(key);
  return v == nullptr ? std::string_view() : v->view();
}

std::optional<int64_t> bootstrapTokenSecondsLeft(const core_v1::Secret& s, WallTime now) {
  std::string_view end = bootstrapTokenField(s, "expiration");
  if (end.empty()) return std::nullopt;
  auto until = codec::Time::parse(end);
  return until.ok() ? until->seconds - now.seconds : 0;
}

}  // namespace km::api
