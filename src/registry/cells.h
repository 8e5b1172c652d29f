// Cells of the Table form: each is JSON text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "codec/list.h"
#include "registry/strategy.h"

namespace km::registry {

using Cells = std::vector<std::string>;

inline std::string numberCell(int64_t n) { return std::to_string(n); }
inline std::string boolCell(bool b) { return b ? "true" : "false"; }
std::string ageCell(const api::Object& o, WallTime now);
std::string age(const codec::MicroTime& since, WallTime now);

std::string joined(const std::vector<std::string>& parts, std::string_view separator);
// "a=b,c=d" or "<none>".
std::string labelsText(const codec::Map<codec::String>& labels);
// "a,b + 3 more..."
std::string listWithMore(const std::vector<std::string>& shown, int count, int max);
// "1.2.3.4:80", "[fd00::1]:80"
std::string hostPort(std::string_view host, int port);

}  // namespace km::registry
