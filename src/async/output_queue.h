// Bytes waiting to be sent: small pieces are put together, large ones are kept by reference.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "async/buffer.h"

namespace km::async {

class OutputQueue {
 public:
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  void append(std::string_view bytes);  // copies
  void append(Buffer bytes);            // copies only if small
  void consume(size_t n);
  // The first contiguous bytes.
  std::string_view front() const;
  // Copies up to `limit` bytes from the front into `out`, which must have room.
  size_t gather(char* out, size_t limit) const;
  // Calls fn(string_view) for the pieces in order until it returns false.
  template <typename Fn>
  void pieces(Fn fn) const {
    for (size_t i = head_; i < chunks_.size(); ++i) {
      if (!fn(chunks_[i].view())) return;
    }
    if (tail_.size() > tailOffset_) fn(std::string_view(tail_).substr(tailOffset_));
  }
  void clear();

 private:
  void sealTail();
  size_t size_ = 0;
  std::vector<Buffer> chunks_;  // from head_ on
  size_t head_ = 0;
  std::string tail_;  // after the chunks, from tailOffset_ on
  size_t tailOffset_ = 0;
};

}  // namespace km::async
