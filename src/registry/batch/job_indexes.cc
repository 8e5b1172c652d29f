#include "registry/batch/job_indexes.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "api/field_error.h"
#include "base/strings.h"

namespace km::registry {

namespace {

struct Interval {
  int32_t first, last;
};

Status bad(std::string text) { return Status(422, "", std::move(text)); }

Result<int32_t> parseIndex(std::string_view text, int32_t completions) {
  auto value = parseInt64(text);
  if (!value) return bad("cannot convert string to integer for index: " + api::goQuote(text));
  if (*value >= completions) return bad("too large index: " + api::goQuote(text));
  return static_cast<int32_t>(*value);
}

Result<Interval> parseInterval(std::string_view text, int32_t completions) {
  auto parts = split(text, '-');
  if (parts.size() > 2) {
    return bad(fmt::format("the fragment {} violates the requirement that an index interval can have at most two parts separated by '-'",
                           api::goQuote(text)));
  }
  KM_ASSIGN(int32_t first, parseIndex(parts[0], completions));
  if (parts.size() == 1) return Interval{first, first};
  KM_ASSIGN(int32_t last, parseIndex(parts[1], completions));
  if (first >= last) return bad(fmt::format("non-increasing order, previous: {}, current: {}", first, last));
  return Interval{first, last};
}

std::vector<Interval> readable(std::string_view text, int32_t completions) {
  std::vector<Interval> found;
  for (std::string_view part : split(text, ',')) {
    if (auto i = parseInterval(part, completions); i.ok()) found.push_back(*i);
  }
  return found;
}

}  // namespace

Result<int32_t> countIndexes(std::string_view text, int32_t completions) {
  if (text.empty()) return 0;
  std::optional<int32_t> previous;
  int32_t total = 0;
  for (std::string_view part : split(text, ',')) {
    KM_ASSIGN(Interval i, parseInterval(part, completions));
    if (previous && *previous >= i.first) {
      return bad(fmt::format("non-increasing order, previous: {}, current: {}", *previous, i.first));
    }
    total += i.last - i.first + 1;
    previous = i.last;
  }
  return total;
}

std::optional<int32_t> commonIndex(std::string_view completed, std::string_view failed, int32_t completions) {
  auto done = readable(completed, completions), lost = readable(failed, completions);
  size_t d = 0, l = 0;
  while (d < done.size() && l < lost.size()) {
    if (done[d].first <= lost[l].last && lost[l].first <= done[d].last) return std::max(done[d].first, lost[l].first);
    (done[d].first <= lost[l].first ? d : l)++;
  }
  return std::nullopt;
}

}  // namespace km::registry
