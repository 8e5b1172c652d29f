#include "base/rand.h"

#include <sys/random.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/log.h"

namespace km {

void randomBytes(std::span<uint8_t> out) {
  // Small requests come from a block a thread, so that a name does not cost a system call. Bytes used are
  // wiped.
  thread_local uint8_t block[256];
  thread_local size_t used = sizeof block;
  uint8_t* to = out.data();
  size_t left = out.size();
  auto fill = [](uint8_t* p, size_t n) {
    while (n > 0) {
      ssize_t got = ::getrandom(p, n, 0);
      if (got < 0 && errno == EINTR) continue;
      KM_CHECK(got > 0);
      p += got;
      n -= got;
    }
  };
  if (left > sizeof block / 4) return fill(to, left);
  if (left > sizeof block - used) {
    fill(block, sizeof block);
    used = 0;
  }
  std::memcpy(to, block + used, left);
  std::memset(block + used, 0, left);
  used += left;
}

uint64_t randomUint64() {
  uint8_t bytes[8];
  randomBytes(bytes);
  uint64_t value;
  std::memcpy(&value, bytes, 8);
  return value;
}

double randomFraction() {
  return static_cast<double>(randomUint64() >> 11) * 0x1.0p-53;
}

std::string randomSuffix(int length) {
  static constexpr char kAlphabet[] = "bcdfghjklmnpqrstvwxz2456789";
  constexpr int kLetters = sizeof kAlphabet - 1;
  constexpr int kFair = 256 / kLetters * kLetters;  // bytes from here on would favour the first letters
  std::string out;
  while (static_cast<int>(out.size()) < length) {
    uint8_t bytes[8];
    randomBytes(bytes);
    for (uint8_t b : bytes) {
      if (b < kFair && static_cast<int>(out.size()) < length) out += kAlphabet[b % kLetters];
    }
  }
  return out;
}

std::string randomUuid() {
  uint8_t b[16];
  randomBytes(b);
  b[6] = (b[6] & 0x0f) | 0x40;
  b[8] = (b[8] & 0x3f) | 0x80;
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(36);
  for (int i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += kHex[b[i] >> 4];
    out += kHex[b[i] & 15];
  }
  return out;
}

}  // namespace km
