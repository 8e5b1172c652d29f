// The scalar types of the API that are more than a number or a text.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "codec/string.h"

namespace km::codec {

// resource.Quantity: a fixed-point number and the notation it was written in. Kept exactly to one billionth,
// rounded up beyond that, and clamped to +-(2^63-1) as upstream does; so whole units and nanos hold any value.
class Quantity {
 public:
  enum class Format : uint8_t { kDecimalSI, kBinarySI, kDecimalExponent };

  Quantity() = default;
  Quantity(int64_t units, Format format) : units_(units), format_(format) {}
  static Quantity milli(int64_t thousandths, Format format = Format::kDecimalSI);
  static Quantity nano(__int128 billionths, Format format);

  // Parses "100m", "1.5Gi", "1e3". The error text is upstream's.
  static Result<Quantity> parse(std::string_view text);
  // Canonical form: "1" for 1000m, "1536Mi" for 1.5Gi. Upstream takes some texts for canonical that are not ("007Ki", "+5", "1E3");
  // those come back as they were parsed.
  std::string str() const;

  // Upstream's Value and MilliValue: rounded up, away from zero for positive numbers; clamped to int64.
  int64_t value() const;
  int64_t milliValue() const;
  // Upstream's MilliValue as it is: beyond int64 it overflows, or is 0.
  int64_t wrappedMilliValue() const;
  __int128 nanoValue() const {
    if (spelling_[0] | spelling_[1] | spelling_[2]) return spelledNanos();
    return static_cast<__int128>(units_) * 1'000'000'000 + nanos_;
  }
  double asDouble() const { return static_cast<double>(units_) + nanos_ * 1e-9; }
  Format format() const { return format_; }
  bool isZero() const { return units_ == 0 && nanos_ == 0; }
  int sign() const { return units_ < 0 || nanos_ < 0 ? -1 : isZero() ? 0 : 1; }

  // Sum and difference keep the format of the left side unless it is zero.
  Quantity& operator+=(const Quantity& o);
  Quantity& operator-=(const Quantity& o);
  Quantity operator-() const { return nano(-nanoValue(), format_); }
  friend Quantity operator+(Quantity a, const Quantity& b) { return a += b; }
  friend Quantity operator-(Quantity a, const Quantity& b) { return a -= b; }
  // By value; "1" equals "1000m".
  friend bool operator==(const Quantity& a, const Quantity& b) { return a.nanoValue() == b.nanoValue(); }
  friend std::strong_ordering operator<=>(const Quantity& a, const Quantity& b);

 private:
  // Keeps the text, and a value that may be beyond int64, in a table of the process (quantity_spelling.h).
  void spell(std::string_view text, __int128 nanos, bool exact);
  uint32_t spelling() const { return spelling_[0] | uint32_t(spelling_[1]) << 8 | uint32_t(spelling_[2]) << 16; }
  __int128 spelledNanos() const;

  int64_t units_ = 0;
  int32_t nanos_ = 0;  // same sign as units_
  Format format_ = Format::kDecimalSI;
  uint8_t spelling_[3] = {};  // 0: none
};

// metav1.Time: whole seconds on the wire; "not set" is a value of its own and null in JSON.
struct Time {
  int64_t seconds = 0;
  int32_t nanos = 0;  // kept in memory and protobuf never carries it (upstream truncates to seconds)
  bool set = false;

  Time() = default;
  explicit Time(int64_t unixSeconds) : seconds(unixSeconds), set(true) {}
  explicit Time(WallTime t) : seconds(t.seconds), set(true) {}
  bool isZero() const { return !set; }
  std::string str() const;  // RFC 3339 in UTC: "2026-01-02T15:04:05Z"
  static Result<Time> parse(std::string_view text);
  friend bool operator==(const Time&, const Time&) = default;
  friend auto operator<=>(const Time& a, const Time& b) = default;
};

// metav1.MicroTime: microseconds on the wire.
struct MicroTime {
  int64_t seconds = 0;
  int32_t nanos = 0;
  bool set = false;

  MicroTime() = default;
  explicit MicroTime(WallTime t) : seconds(t.seconds), nanos(t.nanos / 1000 * 1000), set(true) {}
  bool isZero() const { return !set; }
  std::string str() const;  // "2026-01-02T15:04:05.000000Z"
  static Result<MicroTime> parse(std::string_view text);
  friend bool operator==(const MicroTime&, const MicroTime&) = default;
};

// metav1.Duration: Go's notation in JSON ("1h30m0s"), nanoseconds in protobuf.
struct GoDuration {
  int64_t nanos = 0;
  std::string str() const;
  static Result<GoDuration> parse(std::string_view text);
  friend bool operator==(const GoDuration&, const GoDuration&) = default;
};

struct IntOrString {
  String text;
  int32_t number = 0;
  bool isString = false;

  IntOrString() = default;
  IntOrString(int32_t n) : number(n) {}                                  // NOLINT: implicit by intent
  IntOrString(std::string_view s) : text(s), isString(true) {}           // NOLINT
  IntOrString(const char* s) : IntOrString(std::string_view(s)) {}       // NOLINT
  std::string str() const { return isString ? text.str() : std::to_string(number); }
  friend bool operator==(const IntOrString&, const IntOrString&) = default;
};

// A JSON value kept as compact text: runtime.RawExtension, apiextensions JSON, FieldsV1. Empty: not set (null).
struct RawJson {
  String text;
  bool empty() const { return text.empty(); }
  friend bool operator==(const RawJson&, const RawJson&) = default;
};

}  // namespace km::codec
