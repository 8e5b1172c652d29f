// What both sides of HTTP/2 need. Internal to the room.
#pragma once

#include <nghttp2/nghttp2.h>

#include <string_view>
#include <vector>

#include "async/connection.h"
#include "http/message.h"

namespace km::http {

// The bytes of one direction of a stream that are not in frames yet.
class OutgoingData {
 public:
  bool finished = false;  // nothing more will be appended
  bool deferred = false;  // nghttp2 waits to be told of more
  size_t size() const { return size_; }
  void append(Buffer bytes) {
    if (bytes.empty()) return;
    size_ += bytes.size();
    if (first_.empty() && head_ == more_.size()) {
      first_ = std::move(bytes);
    } else {
      more_.push_back(std::move(bytes));
    }
  }
  // Moves the first `n` bytes into the connection's queue.
  void moveTo(size_t n, async::Connection& to) {
    size_ -= n;
    while (n > 0) {
      if (first_.size() > n) {
        to.write(first_.slice(0, n));
        first_.removePrefix(n);
        return;
      }
      n -= first_.size();
      to.write(std::move(first_));
      first_ = Buffer();
      if (head_ < more_.size()) first_ = std::move(more_[head_++]);
    }
    if (head_ == more_.size() && head_ > 0) {
      more_.clear();
      head_ = 0;
    }
  }

 private:
  Buffer first_;  // apart, so that the usual single piece needs no vector
  std::vector<Buffer> more_;
  size_t head_ = 0;
  size_t size_ = 0;
};

// Names and values are copied by nghttp2.
inline void addField(std::vector<nghttp2_nv>& fields, std::string_view name, std::string_view value) {
  fields.push_back({reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                    reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
                    NGHTTP2_NV_FLAG_NONE});
}

// Fields of HTTP/1.1 connections, forbidden in HTTP/2.
inline bool isConnectionField(std::string_view name) {
  return name == "connection" || name == "transfer-encoding" || name == "keep-alive" || name == "upgrade" ||
         name == "proxy-connection";
}

}  // namespace km::http
