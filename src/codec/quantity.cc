#include <algorithm>
#include <limits>

#include "codec/quantity_spelling.h"
#include "codec/scalars.h"

namespace km::codec {
namespace {

constexpr __int128 kNanosPerUnit = 1'000'000'000;
constexpr __int128 kMaxNano = static_cast<__int128>(std::numeric_limits<int64_t>::max()) * kNanosPerUnit;
// Decimal texts have no cap upstream; here the number has, at the whole units that 128 bits hold, and the text has none.
constexpr __int128 kMaxDecimal =
    (static_cast<__int128>(~static_cast<unsigned __int128>(0) >> 1) / kNanosPerUnit - 1) * kNanosPerUnit;

struct Suffix {
  std::string_view text;
  int base;
  int exponent;
};
constexpr Suffix kSuffixes[] = {
    {"n", 10, -9}, {"u", 10, -6}, {"m", 10, -3}, {"", 10, 0},   {"k", 10, 3},  {"M", 10, 6},  {"G", 10, 9},
    {"T", 10, 12}, {"P", 10, 15}, {"E", 10, 18}, {"Ki", 2, 10}, {"Mi", 2, 20}, {"Gi", 2, 30}, {"Ti", 2, 40},
    {"Pi", 2, 50}, {"Ei", 2, 60},
};

bool isDigit(char c) { return c >= '0' && c <= '9'; }

Status wrongFormat() {
  return errors::badRequest(
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
}

// The text taken apart: digits before and after the point, and what follows them.
struct Parts {
  bool negative = false;
  std::string_view whole, fraction, suffix;
};

Result<Parts> split(std::string_view s) {
  if (s.empty()) return wrongFormat();
  Parts p;
  size_t i = 0;
  if (s[0] == '+' || s[0] == '-') p.negative = s[i++] == '-';
  size_t begin = i;
  while (i < s.size() && isDigit(s[i])) i++;
  p.whole = s.substr(begin, i - begin);
  if (i < s.size() && s[i] == '.') {
    begin = ++i;
    while (i < s.size() && isDigit(s[i])) i++;
    p.fraction = s.substr(begin, i - begin);
  }
  begin = i;
  while (i < s.size() && std::string_view("eEinumkKMGTP").find(s[i]) != std::string_view::npos) i++;
  if (i < s.size() && (s[i] == '-' || s[i] == '+')) i++;
  while (i < s.size() && isDigit(s[i])) i++;
  if (i < s.size()) return wrongFormat();
  p.suffix = s.substr(begin);
  return p;
}

struct Scale {
  int base;
  int exponent;
  Quantity::Format format;
};

Result<Scale> interpret(std::string_view suffix) {
  for (const Suffix& s : kSuffixes) {
    if (s.text == suffix) {
      return Scale{s.base, s.exponent, s.base == 10 ? Quantity::Format::kDecimalSI : Quantity::Format::kBinarySI};
    }
  }
  if (suffix.size() > 1 && (suffix[0] == 'e' || suffix[0] == 'E')) {
    std::string_view digits = suffix.substr(1);
    bool negative = digits[0] == '-';
    if (digits[0] == '-' || digits[0] == '+') digits.remove_prefix(1);
    // Nine digits are more than any quantity needs, and fit.
    if (!digits.empty() && digits.size() <= 9 && std::all_of(digits.begin(), digits.end(), isDigit)) {
      int exponent = 0;
      for (char c : digits) exponent = exponent * 10 + (c - '0');
      return Scale{10, negative ? -exponent : exponent, Quantity::Format::kDecimalExponent};
    }
  }
  return errors::badRequest("unable to parse quantity's suffix");
}

std::string decimal(__int128 v) {
  if (v == 0) return "0";
  bool negative = v < 0;
  unsigned __int128 u = negative ? -static_cast<unsigned __int128>(v) : static_cast<unsigned __int128>(v);
  char buf[48];
  char* p = buf + sizeof buf;
  for (; u != 0; u /= 10) *--p = static_cast<char>('0' + static_cast<int>(u % 10));
  if (negative) *--p = '-';
  return {p, buf + sizeof buf};
}

// v / d, away from zero.
__int128 divideUp(__int128 v, __int128 d) {
  __int128 q = v / d;
  if (v % d != 0) q += v < 0 ? -1 : 1;
  return q;
}

__int128 capped(__int128 v) { return std::clamp(v, -kMaxNano, kMaxNano); }

int64_t clampToInt64(__int128 v) {
  constexpr __int128 max = std::numeric_limits<int64_t>::max();
  constexpr __int128 min = std::numeric_limits<int64_t>::min();
  return static_cast<int64_t>(std::clamp(v, min, max));
}

std::string canonical(__int128 v, Quantity::Format format) {
  using Format = Quantity::Format;
  if (v == 0) return "0";
  // Small and fractional numbers would lose precision in binary notation.
  if (format == Format::kBinarySI && (v % kNanosPerUnit != 0 || (v > -1024 * kNanosPerUnit && v < 1024 * kNanosPerUnit))) {
    format = Format::kDecimalSI;
  }
  if (format == Format::kBinarySI) {
    v /= kNanosPerUnit;
    int exponent = 0;
    while (v % 1024 == 0 && exponent < 60) {
      v /= 1024;
      exponent += 10;
    }
    for (const Suffix& s : kSuffixes) {
      if (exponent == 0) break;
      if (s.base == 2 && s.exponent == exponent) return decimal(v).append(s.text);
    }
    return decimal(v);
  }
  int exponent = -9;
  while (v % 1000 == 0 && (exponent < 18 || format == Format::kDecimalExponent)) {
    v /= 1000;
    exponent += 3;
  }
  if (format == Format::kDecimalExponent) {
    return exponent == 0 ? decimal(v) : decimal(v) + "e" + std::to_string(exponent);
  }
  for (const Suffix& s : kSuffixes) {
    if (s.base == 10 && s.exponent == exponent) return decimal(v).append(s.text);
  }
  return decimal(v);
}

// The same of a decimal number that is too large for 128 bits.
std::string canonicalDigits(const Parts& parts, const Scale& scale) {
  std::string digits = std::string(parts.whole) + std::string(parts.fraction);
  int exponent = scale.exponent - static_cast<int>(parts.fraction.size());
  digits.erase(0, digits.find_first_not_of('0'));
  // Nothing is finer than a nano: away from zero.
  bool up = false;
  for (; exponent < -9 && digits.size() > 1; exponent++) {
    up = up || digits.back() != '0';
    digits.pop_back();
  }
  for (size_t i = digits.size(); up && i-- > 0;) {
    up = digits[i] == '9';
    digits[i] = up ? '0' : static_cast<char>(digits[i] + 1);
  }
  if (up) digits.insert(0, "1");
  while (digits.ends_with('0')) {
    digits.pop_back();
    exponent++;
  }
  int most = scale.format == Quantity::Format::kDecimalExponent ? exponent : 18;
  while (exponent % 3 != 0 || exponent > most) {
    digits += '0';
    exponent--;
  }
  if (parts.negative) digits.insert(0, "-");
  if (scale.format == Quantity::Format::kDecimalExponent) return exponent == 0 ? digits : digits + "e" + std::to_string(exponent);
  for (const Suffix& s : kSuffixes) {
    if (s.base == 10 && s.exponent == exponent) return digits.append(s.text);
  }
  return digits;
}

}  // namespace

Quantity Quantity::nano(__int128 billionths, Format format) {
  billionths = std::clamp(billionths, -kMaxNano, kMaxNano);
  Quantity q;
  q.units_ = static_cast<int64_t>(billionths / kNanosPerUnit);
  q.nanos_ = static_cast<int32_t>(billionths % kNanosPerUnit);
  q.format_ = format;
  return q;
}

Quantity Quantity::milli(int64_t thousandths, Format format) {
  return nano(static_cast<__int128>(thousandths) * 1'000'000, format);
}

namespace {

// What upstream's parser decides besides the value: whether it keeps the text as canonical, and whether the value is an int64
// with a scale (else a decimal of any length).
struct Way {
  bool fast = false, keepsText = false;
};

Way wayOf(const Parts& parts, const Scale& scale) {
  std::string_view whole = parts.whole;
  while (!whole.empty() && whole[0] == '0') whole.remove_prefix(1);
  std::string digits = whole.empty() ? "0" : std::string(whole);
  size_t wholeDigits = digits.size();
  digits += parts.fraction;
  Way w;
  int precision = 0, exponent = 0;
  if (scale.base == 10) {
    exponent = scale.exponent;
    precision = 18 - static_cast<int>(digits.size());
  } else {
    if (!parts.fraction.empty()) return w;
    precision = 15 - static_cast<int>(wholeDigits) - scale.exponent * 3 / 10 - 1;
  }
  exponent -= static_cast<int>(parts.fraction.size());
  if (precision < 0 || exponent < -9) return w;
  w.fast = true;
  if (scale.base == 2) {
    w.keepsText = scale.exponent % 10 == 0 && ((digits.back() - '0') & 1 ? true : (std::stoll(digits) & 7) != 0);
  } else {
    w.keepsText = exponent % 3 == 0 && !digits.ends_with("000") && digits[0] != '0';
  }
  return w;
}

// 0.DIGITS * 2^exponent in nanos, rounded down; `more` if something was cut off. 2^60 nanos have 27 digits that count: taken as 18 and 9.
__int128 binaryFraction(std::string_view digits, int exponent, bool& more) {
  __int128 high = 0, low = 0;
  for (size_t i = 0; i < 27; i++) {
    int digit = i < digits.size() ? digits[i] - '0' : 0;
    (i < 18 ? high : low) = (i < 18 ? high : low) * 10 + digit;
  }
  for (size_t i = 27; i < digits.size(); i++) more = more || digits[i] != '0';
  constexpr __int128 kRest = static_cast<__int128>(kNanosPerUnit) * kNanosPerUnit;
  high <<= exponent;
  __int128 rest = high % kNanosPerUnit * kNanosPerUnit + (low << exponent);
  more = more || rest % kRest != 0;
  return high / kNanosPerUnit + rest / kRest;
}

}  // namespace

Result<Quantity> Quantity::parse(std::string_view text) {
  KM_ASSIGN(Parts parts, split(text));
  KM_ASSIGN(Scale scale, interpret(parts.suffix));
  Way way = wayOf(parts, scale);
  if (!way.fast && parts.whole.empty() && parts.fraction.empty()) {
    return errors::badRequest("unable to parse numeric part of quantity");
  }
  // nanos = digits * base^exponent * 10^9, gathered digit by digit: whole digits first, then those behind the
  // point, each worth a tenth of the one before. Beyond the cap the value is clamped, so nothing overflows.
  const __int128 kMaxNano = scale.format == Format::kBinarySI ? codec::kMaxNano : kMaxDecimal;
  __int128 unit = 1;  // nanos that "1" stands for, when integral
  int down = 0;       // decimal places below one nano
  bool huge = false;
  if (scale.base == 2) {
    unit = kNanosPerUnit << scale.exponent;
  } else {
    int e = scale.exponent + 9;
    for (; e > 0 && !huge; e--) {
      unit *= 10;
      huge = unit > kMaxNano / 10;
    }
    down = e < 0 ? -e : 0;
  }
  __int128 value = 0;
  bool more = false;  // something below one nano was cut off
  bool over = false;
  for (char c : parts.whole) {
    over = over || value > (kMaxNano - 9) / 10;
    value = over ? kMaxNano : value * 10 + (c - '0');
  }
  if (value != 0 && huge) over = true;
  if (!over && value > kMaxNano / unit) over = true;
  value = over ? kMaxNano : value * unit;
  __int128 place = over ? 0 : huge ? kMaxNano : unit;
  for (char c : parts.fraction) {
    int digit = c - '0';
    if (scale.base == 2) break;
    place /= 10;
    if (place == 0) {
      more = more || digit != 0;
    } else {
      value += place * digit;
    }
  }
  if (scale.base == 2) value += binaryFraction(parts.fraction, scale.exponent, more);
  for (; down > 0 && value != 0; down--) {
    more = more || value % 10 != 0;
    value /= 10;
  }
  if (more) value += 1;
  value = std::min(value, kMaxNano);
  if (scale.format == Format::kBinarySI && value < kNanosPerUnit && value > 0) scale.format = Format::kDecimalSI;
  if (parts.negative) value = -value;
  Quantity q = nano(value, scale.format);
  bool beyond = value > codec::kMaxNano || value < -codec::kMaxNano;
  bool differs = way.keepsText && q.str() != text;
  if (beyond || differs || (!way.fast && (value / 1'000'000 > INT64_MAX || value / 1'000'000 < INT64_MIN))) {
    bool capped = scale.base == 10 && (value == kMaxNano || value == -kMaxNano);
    std::string shown = way.keepsText ? std::string(text) : capped ? canonicalDigits(parts, scale) : canonical(value, scale.format);
    q.spell(shown, value, !way.fast);
  }
  return q;
}

std::string Quantity::str() const {
  if (uint32_t id = spelling(); id != 0) return spellingOf(id).text;
  return canonical(nanoValue(), format_);
}

void Quantity::spell(std::string_view text, __int128 nanos, bool exact) {
  uint32_t id = keepSpelling(text, nanos, exact);
  spelling_[0] = static_cast<uint8_t>(id);
  spelling_[1] = static_cast<uint8_t>(id >> 8);
  spelling_[2] = static_cast<uint8_t>(id >> 16);
}

__int128 Quantity::spelledNanos() const { return spellingOf(spelling()).nanos; }

int64_t Quantity::wrappedMilliValue() const {
  __int128 v = divideUp(nanoValue(), 1'000'000);
  if (v >= INT64_MIN && v <= INT64_MAX) return static_cast<int64_t>(v);
  uint32_t id = spelling();
  // An int64 with a scale gives up; a decimal takes the low 64 bits of its units times a thousand.
  if (id == 0 || !spellingOf(id).exact) return 0;
  return static_cast<int64_t>(static_cast<uint64_t>(nanoValue() / kNanosPerUnit) * 1000);
}

int64_t Quantity::value() const { return clampToInt64(divideUp(nanoValue(), kNanosPerUnit)); }
int64_t Quantity::milliValue() const { return clampToInt64(divideUp(nanoValue(), 1'000'000)); }

Quantity& Quantity::operator+=(const Quantity& o) {
  *this = nano(capped(nanoValue()) + capped(o.nanoValue()), isZero() ? o.format_ : format_);
  return *this;
}

Quantity& Quantity::operator-=(const Quantity& o) {
  *this = nano(capped(nanoValue()) - capped(o.nanoValue()), isZero() ? o.format_ : format_);
  return *this;
}

std::strong_ordering operator<=>(const Quantity& a, const Quantity& b) {
  __int128 x = a.nanoValue(), y = b.nanoValue();
  return x < y ? std::strong_ordering::less : x > y ? std::strong_ordering::greater : std::strong_ordering::equal;
}

}  // namespace km::codec
