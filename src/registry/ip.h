// IP addresses and prefixes as the API writes them: Go's net package reads them loosely (leading zeros), netip strictly.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/field_error.h"

namespace km::registry {

// 16 bytes; an IPv4 address is kept as ::ffff:a.b.c.d, as Go keeps it.
struct Ip {
  std::array<uint8_t, 16> bytes{};

  // net.ParseIP with leading zeros allowed.
  static std::optional<Ip> parseSloppy(std::string_view s);
  static Ip v4(uint32_t address);
  bool is4() const;
  std::string str() const;  // canonical; IPv4-mapped addresses print as IPv4
  bool isUnspecified() const;
  bool isLoopback() const;
  bool isLinkLocalUnicast() const;
  bool isLinkLocalMulticast() const;
  bool isMulticast() const;
  uint32_t asV4() const;
  friend bool operator==(const Ip&, const Ip&) = default;
  friend auto operator<=>(const Ip&, const Ip&) = default;
};

struct Cidr {
  Ip address;  // as written
  Ip network;  // with the bits beyond the prefix cleared
  int bits = 0;
  static std::optional<Cidr> parseSloppy(std::string_view s);
  bool is4() const { return address.is4(); }
  bool contains(const Ip& ip) const;
  std::string str() const;  // of the network
};

// Whether the text is what netip would take: no leading zeros. (It may be an IPv4-mapped address.)
bool isStrictIp(std::string_view s);
bool is4In6(std::string_view s);

// k8s.io/apimachinery/pkg/util/validation: IsValidIP (strict and canonical), IsValidIPForLegacyField, and for prefixes.
void validateIp(const api::Path& p, std::string_view value, api::FieldErrors& errors);
// True if it is valid. Values in `known` (of the stored object) always are.
bool validateLegacyIp(const api::Path& p, std::string_view value, api::FieldErrors& errors,
                      const std::vector<std::string>& known = {});
void validateCidr(const api::Path& p, std::string_view value, api::FieldErrors& errors);
bool validateLegacyCidr(const api::Path& p, std::string_view value, api::FieldErrors& errors,
                        const std::vector<std::string>& known = {});
// Unspecified, loopback and link-local addresses are no endpoints.
void validateEndpointIp(const api::Path& p, std::string_view value, api::FieldErrors& errors);

std::vector<std::string> ipWarnings(const api::Path& p, std::string_view value);
std::vector<std::string> cidrWarnings(const api::Path& p, std::string_view value);

}  // namespace km::registry
