// What a request is, and what a body is made of.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "async/buffer.h"
#include "async/loop.h"
#include "async/tls.h"
#include "http/headers.h"

namespace km::http {

using async::Buffer;
using async::Loop;
using async::Task;

enum class Protocol { kHttp10, kHttp11, kHttp2 };

// Shared by all requests of a connection.
struct ConnectionInfo {
  std::string remote;  // "ADDRESS:PORT", "unix:PATH" or "@"
  std::string local;
  bool tls = false;
  std::string tlsVersion;
  std::shared_ptr<const async::PeerCertificates> certificates;  // null if the client showed none
  Loop* loop = nullptr;
};

struct Request {
  std::string method;
  std::string path;   // as sent, escapes and all, without the query
  std::string query;  // as sent, without '?'
  Headers headers;    // :authority is there as "host"
  std::string body;   // unless the handler streams it
  Headers trailers;
  Protocol protocol = Protocol::kHttp11;
  std::shared_ptr<const ConnectionInfo> connection;
};

// Shared immutable pieces, in order.
class Body {
 public:
  Body() = default;
  Body(std::string bytes) : Body(Buffer(std::move(bytes))) {}           // NOLINT: implicit by intent
  Body(const char* text) : Body(Buffer(std::string(text))) {}           // NOLINT: implicit by intent
  Body(Buffer only) : first_(std::move(only)), size_(first_.size()) {}  // NOLINT: implicit by intent
  Body(std::shared_ptr<const std::string> bytes) : Body(Buffer(std::move(bytes))) {}  // NOLINT
  Body(std::vector<Buffer> pieces) : rest_(std::move(pieces)) {  // NOLINT: implicit by intent
    for (const Buffer& b : rest_) size_ += b.size();
  }
  size_t size() const { return size_; }
  template <typename Fn>
  void take(Fn fn) {  // hands every piece that is not empty to fn(Buffer&&)
    if (!first_.empty()) fn(std::move(first_));
    for (Buffer& b : rest_) {
      if (!b.empty()) fn(std::move(b));
    }
    size_ = 0;
  }

 private:
  Buffer first_;
  std::vector<Buffer> rest_;
  size_t size_ = 0;
};

}  // namespace km::http
