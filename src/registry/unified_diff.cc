#include "registry/unified_diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

namespace km::registry {
namespace {

constexpr size_t kContext = 3;
constexpr size_t kLong = 200;  // from this length on, lines that make up more than a percent find no matches

using Lines = std::vector<std::string>;

struct Block {
  size_t a, b, size;
};

struct Change {
  bool equal;
  size_t a1, a2, b1, b2;
};

class Matcher {
 public:
  Matcher(const Lines& a, const Lines& b) : a_(a), b_(b) {
    for (size_t i = 0; i < b.size(); i++) places_[b[i]].push_back(i);
    if (b.size() < kLong) return;
    size_t most = b.size() / 100 + 1;
    std::erase_if(places_, [&](const auto& p) { return p.second.size() > most; });
  }

  std::vector<Change> changes() const {
    std::vector<Change> out;
    size_t i = 0, j = 0;
    for (const Block& m : blocks()) {
      if (i < m.a || j < m.b) out.push_back({false, i, m.a, j, m.b});
      i = m.a + m.size;
      j = m.b + m.size;
      if (m.size > 0) out.push_back({true, m.a, i, m.b, j});
    }
    return out;
  }

 private:
  Block longest(size_t aLow, size_t aHigh, size_t bLow, size_t bHigh) const {
    Block best{aLow, bLow, 0};
    std::unordered_map<size_t, size_t> lengths;
    for (size_t i = aLow; i < aHigh; i++) {
      std::unordered_map<size_t, size_t> next;
      auto it = places_.find(a_[i]);
      if (it != places_.end()) {
        for (size_t j : it->second) {
          if (j < bLow) continue;
          if (j >= bHigh) break;
          auto before = j > 0 ? lengths.find(j - 1) : lengths.end();
          size_t k = (before == lengths.end() ? 0 : before->second) + 1;
          next[j] = k;
          if (k > best.size) best = {i + 1 - k, j + 1 - k, k};
        }
      }
      lengths = std::move(next);
    }
    while (best.a > aLow && best.b > bLow && a_[best.a - 1] == b_[best.b - 1]) best = {best.a - 1, best.b - 1, best.size + 1};
    while (best.a + best.size < aHigh && best.b + best.size < bHigh && a_[best.a + best.size] == b_[best.b + best.size]) best.size++;
    return best;
  }

  void match(size_t aLow, size_t aHigh, size_t bLow, size_t bHigh, std::vector<Block>& out) const {
    Block m = longest(aLow, aHigh, bLow, bHigh);
    if (m.size == 0) return;
    if (aLow < m.a && bLow < m.b) match(aLow, m.a, bLow, m.b, out);
    out.push_back(m);
    if (m.a + m.size < aHigh && m.b + m.size < bHigh) match(m.a + m.size, aHigh, m.b + m.size, bHigh, out);
  }

  std::vector<Block> blocks() const {
    std::vector<Block> found, out;
    match(0, a_.size(), 0, b_.size(), found);
    for (const Block& m : found) {
      if (!out.empty() && out.back().a + out.back().size == m.a && out.back().b + out.back().size == m.b) {
        out.back().size += m.size;
      } else {
        out.push_back(m);
      }
    }
    out.push_back({a_.size(), b_.size(), 0});
    return out;
  }

  const Lines &a_, &b_;
  std::unordered_map<std::string_view, std::vector<size_t>> places_;
};

std::vector<std::vector<Change>> grouped(std::vector<Change> changes) {
  if (changes.empty()) return {};
  Change& head = changes.front();
  if (head.equal) head = {true, std::max(head.a1, head.a2 - std::min(head.a2, kContext)), head.a2,
                          std::max(head.b1, head.b2 - std::min(head.b2, kContext)), head.b2};
  Change& tail = changes.back();
  if (tail.equal) tail = {true, tail.a1, std::min(tail.a2, tail.a1 + kContext), tail.b1, std::min(tail.b2, tail.b1 + kContext)};
  std::vector<std::vector<Change>> out;
  std::vector<Change> group;
  for (Change c : changes) {
    if (c.equal && c.a2 - c.a1 > 2 * kContext) {
      group.push_back({true, c.a1, c.a1 + kContext, c.b1, c.b1 + kContext});
      out.push_back(std::move(group));
      group.clear();
      c.a1 = c.a2 - kContext;
      c.b1 = c.b2 - kContext;
    }
    group.push_back(c);
  }
  if (!group.empty() && !(group.size() == 1 && group[0].equal)) out.push_back(std::move(group));
  return out;
}

std::string range(size_t from, size_t to) {
  size_t n = to - from;
  if (n == 1) return std::to_string(from + 1);
  return fmt::format("{},{}", n == 0 ? from : from + 1, n);
}

}  // namespace

std::string unifiedDiff(const Lines& a, const Lines& b) {
  std::string out;
  for (const auto& group : grouped(Matcher(a, b).changes())) {
    out += fmt::format("@@ -{} +{} @@\n", range(group.front().a1, group.back().a2), range(group.front().b1, group.back().b2));
    for (const Change& c : group) {
      for (size_t i = c.a1; i < c.a2; i++) out += fmt::format("{}{}\n", c.equal ? ' ' : '-', a[i]);
      for (size_t i = c.b1; !c.equal && i < c.b2; i++) out += fmt::format("+{}\n", b[i]);
    }
  }
  return out;
}

}  // namespace km::registry
