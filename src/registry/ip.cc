#include "registry/ip.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace km::registry {
namespace {

// Four decimal parts; leading zeros only if `sloppy`.
std::optional<uint32_t> parse4(std::string_view s, bool sloppy) {
  uint32_t out = 0;
  for (int part = 0; part < 4; part++) {
    if (part > 0) {
      if (s.empty() || s.front() != '.') return {};
      s.remove_prefix(1);
    }
    uint32_t n = 0;
    size_t digits = 0;
    while (digits < s.size() && s[digits] >= '0' && s[digits] <= '9') {
      n = n * 10 + static_cast<uint32_t>(s[digits++] - '0');
      if (n > 255) return {};
    }
    if (digits == 0 || (!sloppy && digits > 1 && s.front() == '0')) return {};
    s.remove_prefix(digits);
    out = out << 8 | n;
  }
  if (!s.empty()) return {};
  return out;
}

std::optional<Ip> parse6(std::string_view s) {
  if (s.find('%') != std::string_view::npos) return {};
  Ip ip;
  if (inet_pton(AF_INET6, std::string(s).c_str(), ip.bytes.data()) != 1) return {};
  return ip;
}

Ip masked(Ip ip, int bits) {
  int from = ip.is4() ? bits + 96 : bits;
  for (int i = 0; i < 16; i++) {
    int keep = std::clamp(from - i * 8, 0, 8);
    ip.bytes[static_cast<size_t>(i)] &= static_cast<uint8_t>(0xff00 >> keep);
  }
  return ip;
}

bool has(const std::vector<std::string>& list, std::string_view s) {
  return std::find(list.begin(), list.end(), s) != list.end();
}

}  // namespace

std::optional<Ip> Ip::parseSloppy(std::string_view s) {
  if (s.find(':') != std::string_view::npos) return parse6(s);
  auto v = parse4(s, true);
  if (!v) return {};
  return v4(*v);
}

Ip Ip::v4(uint32_t a) {
  Ip ip;
  ip.bytes[10] = ip.bytes[11] = 0xff;
  for (size_t i = 0; i < 4; i++) ip.bytes[12 + i] = static_cast<uint8_t>(a >> (24 - 8 * i));
  return ip;
}

bool Ip::is4() const {
  static constexpr uint8_t kPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::memcmp(bytes.data(), kPrefix, 12) == 0;
}

uint32_t Ip::asV4() const {
  return uint32_t{bytes[12]} << 24 | uint32_t{bytes[13]} << 16 | uint32_t{bytes[14]} << 8 | bytes[15];
}

std::string Ip::str() const {
  if (is4()) return fmt::format("{}.{}.{}.{}", bytes[12], bytes[13], bytes[14], bytes[15]);
  // RFC 5952: the longest run of at least two zero groups is shortened, the first of equals.
  uint16_t g[8];
  for (size_t i = 0; i < 8; i++) g[i] = static_cast<uint16_t>(bytes[2 * i] << 8 | bytes[2 * i + 1]);
  int start = -1, length = 1;
  for (int i = 0; i < 8;) {
    int j = i;
    while (j < 8 && g[j] == 0) j++;
    if (j - i > length) {
      start = i;
      length = j - i;
    }
    i = j == i ? i + 1 : j;
  }
  std::string out;
  for (int i = 0; i < 8; i++) {
    if (i == start) {
      out += "::";
      i += length - 1;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    out += fmt::format("{:x}", g[i]);
  }
  return out;
}

bool Ip::isUnspecified() const { return is4() ? asV4() == 0 : bytes == std::array<uint8_t, 16>{}; }
bool Ip::isLoopback() const {
  if (is4()) return bytes[12] == 127;
  Ip one;
  one.bytes[15] = 1;
  return *this == one;
}
bool Ip::isLinkLocalUnicast() const {
  if (is4()) return bytes[12] == 169 && bytes[13] == 254;
  return bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
}
bool Ip::isLinkLocalMulticast() const {
  if (is4()) return bytes[12] == 224 && bytes[13] == 0 && bytes[14] == 0;
  return bytes[0] == 0xff && (bytes[1] & 0x0f) == 0x02;
}
bool Ip::isMulticast() const { return is4() ? (bytes[12] & 0xf0) == 0xe0 : bytes[0] == 0xff; }

std::optional<Cidr> Cidr::parseSloppy(std::string_view s) {
  size_t slash = s.rfind('/');
  if (slash == std::string_view::npos) return {};
  auto ip = Ip::parseSloppy(s.substr(0, slash));
  std::string_view length = s.substr(slash + 1);
  if (!ip || length.empty() || length.size() > 3) return {};
  int bits = 0;
  for (char c : length) {
    if (c < '0' || c > '9') return {};
    bits = bits * 10 + (c - '0');
  }
  bool written4 = s.substr(0, slash).find(':') == std::string_view::npos;
  if (bits > (written4 ? 32 : 128)) return {};
  // An IPv4-mapped address in IPv6 notation counts its bits from the front of all sixteen bytes.
  if (!written4 && ip->is4()) bits = std::max(0, bits - 96);
  return Cidr{*ip, masked(*ip, bits), bits};
}

bool Cidr::contains(const Ip& ip) const { return ip.is4() == network.is4() && masked(ip, bits) == network; }
std::string Cidr::str() const { return fmt::format("{}/{}", network.str(), bits); }

bool isStrictIp(std::string_view s) {
  if (s.find(':') == std::string_view::npos) return parse4(s, false).has_value();
  return parse6(s).has_value();
}

bool is4In6(std::string_view s) {
  if (s.find(':') == std::string_view::npos) return false;
  auto ip = parse6(s);
  return ip && ip->is4();
}

void validateIp(const api::Path& p, std::string_view value, api::FieldErrors& errors) {
  auto ip = Ip::parseSloppy(value);
  if (!ip) return errors.invalid(p, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
  if (!isStrictIp(value)) return errors.invalid(p, value, "must not have leading 0s");
  if (is4In6(value)) return errors.invalid(p, value, "must not be an IPv4-mapped IPv6 address");
  if (ip->str() != value) errors.invalid(p, value, fmt::format("must be in canonical form (\"{}\")", ip->str()));
}

bool validateLegacyIp(const api::Path& p, std::string_view value, api::FieldErrors& errors, const std::vector<std::string>& known) {
  if (has(known, value)) return true;
  if (!Ip::parseSloppy(value)) {
    errors.invalid(p, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    return false;
  }
  if (!isStrictIp(value)) {
    errors.invalid(p, value, "must not have leading 0s");
    return false;
  }
  if (is4In6(value)) {
    errors.invalid(p, value, "must not be an IPv4-mapped IPv6 address");
    return false;
  }
  return true;
}

namespace {
bool strictLength(std::string_view s) {
  std::string_view length = s.substr(s.rfind('/') + 1);
  return length == "0" || length.front() != '0';
}

bool checkCidr(const api::Path& p, std::string_view value, api::FieldErrors& errors) {
  auto cidr = Cidr::parseSloppy(value);
  auto bad = [&](std::string_view detail) {
    errors.invalid(p, value, detail);
    return false;
  };
  if (!cidr) return bad("must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
  std::string_view address = value.substr(0, value.rfind('/'));
  if (!isStrictIp(address) || !strictLength(value)) return bad("must not have leading 0s in IP or prefix length");
  if (is4In6(address)) return bad("must not have an IPv4-mapped IPv6 address");
  if (cidr->address != cidr->network) return bad("must not have bits set beyond the prefix length");
  return true;
}
}  // namespace

void validateCidr(const api::Path& p, std::string_view value, api::FieldErrors& errors) {
  if (!checkCidr(p, value, errors)) return;
  std::string canonical = Cidr::parseSloppy(value)->str();
  if (canonical != value) errors.invalid(p, value, fmt::format("must be in canonical form (\"{}\")", canonical));
}

bool validateLegacyCidr(const api::Path& p, std::string_view value, api::FieldErrors& errors,
                        const std::vector<std::string>& known) {
  return has(known, value) || checkCidr(p, value, errors);
}

void validateEndpointIp(const api::Path& p, std::string_view value, api::FieldErrors& errors) {
  auto ip = Ip::parseSloppy(value);
  if (!ip) return errors.invalid(p, value, "must be a valid IP address");
  if (ip->isUnspecified()) errors.invalid(p, value, fmt::format("may not be unspecified ({})", value));
  if (ip->isLoopback()) errors.invalid(p, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
  if (ip->isLinkLocalUnicast()) errors.invalid(p, value, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
  if (ip->isLinkLocalMulticast()) errors.invalid(p, value, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
}

std::vector<std::string> ipWarnings(const api::Path& p, std::string_view value) {
  auto ip = Ip::parseSloppy(value);
  if (!ip) return {};
  if (!isStrictIp(value) || is4In6(value)) {
    return {fmt::format("{}: non-standard IP address {} is invalid: use {}", p.str(), api::goQuote(value), api::goQuote(ip->str()))};
  }
  if (!ip->is4() && ip->str() != value) {
    return {fmt::format("{}: IPv6 address {} should be in RFC 5952 canonical format ({})", p.str(), api::goQuote(value),
                        api::goQuote(ip->str()))};
  }
  return {};
}

std::vector<std::string> cidrWarnings(const api::Path& p, std::string_view value) {
  auto cidr = Cidr::parseSloppy(value);
  if (!cidr) return {};
  std::vector<std::string> out;
  if (cidr->address != cidr->network) {
    out.push_back(fmt::format("{}: CIDR value {} is ambiguous in this context (should be \"{}\" or \"{}/{}\"?)", p.str(),
                              api::goQuote(value), cidr->str(), cidr->address.str(), cidr->is4() ? 32 : 128));
  }
  std::string_view address = value.substr(0, value.rfind('/'));
  if (!isStrictIp(address) || !strictLength(value) || is4In6(address)) {
    out.push_back(fmt::format("{}: non-standard CIDR value {} is invalid: use \"{}\"", p.str(), api::goQuote(value), cidr->str()));
  }
  std::string canonical = fmt::format("{}/{}", cidr->address.str(), cidr->bits);
  if (out.empty() && !cidr->is4() && canonical != value) {
    out.push_back(fmt::format("{}: IPv6 CIDR value {} should be in RFC 5952 canonical format (\"{}\")", p.str(), api::goQuote(value),
                              canonical));
  }
  return out;
}

}  // namespace km::registry
