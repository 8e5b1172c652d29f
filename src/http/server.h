// The HTTP server: HTTP/2 and HTTP/1.1 on one port, by ALPN under TLS, by the first bytes without.
#pragma once

#include <memory>
#include <string>

#include "async/loop.h"
#include "async/socket.h"
#include "async/tls.h"
#include "http/exchange.h"
#include "http/message.h"

namespace km::http {

// Called on the loops' threads, so by several at a time. Must not block.
class Handler {
 public:
  virtual ~Handler() = default;
  static constexpr size_t kStreamBody = ~size_t{0};
  // How many bytes of body are collected for a request whose head is there; kStreamBody: handle() is called
  // at once and takes the body by Exchange::onBody.
  virtual size_t bodyLimit(const Request& request) { return 3 << 20; }
  // The request is complete (see bodyLimit). Answer now or later, from any thread.
  virtual void handle(std::shared_ptr<Exchange> exchange) = 0;
  // The body is over the limit; the rest of it is thrown away. Answers 413 unless overridden.
  virtual void tooLarge(std::shared_ptr<Exchange> exchange);
};

struct ServerOptions {
  size_t maxHeaderBytes = 1 << 20;  // names and values of one request
  size_t maxHeaderCount = 1000;
  uint32_t maxConcurrentStreams = 250;  // --http2-max-streams-per-connection
  uint32_t streamWindow = 1 << 20;      // bytes of request body under way in one HTTP/2 stream
  uint32_t connectionWindow = 4 << 20;
  Duration headerTimeout =
      std::chrono::seconds(32);  // from the first byte of a request to the end of its head
  Duration idleTimeout = std::chrono::seconds(90);  // without any request
  // A peer that acknowledges nothing of what is sent to it is gone. One that is idle is asked by TCP keep-alive.
  Duration silenceTimeout = std::chrono::seconds(120);
  // Stream resets by the client: a client may cancel many watches at once, but not keep the server busy with
  // requests that it cancels.
  uint64_t resetBurst = 20000, resetsPerSecond = 1000;
};

class Server {
 public:
  // The loops must outlive the server and still run when it is destroyed.
  Server(async::LoopGroup& loops, std::shared_ptr<Handler> handler, ServerOptions options = {});
  // Closes everything at once; no call into the handler comes afterwards. Not on a loop's thread.
  ~Server();

  // Each may be called any number of times. `tls` null: cleartext. Give back the port.
  Result<int> listen(std::string_view address, int port, std::shared_ptr<async::TlsContext> tls);
  Status listenUnix(const std::string& path, int mode = 0660);
  // A socket that listens already.
  Status serve(async::UniqueFd listener, std::shared_ptr<async::TlsContext> tls);

  // Stops accepting, tells the clients (GOAWAY, "connection: close"), lets running requests end and closes
  // the connections; those still there after `grace` are cut. Then `done` is called, on some loop's thread.
  void shutdown(Duration grace, Task done);

  struct Core;

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace km::http
