#include "controllers/nodeipam/cidr_set.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/strings.h"

namespace km::controllers::nodeipam {
namespace {

constexpr int kMaxBits = 16;

int bitAt(const Cidr& c, int i) { return c.bytes[i / 8] >> (7 - i % 8) & 1; }

}  // namespace

Result<Cidr> Cidr::parse(std::string_view text) {
  auto parts = cut(text, '/');
  Status bad = errors::failed("invalid CIDR address: " + std::string(text));
  if (!parts) return bad;
  auto length = parseInt64(parts->second);
  Cidr c;
  std::string address(parts->first);
  c.v6 = address.find(':') != std::string::npos;
  if (inet_pton(c.v6 ? AF_INET6 : AF_INET, address.c_str(), c.bytes.data()) != 1) return bad;
  if (!length || *length < 0 || *length > c.width()) return bad;
  c.length = static_cast<int>(*length);
  for (int i = c.length; i < c.width(); i++) c.bytes[i / 8] &= static_cast<uint8_t>(~(1 << (7 - i % 8)));
  return c;
}

bool Cidr::contains(const Cidr& inner) const {
  if (v6 != inner.v6 || inner.length < length) return false;
  for (int i = 0; i < length; i++) {
    if ((bytes[i / 8] ^ inner.bytes[i / 8]) & (1 << (7 - i % 8))) return false;
  }
  return true;
}

std::string Cidr::str() const {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(v6 ? AF_INET6 : AF_INET, bytes.data(), text, sizeof text);
  return std::string(text) + "/" + std::to_string(length);
}

Result<CidrSet> CidrSet::make(const Cidr& range, int nodeLength) {
  if (nodeLength < range.length || nodeLength > range.width()) {
    return errors::failed("the node mask size " + std::to_string(nodeLength) + " does not fit the range " + range.str());
  }
  if (nodeLength - range.length > kMaxBits) {
    return errors::failed("the range " + range.str() + " is more than " + std::to_string(kMaxBits) +
                          " bits wider than the node mask size " + std::to_string(nodeLength));
  }
  CidrSet s;
  s.range_ = range;
  s.nodeLength_ = nodeLength;
  s.count_ = 1u << (nodeLength - range.length);
  s.used_.resize(s.count_);
  return s;
}

Cidr CidrSet::at(uint32_t index) const {
  Cidr c = range_;
  c.length = nodeLength_;
  int bits = nodeLength_ - range_.length;
  for (int i = 0; i < bits; i++) {
    if ((index >> (bits - 1 - i) & 1) == 0) continue;
    int at = range_.length + i;
    c.bytes[at / 8] |= static_cast<uint8_t>(1 << (7 - at % 8));
  }
  return c;
}

std::optional<Cidr> CidrSet::allocate() {
  for (uint32_t n = 0; n < count_; n++) {
    uint32_t i = (next_ + n) % count_;
    if (used_[i]) continue;
    used_[i] = true;
    next_ = (i + 1) % count_;
    return at(i);
  }
  return std::nullopt;
}

Result<std::pair<uint32_t, uint32_t>> CidrSet::span(const Cidr& c) const {
  Status outside = errors::failed("cidr " + c.str() + " is out the range of cluster cidr " + range_.str());
  if (c.v6 != range_.v6) return outside;
  for (int i = 0; i < std::min(c.length, range_.length); i++) {
    if (bitAt(c, i) != bitAt(range_, i)) return outside;
  }
  if (c.length <= range_.length) return std::pair<uint32_t, uint32_t>(0, count_ - 1);
  uint32_t first = 0;
  int bits = nodeLength_ - range_.length, known = std::min(c.length, nodeLength_) - range_.length;
  for (int i = 0; i < known; i++) first = first << 1 | static_cast<uint32_t>(bitAt(c, range_.length + i));
  first <<= bits - known;
  return std::pair<uint32_t, uint32_t>(first, first + (1u << (bits - known)) - 1);
}

Status CidrSet::occupy(const Cidr& c) {
  KM_ASSIGN(auto s, span(c));
  for (uint32_t i = s.first; i <= s.second; i++) used_[i] = true;
  return {};
}

Status CidrSet::release(const Cidr& c) {
  KM_ASSIGN(auto s, span(c));
  for (uint32_t i = s.first; i <= s.second; i++) used_[i] = false;
  return {};
}

}  // namespace km::controllers::nodeipam
