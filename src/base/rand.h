// Random names and ids. From the kernel's generator, any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace km {

// `length` letters of upstream's alphabet for generated names (no vowels, no look-alikes).
std::string randomSuffix(int length);
// A version 4 UUID, "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx".
std::string randomUuid();
void randomBytes(std::span<uint8_t> out);
uint64_t randomUint64();
// Uniform in [0, 1): for jitter.
double randomFraction();

}  // namespace km
