#include "base/duration.h"

#include "base/strings.h"

namespace km {
namespace {

constexpr uint64_t kLimit = uint64_t{1} << 63;

// Nanoseconds of the unit at the start of `text`, which is shortened by it; 0 for none.
uint64_t takeUnit(std::string_view& text, std::string_view& unit) {
  size_t n = 0;
  while (n < text.size() && text[n] != '.' && (text[n] < '0' || text[n] > '9')) n++;
  unit = text.substr(0, n);
  text.remove_prefix(n);
  if (unit == "ns") return 1;
  if (unit == "us" || unit == "\u00b5s" || unit == "\u03bcs") return 1'000;
  if (unit == "ms") return 1'000'000;
  if (unit == "s") return 1'000'000'000;
  if (unit == "m") return 60'000'000'000;
  if (unit == "h") return 3'600'000'000'000;
  return 0;
}

bool isDigit(std::string_view s) {
  return !s.empty() && s[0] >= '0' && s[0] <= '9';
}

Status invalid(std::string_view original) {
  return errors::badRequest("time: invalid duration " + quote(original));
}

// "12.5" at the start of `text`: whole part, fraction and its scale (a power of ten).
bool takeNumber(std::string_view& text, uint64_t& whole, uint64_t& fraction, double& scale, bool& any) {
  whole = fraction = 0;
  scale = 1;
  any = false;
  for (; isDigit(text); text.remove_prefix(1)) {
    any = true;
    if (whole > kLimit / 10) return false;
    whole = whole * 10 + (text[0] - '0');
    if (whole > kLimit) return false;
  }
  if (text.empty() || text[0] != '.') return true;
  text.remove_prefix(1);
  bool full = false;
  for (; isDigit(text); text.remove_prefix(1)) {
    any = true;
    if (full) continue;
    uint64_t next = fraction * 10 + (text[0] - '0');
    if (fraction > (kLimit - 1) / 10 || next > kLimit) {
      full = true;  // more digits than matter
      continue;
    }
    fraction = next;
    scale *= 10;
  }
  return true;
}

// v with `digits` decimal places, without trailing zeros.
std::string withFraction(uint64_t v, int digits, std::string_view unit) {
  uint64_t pow = 1;
  for (int i = 0; i < digits; i++) pow *= 10;
  std::string out = std::to_string(v / pow);
  if (uint64_t rest = v % pow) {
    std::string frac = std::to_string(rest);
    frac.insert(0, digits - frac.size(), '0');
    frac.erase(frac.find_last_not_of('0') + 1);
    out += '.';
    out += frac;
  }
  out += unit;
  return out;
}

}  // namespace

Result<Duration> parseDuration(std::string_view original) {
  std::string_view text = original;
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  if (text == "0") return Duration(0);
  if (text.empty()) return invalid(original);
  uint64_t total = 0;
  while (!text.empty()) {
    uint64_t whole, fraction;
    double scale;
    bool any;
    if (text[0] != '.' && !isDigit(text)) return invalid(original);
    if (!takeNumber(text, whole, fraction, scale, any) || !any) return invalid(original);
    std::string_view name;
    uint64_t unit = takeUnit(text, name);
    if (name.empty()) return errors::badRequest("time: missing unit in duration " + quote(original));
    if (unit == 0) {
      return errors::badRequest("time: unknown unit " + quote(name) + " in duration " + quote(original));
    }
    if (whole > kLimit / unit) return invalid(original);
    uint64_t value = whole * unit;
    if (fraction > 0) {
      value += static_cast<uint64_t>(static_cast<double>(fraction) * (static_cast<double>(unit) / scale));
      if (value > kLimit) return invalid(original);
    }
    total += value;
    if (total > kLimit) return invalid(original);
  }
  if (negative) return Duration(static_cast<int64_t>(0 - total));
  if (total > kLimit - 1) return invalid(original);
  return Duration(static_cast<int64_t>(total));
}

std::string formatDuration(Duration duration) {
  int64_t n = duration.count();
  if (n == 0) return "0s";
  uint64_t u = n < 0 ? 0 - static_cast<uint64_t>(n) : static_cast<uint64_t>(n);
  std::string out = n < 0 ? "-" : "";
  if (u < 1'000) return out + withFraction(u, 0, "ns");
  if (u < 1'000'000) return out + withFraction(u, 3, "\u00b5s");
  if (u < 1'000'000'000) return out + withFraction(u, 6, "ms");
  uint64_t minutes = u / 60'000'000'000;
  if (minutes >= 60) out += std::to_string(minutes / 60) + "h";
  if (minutes > 0) out += std::to_string(minutes % 60) + "m";
  return out + withFraction(u % 60'000'000'000, 9, "s");
}

}  // namespace km
