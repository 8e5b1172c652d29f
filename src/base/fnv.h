// FNV-1 and FNV-1a as Go's hash/fnv: constexpr, for hashes that upstream writes into names and labels.
#pragma once

#include <cstdint>
#include <string_view>

namespace km {

inline constexpr uint32_t kFnv32Offset = 2166136261u;
inline constexpr uint64_t kFnv64Offset = 14695981039346656037u;

// Each takes the state so far, so that a hash can be fed in parts.
constexpr uint32_t fnv1a32(std::string_view bytes, uint32_t state = kFnv32Offset) {
  for (char c : bytes) state = (state ^ static_cast<uint8_t>(c)) * 16777619u;
  return state;
}
constexpr uint64_t fnv1a64(std::string_view bytes, uint64_t state = kFnv64Offset) {
  for (char c : bytes) state = (state ^ static_cast<uint8_t>(c)) * 1099511628211u;
  return state;
}
constexpr uint32_t fnv1_32(std::string_view bytes, uint32_t state = kFnv32Offset) {
  for (char c : bytes) state = (state * 16777619u) ^ static_cast<uint8_t>(c);
  return state;
}

// FNV-1a of 128 bits; its hexadecimal form orders as the number does.
constexpr unsigned __int128 fnv1a128(std::string_view bytes) {
  unsigned __int128 state = (static_cast<unsigned __int128>(0x6c62272e07bb0142u) << 64) | 0x62b821756295c58du;
  constexpr unsigned __int128 kPrime = (static_cast<unsigned __int128>(1) << 88) | 0x13b;
  for (char c : bytes) state = (state ^ static_cast<uint8_t>(c)) * kPrime;
  return state;
}

}  // namespace km
