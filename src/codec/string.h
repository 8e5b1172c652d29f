// String: the text type of API objects. 16 bytes, up to 15 of them in place; all-zero memory is the empty
// string, and moving one is copying its bytes. Those two properties let the codecs build and move objects
// through field tables with memset and memcpy. Reads as std::string_view everywhere.
#pragma once

#include <cstdint>
#include <cstring>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

namespace km::codec {

class String {
 public:
  String() noexcept { std::memset(this, 0, sizeof *this); }
  String(std::string_view s) : String() { assign(s); }    // NOLINT: implicit by intent
  String(const char* s) : String() { assign(s); }          // NOLINT
  String(const std::string& s) : String() { assign(s); }   // NOLINT
  String(const String& o) : String() { assign(o.view()); }
  String(String&& o) noexcept {
    std::memcpy(static_cast<void*>(this), &o, sizeof *this);
    std::memset(static_cast<void*>(&o), 0, sizeof o);
  }
  ~String() {
    if (onHeap()) release();
  }
  String& operator=(const String& o) {
    if (this != &o) assign(o.view());
    return *this;
  }
  String& operator=(String&& o) noexcept {
    if (this == &o) return *this;
    if (onHeap()) release();
    std::memcpy(static_cast<void*>(this), &o, sizeof *this);
    std::memset(static_cast<void*>(&o), 0, sizeof o);
    return *this;
  }
  String& operator=(std::string_view s) { return assign(s); }
  String& operator=(const char* s) { return assign(s); }
  String& operator=(const std::string& s) { return assign(s); }

  String& assign(std::string_view s);  // s may be a part of this string
  void clear() {
    if (onHeap()) release();
    std::memset(static_cast<void*>(this), 0, sizeof *this);
  }

  bool empty() const { return size() == 0; }
  size_t size() const { return onHeap() ? heap_.size : static_cast<uint8_t>(inline_[15]); }
  const char* data() const { return onHeap() ? heap_.data : inline_; }
  std::string_view view() const { return {data(), size()}; }
  operator std::string_view() const { return view(); }  // NOLINT: implicit by intent
  std::string str() const { return std::string(view()); }
  // Bytes on the heap that this string owns.
  size_t heapBytes() const { return onHeap() ? heap_.capacity & ~kHeapBit : 0; }

  friend bool operator==(const String& a, const String& b) { return a.view() == b.view(); }
  friend bool operator==(const String& a, std::string_view b) { return a.view() == b; }
  friend bool operator==(const String& a, const char* b) { return a.view() == b; }
  friend bool operator==(const String& a, const std::string& b) { return a.view() == b; }
  friend auto operator<=>(const String& a, const String& b) { return a.view() <=> b.view(); }
  friend std::ostream& operator<<(std::ostream& out, const String& s) { return out << s.view(); }
  friend std::string operator+(const String& a, std::string_view b) { return a.str().append(b); }
  friend std::string operator+(std::string_view a, const String& b) { return std::string(a).append(b.view()); }
  friend std::string operator+(const String& a, const String& b) { return a.str().append(b.view()); }

 private:
  static constexpr uint32_t kHeapBit = 0x80000000u;  // top bit of the last byte: little endian only

  bool onHeap() const { return (static_cast<uint8_t>(inline_[15]) & 0x80) != 0; }
  void release();

  union {
    char inline_[16];  // text, and its length in the last byte
    struct {
      char* data;
      uint32_t size;
      uint32_t capacity;  // with kHeapBit
    } heap_;
  };
};
static_assert(sizeof(String) == 16);

// fmt finds this by argument-dependent look-up.
inline std::string_view format_as(const String& s) { return s.view(); }

}  // namespace km::codec

template <>
struct std::hash<km::codec::String> {
  size_t operator()(const km::codec::String& s) const noexcept { return std::hash<std::string_view>()(s); }
};
