// A two-way stream of bytes: a hijacked connection, or something tunnelled through one. Loop's thread only.
#pragma once

#include <memory>
#include <string_view>

#include "async/buffer.h"
#include "async/loop.h"
#include "base/status.h"

namespace km::async {
class Connection;
}

namespace km::http {

class ByteStreamHandler {
 public:
  virtual ~ByteStreamHandler() = default;
  virtual void onData(std::string_view bytes) = 0;
  virtual void onDrained() {}                    // the queue fell under 64 KiB after it had been over
  virtual void onClosed(const Status& why) = 0;  // last call, exactly once
};

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // The stream holds the handler until onClosed. What came before is delivered now or later in the turn.
  virtual void setHandler(std::shared_ptr<ByteStreamHandler> handler) = 0;
  virtual void write(std::string_view bytes) = 0;
  virtual void write(async::Buffer bytes) = 0;
  virtual size_t queued() const = 0;
  virtual void pauseReading() = 0;
  virtual void resumeReading() = 0;
  virtual void close() = 0;  // after what is queued was sent
  virtual void abort() = 0;  // at once
  virtual async::Loop& loop() = 0;
};

// Takes a connection over from its handler; `leftover` are bytes that were read already and come first.
std::shared_ptr<ByteStream> takeOver(std::shared_ptr<async::Connection> connection, std::string leftover);

}  // namespace km::http
