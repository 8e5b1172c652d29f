#include "registry/batch/cron_schedule.h"

#include <filesystem>

#include <fmt/format.h>

#include <vector>

#include "api/field_error.h"
#include "base/duration.h"
#include "base/strings.h"
#include "codec/scalars.h"

namespace km::registry {
namespace {

struct Bounds {
  int low, high;
  std::string_view names;  // three letters each, from `low` on
};
constexpr Bounds kBounds[] = {{0, 59, ""}, {0, 23, ""}, {1, 31, ""}, {1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
                              {0, 6, "sunmontuewedthufrisat"}};

std::string number(std::string_view text, int& out) {
  auto n = parseInt64(text);
  if (!n) {
    return fmt::format("failed to parse int from {}: strconv.Atoi: parsing {}: invalid syntax", text, api::goQuote(text));
  }
  if (*n < 0) return fmt::format("negative number ({}) not allowed: {}", *n, text);
  out = static_cast<int>(*n);
  return {};
}

std::string nameOrNumber(std::string_view text, const Bounds& b, int& out) {
  std::string lower = toLower(text);
  for (size_t i = 0; lower.size() == 3 && i + 3 <= b.names.size(); i += 3) {
    if (b.names.substr(i, 3) == lower) {
      out = b.low + static_cast<int>(i / 3);
      return {};
    }
  }
  return number(text, out);
}

std::string range(std::string_view text, const Bounds& b) {
  auto steps = split(text, '/');
  auto ends = split(steps[0], '-');
  int start = 0, end = 0, step = 1;
  bool single = ends.size() == 1;
  if (ends[0] == "*" || ends[0] == "?") {
    start = b.low;
    end = b.high;
  } else {
    if (auto e = nameOrNumber(ends[0], b, start); !e.empty()) return e;
    if (ends.size() == 1) {
      end = start;
    } else if (ends.size() == 2) {
      if (auto e = nameOrNumber(ends[1], b, end); !e.empty()) return e;
    } else {
      return fmt::format("too many hyphens: {}", text);
    }
  }
  if (steps.size() == 2) {
    if (auto e = number(steps[1], step); !e.empty()) return e;
    if (single) end = b.high;
  } else if (steps.size() > 2) {
    return fmt::format("too many slashes: {}", text);
  }
  if (start < b.low) return fmt::format("beginning of range ({}) below minimum ({}): {}", start, b.low, text);
  if (end > b.high) return fmt::format("end of range ({}) above maximum ({}): {}", end, b.high, text);
  if (start > end) return fmt::format("beginning of range ({}) beyond end of range ({}): {}", start, end, text);
  if (step == 0) return fmt::format("step of range should be a positive number: {}", text);
  return {};
}

std::string descriptor(std::string_view s) {
  for (std::string_view known : {"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}) {
    if (s == known) return {};
  }
  constexpr std::string_view kEvery = "@every ";
  if (s.starts_with(kEvery)) {
    auto d = codec::GoDuration::parse(s.substr(kEvery.size()));
    if (d.ok()) return {};
    return fmt::format("failed to parse duration {}: {}", s, d.status().message());
  }
  return fmt::format("unrecognized descriptor: {}", s);
}

}  // namespace

bool knownTimeZone(std::string_view zone) {
  std::error_code error;
  return std::filesystem::is_regular_file(std::filesystem::path("/usr/share/zoneinfo") / zone, error) || zone == "UTC" || zone == "Etc/UTC";
}

std::string cronScheduleError(std::string_view s) {
  if (s.starts_with("TZ=") || s.starts_with("CRON_TZ=")) {
    size_t space = s.find(' ');
    if (space == std::string_view::npos) return fmt::format("provided bad location {}: unknown time zone", s);
    std::string_view zone = s.substr(s.find('=') + 1, space - s.find('=') - 1);
    if (!zone.empty() && zone != "Local" && !knownTimeZone(zone)) {
      return fmt::format("provided bad location {}: unknown time zone {}", zone, zone);
    }
    s = trimSpace(s.substr(space));
  }
  if (s.starts_with('@')) return descriptor(s);
  std::vector<std::string_view> fields;
  for (std::string_view f : split(s, ' ')) {
    if (!trimSpace(f).empty()) fields.push_back(trimSpace(f));
  }
  if (fields.size() != 5) {
    return fmt::format("expected exactly 5 fields, found {}: [{}]", fields.size(), fmt::join(fields, " "));
  }
  for (size_t i = 0; i < 5; i++) {
    for (std::string_view part : split(fields[i], ',')) {
      if (part.empty()) continue;
      if (auto e = range(part, kBounds[i]); !e.empty()) return e;
    }
  }
  return {};
}

}  // namespace km::registry
