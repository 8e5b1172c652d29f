#include "registry/cells.h"

#include <fmt/format.h>

#include "api/types/meta_v1.h"

namespace km::registry {

std::string ageCell(const api::Object& o, WallTime now) { return textCell(age(o.meta().creationTimestamp, now)); }

std::string age(const codec::MicroTime& since, WallTime now) {
  codec::Time t;
  t.seconds = since.seconds;
  t.set = since.set;
  return age(t, now);
}

std::string joined(const std::vector<std::string>& parts, std::string_view separator) {
  return fmt::format("{}", fmt::join(parts, separator));
}

std::string labelsText(const codec::Map<codec::String>& labels) {
  if (labels.empty()) return "<none>";
  std::string out;
  for (const auto& [key, value] : labels) out += fmt::format("{}{}={}", out.empty() ? "" : ",", key, value);
  return out;
}

std::string listWithMore(const std::vector<std::string>& shown, int count, int max) {
  std::string text = joined(shown, ",");
  if (count > max) return fmt::format("{} + {} more...", text, count - max);
  return text.empty() ? "<unset>" : text;
}

std::string hostPort(std::string_view host, int port) {
  if (host.find(':') != std::string_view::npos) return fmt::format("[{}]:{}", host, port);
  return fmt::format("{}:{}", host, port);
}

}  // namespace km::registry
