// SPDY sessions over byte streams: hijacked connections, or tunnels through WebSockets. Loop's thread only.
#pragma once

#include <functional>
#include <memory>

#include "http/client.h"
#include "http/exchange.h"
#include "http/spdy.h"

namespace km::http {

class SpdyConnectionHandler : public SpdyEvents {
 public:
  virtual void onDrained() {}                    // the unsent bytes fell under 64 KiB
  virtual void onClosed(const Status& why) = 0;  // last call, exactly once; all streams are gone
};

class SpdyConnection : public std::enable_shared_from_this<SpdyConnection> {
 public:
  // Holds the handler until onClosed, and is held by the stream. Events may come within the turn.
  static std::shared_ptr<SpdyConnection> over(std::shared_ptr<ByteStream> stream, SpdySession::Role role,
                                              std::shared_ptr<SpdyConnectionHandler> handler,
                                              SpdySession::Options options = {});
  virtual ~SpdyConnection() = default;
  virtual SpdySession& session() = 0;
  virtual size_t queued() const = 0;  // bytes not sent yet
  virtual void pauseReading() = 0;    // of all streams
  virtual void resumeReading() = 0;
  virtual void close() = 0;  // says GOAWAY; what is queued is sent
  virtual Loop& loop() = 0;
};

bool isSpdyUpgrade(const Request& request);  // "upgrade: SPDY/3.1"

// Answers 101; `extra` goes along (X-Stream-Protocol-Version). On an error the exchange is unanswered.
Result<std::shared_ptr<SpdyConnection>> acceptSpdy(Exchange& exchange,
                                                   std::shared_ptr<SpdyConnectionHandler> handler,
                                                   Headers extra = {}, SpdySession::Options options = {});

// The callback gets the connection and the headers of the 101. Another answer is an error with its code.
void connectSpdy(Client& client, const Endpoint& endpoint, CallOptions options,
                 std::shared_ptr<SpdyConnectionHandler> handler,
                 std::function<void(Result<std::shared_ptr<SpdyConnection>>, const Headers&)> callback);

}  // namespace km::http
