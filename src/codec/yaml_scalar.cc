#include "codec/yaml_scalar.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <string>

namespace km::codec {
namespace {

bool digit(char c) {
  return c >= '0' && c <= '9';
}

bool oneOf(std::string_view s, std::initializer_list<std::string_view> words) {
  for (std::string_view w : words) {
    if (s == w) return true;
  }
  return false;
}

// A number of `least` to `most` digits at the front of `s`, taken off; -1 if there is none.
int takeNumber(std::string_view& s, size_t least, size_t most) {
  size_t n = 0;
  int v = 0;
  while (n < s.size() && n < most && digit(s[n])) v = v * 10 + (s[n++] - '0');
  if (n < least) return -1;
  s.remove_prefix(n);
  return v;
}

bool take(std::string_view& s, char c) {
  if (s.empty() || s[0] != c) return false;
  s.remove_prefix(1);
  return true;
}

// 2001-1-2, 2001-1-2T15:4:5.9Z, 2001-1-2 15:4:5.
bool isTimestamp(std::string_view s) {
  size_t year = 0;
  while (year < s.size() && digit(s[year])) year++;
  if (year != 4 || s.size() < 8 || s[4] != '-') return false;
  s.remove_prefix(5);
  int month = takeNumber(s, 1, 2);
  if (month < 1 || month > 12 || !take(s, '-')) return false;
  int day = takeNumber(s, 1, 2);
  if (day < 1 || day > 31) return false;
  if (s.empty()) return true;
  bool zone = take(s, 'T') || take(s, 't');
  if (!zone && !take(s, ' ')) return false;
  int hour = takeNumber(s, 1, 2);
  if (hour < 0 || hour > 23 || !take(s, ':')) return false;
  int minute = takeNumber(s, 1, 2);
  if (minute < 0 || minute > 59 || !take(s, ':')) return false;
  int second = takeNumber(s, 1, 2);
  if (second < 0 || second > 59) return false;
  if (take(s, '.') && takeNumber(s, 1, 9) < 0) return false;
  if (!zone) return s.empty();
  if (take(s, 'Z')) return s.empty();
  if (!take(s, '+') && !take(s, '-')) return false;
  return takeNumber(s, 2, 2) >= 0 && take(s, ':') && takeNumber(s, 2, 2) >= 0 && s.empty();
}

// Go's strconv.ParseInt(s, 0, 64), or a double where only ParseUint would do.
bool parseInt(std::string_view s, Value* out) {
  bool negative = !s.empty() && s[0] == '-';
  if (negative || (!s.empty() && s[0] == '+')) s.remove_prefix(1);
  if (s.empty()) return false;
  int base = 10;
  if (s[0] == '0' && s.size() > 1) {
    char c = s[1];
    if (c == 'x' || c == 'X') {
      base = 16;
    } else if (c == 'b' || c == 'B') {
      base = 2;
    } else if (c == 'o' || c == 'O') {
      base = 8;
    }
    s.remove_prefix(base == 10 ? 1 : 2);
    if (base == 10) base = 8;
  }
  uint64_t v;
  auto r = std::from_chars(s.data(), s.data() + s.size(), v, base);
  if (s.empty() || r.ec != std::errc() || r.ptr != s.data() + s.size()) return false;
  constexpr uint64_t kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (negative) {
    if (v > kMax + 1) return false;
    *out = Value::integer(static_cast<int64_t>(0 - v));
  } else if (v > kMax) {
    *out = Value::number(static_cast<double>(v));
  } else {
    *out = Value::integer(static_cast<int64_t>(v));
  }
  return true;
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool parseFloat(std::string_view text, Value* out) {
  std::string_view s = text;
  bool negative = take(s, '-');
  if (!negative) take(s, '+');
  std::string_view number = s;
  size_t before = s.size();
  while (!s.empty() && digit(s[0])) s.remove_prefix(1);
  bool whole = s.size() != before;
  if (take(s, '.')) {
    before = s.size();
    while (!s.empty() && digit(s[0])) s.remove_prefix(1);
    if (!whole && s.size() == before) return false;
  } else if (!whole) {
    return false;
  }
  if (!s.empty() && (s[0] == 'e' || s[0] == 'E')) {
    s.remove_prefix(1);
    if (!take(s, '-')) take(s, '+');
    before = s.size();
    while (!s.empty() && digit(s[0])) s.remove_prefix(1);
    if (s.size() == before) return false;
  }
  if (!s.empty()) return false;
  double v = 0;
  auto r = std::from_chars(number.data(), number.data() + number.size(), v);
  if (r.ec != std::errc()) return false;
  *out = Value::number(negative ? -v : v);
  return true;
}

YamlTag resolveNumber(std::string_view s, Value* value) {
  if (isTimestamp(s)) {
    *value = Value::string(s);
    return YamlTag::kTimestamp;
  }
  std::string plain;
  for (char c : s) {
    if (c != '_') plain += c;
  }
  if (parseInt(plain, value)) return YamlTag::kInt;
  if (parseFloat(plain, value)) return YamlTag::kFloat;
  *value = Value::string(s);
  return YamlTag::kString;
}

}  // namespace

YamlTag resolveYamlScalar(std::string_view s, Value* value) {
  if (oneOf(s, {"", "~", "null", "Null", "NULL"})) {
    *value = Value();
    return YamlTag::kNull;
  }
  char c = s[0];
  switch (c) {
    case 'y':
    case 'Y':
    case 'n':
    case 'N':
    case 't':
    case 'T':
    case 'f':
    case 'F':
    case 'o':
    case 'O':
      if (oneOf(s, {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})) {
        *value = Value::boolean(true);
        return YamlTag::kBool;
      }
      if (oneOf(s, {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})) {
        *value = Value::boolean(false);
        return YamlTag::kBool;
      }
      break;
    case '<':
      if (s == "<<") {
        *value = Value::string(s);
        return YamlTag::kMerge;
      }
      break;
    case '.':
    case '+':
    case '-': {
      std::string_view rest = c == '.' ? s : s.substr(1);
      if (oneOf(rest, {".inf", ".Inf", ".INF"})) {
        double inf = std::numeric_limits<double>::infinity();
        *value = Value::number(c == '-' ? -inf : inf);
        return YamlTag::kFloat;
      }
      if (oneOf(s, {".nan", ".NaN", ".NAN"})) {
        *value = Value::number(std::nan(""));
        return YamlTag::kFloat;
      }
      if (c == '.') {
        if (parseFloat(s, value)) return YamlTag::kFloat;
        break;
      }
      return resolveNumber(s, value);
    }
    default:
      if (digit(c)) return resolveNumber(s, value);
  }
  *value = Value::string(s);
  return YamlTag::kString;
}

bool isBase60Float(std::string_view s) {
  if (s.empty() || (s[0] != '+' && s[0] != '-' && !digit(s[0])) || s.find(':') == std::string_view::npos)
    return false;
  if (!digit(s[0])) s.remove_prefix(1);
  if (s.empty() || !digit(s[0])) return false;
  while (!s.empty() && (digit(s[0]) || s[0] == '_')) s.remove_prefix(1);
  bool any = false;
  while (take(s, ':')) {
    // [0-5]?[0-9]
    if (s.empty() || !digit(s[0])) return false;
    if (s[0] <= '5' && s.size() > 1 && digit(s[1])) s.remove_prefix(1);
    s.remove_prefix(1);
    any = true;
  }
  if (take(s, '.')) {
    while (!s.empty() && (digit(s[0]) || s[0] == '_')) s.remove_prefix(1);
  }
  return any && s.empty();
}

}  // namespace km::codec
