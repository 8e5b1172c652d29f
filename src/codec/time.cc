#include <fmt/format.h>

#include "base/duration.h"
#include "codec/scalars.h"

namespace km::codec {
namespace {

// Days since 1970-01-01 of a date of the proleptic Gregorian calendar, and back.
int64_t daysFromCivil(int64_t y, int m, int d) {
  y -= m <= 2;
  int64_t era = (y >= 0 ? y : y - 399) / 400;
  auto yoe = static_cast<unsigned>(y - era * 400);
  unsigned doy = static_cast<unsigned>((153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1);
  unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + static_cast<int64_t>(doe) - 719468;
}

void civilFromDays(int64_t z, int64_t& y, unsigned& m, unsigned& d) {
  z += 719468;
  int64_t era = (z >= 0 ? z : z - 146096) / 146097;
  auto doe = static_cast<unsigned>(z - era * 146097);
  unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  y = static_cast<int64_t>(yoe) + era * 400;
  unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  unsigned mp = (5 * doy + 2) / 153;
  d = doy - (153 * mp + 2) / 5 + 1;
  m = mp < 10 ? mp + 3 : mp - 9;
  y += m <= 2;
}

char* twoDigits(char* p, unsigned v) {
  *p++ = static_cast<char>('0' + v / 10);
  *p++ = static_cast<char>('0' + v % 10);
  return p;
}

// "2026-01-02T15:04:05" of a time in UTC.
std::string stamp(int64_t seconds) {
  int64_t days = seconds >= 0 ? seconds / 86400 : -((-seconds + 86399) / 86400);
  auto rest = static_cast<unsigned>(seconds - days * 86400);
  int64_t y;
  unsigned m, d;
  civilFromDays(days, y, m, d);
  if (y < 0 || y > 9999) return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", y, m, d, rest / 3600, rest / 60 % 60, rest % 60);
  char buf[32];
  char* p = twoDigits(buf, static_cast<unsigned>(y / 100));
  p = twoDigits(p, static_cast<unsigned>(y % 100));
  *p++ = '-';
  p = twoDigits(p, m);
  *p++ = '-';
  p = twoDigits(p, d);
  *p++ = 'T';
  p = twoDigits(p, rest / 3600);
  *p++ = ':';
  p = twoDigits(p, rest / 60 % 60);
  *p++ = ':';
  p = twoDigits(p, rest % 60);
  return {buf, p};
}

bool number(std::string_view& s, size_t digits, int& out) {
  if (s.size() < digits) return false;
  out = 0;
  for (size_t i = 0; i < digits; i++) {
    if (s[i] < '0' || s[i] > '9') return false;
    out = out * 10 + (s[i] - '0');
  }
  s.remove_prefix(digits);
  return true;
}

bool literal(std::string_view& s, char c) {
  if (s.empty() || s[0] != c) return false;
  s.remove_prefix(1);
  return true;
}

Status cannotParse(std::string_view whole, std::string_view layout, std::string_view rest, std::string_view elem) {
  return errors::badRequest(fmt::format("parsing time \"{}\" as \"{}\": cannot parse \"{}\" as \"{}\"", whole, layout, rest, elem));
}

struct Instant {
  int64_t seconds;
  int32_t nanos;
};

// `fraction`: the layout has six digits of it, and no more and no fewer may come; else any number of digits may.
Result<Instant> parseRfc3339(std::string_view text, std::string_view layout, bool fraction) {
  std::string_view s = text;
  int year, month, day, hour, minute, second;
  std::string_view was;
  auto want = [&](int digits, int& out, int low, int high) {
    was = s;
    return number(s, static_cast<size_t>(digits), out) && out >= low && out <= high;
  };
  if (!want(4, year, 0, 9999)) return cannotParse(text, layout, was, "2006");
  if (!literal(s, '-')) return cannotParse(text, layout, s, "-");
  if (!want(2, month, 1, 12)) return cannotParse(text, layout, was, "01");
  if (!literal(s, '-')) return cannotParse(text, layout, s, "-");
  if (!want(2, day, 1, 31)) return cannotParse(text, layout, was, "02");
  if (!literal(s, 'T')) return cannotParse(text, layout, s, "T");
  if (!want(2, hour, 0, 23)) return cannotParse(text, layout, was, "15");
  if (!literal(s, ':')) return cannotParse(text, layout, s, ":");
  if (!want(2, minute, 0, 59)) return cannotParse(text, layout, was, "04");
  if (!literal(s, ':')) return cannotParse(text, layout, s, ":");
  if (!want(2, second, 0, 59)) return cannotParse(text, layout, was, "05");
  int32_t nanos = 0;
  if (fraction) {
    was = s;
    int micros;
    if (!literal(s, '.') || !number(s, 6, micros)) return cannotParse(text, layout, was, ".000000");
    nanos = micros * 1000;
  } else if (!s.empty() && s[0] == '.') {
    size_t i = 1;
    int32_t unit = 100'000'000;
    for (; i < s.size() && s[i] >= '0' && s[i] <= '9'; i++, unit /= 10) nanos += (s[i] - '0') * unit;
    if (i == 1) return cannotParse(text, layout, s, "Z07:00");
    s.remove_prefix(i);
  }
  int64_t offset = 0;
  if (!literal(s, 'Z')) {
    was = s;
    int sign = literal(s, '+') ? 1 : literal(s, '-') ? -1 : 0;
    int oh, om;
    if (sign == 0 || !number(s, 2, oh) || !literal(s, ':') || !number(s, 2, om) || oh > 24 || om > 60) {
      return cannotParse(text, layout, was, "Z07:00");
    }
    offset = sign * (oh * 3600 + om * 60);
  }
  if (!s.empty()) {
    return errors::badRequest(fmt::format("parsing time \"{}\": extra text: \"{}\"", text, s));
  }
  int64_t days = daysFromCivil(year, month, day);
  int64_t y;
  unsigned m, d;
  civilFromDays(days, y, m, d);
  if (y != year || m != static_cast<unsigned>(month)) {
    return errors::badRequest(fmt::format("parsing time \"{}\": day out of range", text));
  }
  return Instant{days * 86400 + hour * 3600 + minute * 60 + second - offset, nanos};
}

}  // namespace

std::string Time::str() const { return stamp(seconds) + "Z"; }

Result<Time> Time::parse(std::string_view text) {
  KM_ASSIGN(Instant t, parseRfc3339(text, "2006-01-02T15:04:05Z07:00", false));
  return Time(t.seconds);
}

std::string MicroTime::str() const { return fmt::format("{}.{:06}Z", stamp(seconds), nanos / 1000); }

Result<MicroTime> MicroTime::parse(std::string_view text) {
  KM_ASSIGN(Instant t, parseRfc3339(text, "2006-01-02T15:04:05.000000Z07:00", true));
  return MicroTime(WallTime{t.seconds, t.nanos});
}

std::string GoDuration::str() const { return km::formatDuration(km::Duration(nanos)); }

Result<GoDuration> GoDuration::parse(std::string_view text) {
  KM_ASSIGN(km::Duration d, km::parseDuration(text));
  return GoDuration{d.count()};
}

}  // namespace km::codec
