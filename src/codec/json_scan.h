// The pull reader under the JSON decoders: positions, strings, numbers, skipping. It does no more checking than
// reading needs; a decoder that fails asks checkJsonSyntax what Go's scanner would have said.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace km::codec {

inline constexpr int kMaxJsonDepth = 10000;  // as Go's decoder

class JsonScan {
 public:
  explicit JsonScan(std::string_view text) : p_(text.data()), end_(text.data() + text.size()) {}

  // The next byte that is not white space, not consumed; 0 at the end.
  char peek() {
    while (p_ < end_ && (*p_ == ' ' || *p_ == '\n' || *p_ == '\t' || *p_ == '\r')) p_++;
    return p_ < end_ ? *p_ : 0;
  }
  // Consumes the byte if it comes next.
  bool take(char c) {
    if (peek() != c) return false;
    p_++;
    return true;
  }
  // Consumes `word` (true, false, null).
  bool takeWord(std::string_view word);
  // Reads a string. `s` is a part of the text, or of `buffer` where escapes or bad UTF-8 had to be resolved.
  bool readString(std::string_view& s, std::string& buffer);
  // The text of a number.
  bool readNumber(std::string_view& s);
  // Skips one value of any kind; `s` is its text.
  bool skipValue(std::string_view& s);
  bool atEnd() { return peek() == 0 && p_ == end_; }

 private:
  const char* p_;
  const char* end_;
};

}  // namespace km::codec
