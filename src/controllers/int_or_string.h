// Numbers that may be percentages.
#pragma once

#include <cmath>
#include <optional>

#include "base/strings.h"
#include "codec/scalars.h"

namespace km::controllers {

// The number, or the percentage of `total`, rounded up or down; nullopt for a text that is no percentage.
inline std::optional<int32_t> scaledValue(const codec::IntOrString& v, int32_t total, bool roundUp) {
  if (!v.isString) return v.number;
  std::string_view t = v.text;
  if (!t.ends_with('%')) return std::nullopt;
  auto percent = parseInt64(t.substr(0, t.size() - 1));
  if (!percent) return std::nullopt;
  double x = static_cast<double>(*percent) * total / 100;
  return static_cast<int32_t>(roundUp ? std::ceil(x) : std::floor(x));
}

}  // namespace km::controllers
