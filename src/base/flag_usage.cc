// Usage texts as pflag prints them.
#include <algorithm>

#include "base/flags.h"
#include "base/strings.h"

namespace km {
namespace {

// The name of the value (from backquotes in the usage, else from the type) and the usage without backquotes.
std::pair<std::string, std::string> unquoteUsage(const Flag& flag) {
  const std::string& usage = flag.usage();
  size_t open = usage.find('`');
  size_t close = open == std::string::npos ? open : usage.find('`', open + 1);
  if (close != std::string::npos) {
    std::string name = usage.substr(open + 1, close - open - 1);
    return {name, usage.substr(0, open) + name + usage.substr(close + 1)};
  }
  static constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"bool", ""},     {"func", "value"},  {"float64", "float"},
      {"int64", "int"}, {"uint64", "uint"}, {"stringSlice", "strings"}};
  std::string type = flag.type();
  for (auto [from, to] : kNames) {
    if (type == from) return {std::string(to), usage};
  }
  return {type, usage};
}

// Takes a line of about `width` characters from `text`.
std::string_view takeLine(size_t width, size_t slop, std::string_view& text) {
  std::string_view whole = text;
  if (width + slop > text.size()) {
    text = {};
    return whole;
  }
  std::string_view head = text.substr(0, width);
  size_t at = head.find_last_of(" \t\n");
  if (at == std::string_view::npos || at == 0) {
    text = {};
    return whole;
  }
  size_t newline = head.rfind('\n');
  if (newline != std::string_view::npos && newline > 0 && newline < at) at = newline;
  text.remove_prefix(at + 1);
  return whole.substr(0, at);
}

std::string wrap(int indent, int columns, std::string_view text) {
  std::string margin = "\n" + std::string(indent, ' ');
  if (columns == 0) return replaceAll(text, "\n", margin);
  int width = columns - indent;
  std::string out;
  if (width < 24) {  // too narrow beside the names: a block below them
    indent = 16;
    width = columns - indent;
    margin = "\n" + std::string(indent, ' ');
    out = margin;
  }
  if (width < 24) return replaceAll(text, "\n", out);
  constexpr int kSlop = 5;  // a short orphan word may overhang
  width -= kSlop;
  out += replaceAll(takeLine(width, kSlop, text), "\n", margin);
  while (!text.empty()) {
    out += margin;
    out += replaceAll(takeLine(width, kSlop, text), "\n", margin);
  }
  return out;
}

std::string head(const Flag& flag, std::string_view valueName) {
  std::string line =
      flag.shorthandLetter() ? std::string("  -") + flag.shorthandLetter() + ", --" : "      --";
  line += flag.name();
  if (!valueName.empty()) line += " " + std::string(valueName);
  const std::string& optional = flag.noOptDefaultValue();
  if (optional.empty()) return line;
  std::string type = flag.type();
  if (type == "string") {
    line += "[=\"" + optional + "\"]";
  } else if (type != "bool" || optional != "true") {
    line += "[=" + optional + "]";
  }
  return line;
}

}  // namespace

std::string FlagSet::usages(int columns) const {
  std::vector<std::pair<std::string, std::string>> lines;
  size_t longest = 0;
  visitAll([&](const Flag& flag) {
    if (flag.isHidden()) return;
    auto [valueName, usage] = unquoteUsage(flag);
    std::string left = head(flag, valueName);
    longest = std::max(longest, left.size());
    if (!flag.defaultIsZero()) {
      const std::string& def = flag.defaultValue();
      usage += " (default " + (flag.type() == "string" ? quote(def) : def) + ")";
    }
    if (!flag.deprecatedMessage().empty()) usage += " (DEPRECATED: " + flag.deprecatedMessage() + ")";
    lines.emplace_back(std::move(left), std::move(usage));
  });
  std::string out;
  for (const auto& [left, right] : lines) {
    out += left;
    out.append(longest - left.size() + 3, ' ');
    out += wrap(static_cast<int>(longest) + 3, columns, right);
    out += '\n';
  }
  return out;
}

}  // namespace km
