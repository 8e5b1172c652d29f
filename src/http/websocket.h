// WebSocket connections: the framing of websocket_codec.h over a hijacked connection. Loop's thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "http/client.h"
#include "http/exchange.h"

namespace km::http {

class WebSocketHandler {
 public:
  virtual ~WebSocketHandler() = default;
  virtual void onMessage(bool binary, std::string_view payload) = 0;
  virtual void onDrained() {}
  // Last call, exactly once. `code` as in RFC 6455, 7.4: 1005 without a code, 1006 without a close frame.
  virtual void onClosed(uint16_t code, std::string_view reason) = 0;
};

class WebSocket {
 public:
  virtual ~WebSocket() = default;
  // Held until onClosed. Messages that came before are delivered later in the turn.
  virtual void setHandler(std::shared_ptr<WebSocketHandler> handler) = 0;
  virtual const std::string& protocol() const = 0;  // the subprotocol agreed, or ""
  virtual void send(bool binary, std::string_view payload) = 0;
  virtual void ping(std::string_view payload) = 0;  // pings of the peer are answered by themselves
  // Sends a close frame and waits shortly for the peer's.
  virtual void close(uint16_t code, std::string_view reason) = 0;
  virtual size_t queued() const = 0;
  virtual void pauseReading() = 0;
  virtual void resumeReading() = 0;
  virtual Loop& loop() = 0;
};

constexpr size_t kWebSocketMessageLimit = 32 << 20;

// Whether a request asks to change to WebSocket.
bool isWebSocketUpgrade(const Request& request);

// Answers the request with 101 and the first of `protocols` that the client offers. An error leaves the
// exchange unanswered: a bad request, or protocols offered of which none is ours. A client that offers none
// gets "".
Result<std::shared_ptr<WebSocket>> acceptWebSocket(Exchange& exchange,
                                                   const std::vector<std::string>& protocols,
                                                   size_t messageLimit = kWebSocketMessageLimit);

// What a server that does not accept answered comes as an error with its status code and its body as message.
void connectWebSocket(Client& client, const Endpoint& endpoint, CallOptions options,
                      std::vector<std::string> protocols,
                      std::function<void(Result<std::shared_ptr<WebSocket>>)> callback,
                      size_t messageLimit = kWebSocketMessageLimit);

// The binary messages of a WebSocket as a stream of bytes; for SPDY tunnelled through it.
std::shared_ptr<ByteStream> tunnelThrough(std::shared_ptr<WebSocket> socket);

}  // namespace km::http
