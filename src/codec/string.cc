#include "codec/string.h"

#include <cstdlib>
#include <new>

namespace km::codec {

void String::release() { std::free(heap_.data); }

String& String::assign(std::string_view s) {
  size_t n = s.size();
  if (n <= 15) {
    char tmp[16] = {};
    if (n != 0) std::memcpy(tmp, s.data(), n);
    tmp[15] = static_cast<char>(n);
    if (onHeap()) release();
    std::memcpy(inline_, tmp, 16);
    return *this;
  }
  if (onHeap() && (heap_.capacity & ~kHeapBit) >= n) {
    std::memmove(heap_.data, s.data(), n);
    heap_.size = static_cast<uint32_t>(n);
    return *this;
  }
  if (n >= kHeapBit) throw std::bad_alloc();
  char* p = static_cast<char*>(std::malloc(n));
  if (p == nullptr) throw std::bad_alloc();
  std::memcpy(p, s.data(), n);
  if (onHeap()) release();
  heap_.data = p;
  heap_.size = static_cast<uint32_t>(n);
  heap_.capacity = static_cast<uint32_t>(n) | kHeapBit;
  return *this;
}

}  // namespace km::codec
