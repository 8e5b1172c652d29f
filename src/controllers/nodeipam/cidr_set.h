// CidrSet: the ranges of equal size that one range divides into, and which of them are taken. Not synchronized.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace km::controllers::nodeipam {

struct Cidr {
  std::array<uint8_t, 16> bytes{};  // an IPv4 address in the first four
  int length = 0;
  bool v6 = false;

  static Result<Cidr> parse(std::string_view text);
  std::string str() const;
  int width() const { return v6 ? 128 : 32; }
  // Whether every address of `inner`, of the same family, is in this range.
  bool contains(const Cidr& inner) const;
};

class CidrSet {
 public:
  // Ranges of `nodeLength` bits of prefix; at most 2^16 of them.
  static Result<CidrSet> make(const Cidr& range, int nodeLength);

  // The next free range, round robin; nullopt if all are taken.
  std::optional<Cidr> allocate();
  // Takes or frees all ranges that `c` touches. An error if it lies outside.
  Status occupy(const Cidr& c);
  Status release(const Cidr& c);
  const Cidr& range() const { return range_; }

 private:
  Result<std::pair<uint32_t, uint32_t>> span(const Cidr& c) const;
  Cidr at(uint32_t index) const;
  Cidr range_;
  int nodeLength_ = 0;
  uint32_t count_ = 0;
  uint32_t next_ = 0;
  std::vector<bool> used_;
};

}  // namespace km::controllers::nodeipam
