// The HTTP client: asynchronous, pooled, HTTP/2 and HTTP/1.1.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "async/loop.h"
#include "async/tls.h"
#include "base/result.h"
#include "http/byte_stream.h"
#include "http/message.h"

namespace km::http {

// Where a request goes. Requests to equal endpoints share connections.
struct Endpoint {
  enum class Speak {
    kAuto,
    kHttp1,
    kHttp2
  };  // kAuto: by ALPN under TLS, else HTTP/1.1; kHttp2: without asking
  std::string host;
  int port = 0;
  std::string unixPath;                    // instead of host and port
  std::shared_ptr<async::TlsContext> tls;  // null: cleartext
  Speak speak = Speak::kAuto;
  std::string authority;  // empty: host:port, or "localhost" for a unix socket
};

struct Url {
  bool tls = false;
  std::string host;
  int port = 0;
  std::string target;  // path and query, at least "/"
};
// http:// and https:// only.
Result<Url> parseUrl(std::string_view url);

struct CallOptions {
  std::string method = "GET";
  std::string target = "/";  // path and query, escaped
  Headers headers;           // host, content-length and the like are added
  Body body;
  bool streamBody = false;  // more body comes by Call::write, up to Call::finishBody
  Duration timeout{0};      // of the whole call; 0: none
};

// Reason of an error after which the request surely did not reach the server: no connection came about.
inline constexpr std::string_view kNotSent = "NotSent";

// Called on the client's loop. After onEnd or onError, exactly one of which comes, nothing more is called.
struct CallHandler {
  std::function<void(int status, const Headers& headers)> onHead;  // final answers only, no 1xx
  std::function<void(std::string_view bytes)> onData;
  std::function<void(const Headers& trailers)> onEnd;
  std::function<void(const Status& why)> onError;  // no answer, or it broke off
};

// A call in progress. From any thread unless said otherwise. Letting go of it does not cancel it.
class Call {
 public:
  virtual ~Call() = default;
  // Nothing is called any more if cancelled on the loop's thread; otherwise a call may be under way.
  virtual void cancel() = 0;
  // For streamBody. Gives back the bytes not sent yet.
  virtual size_t write(Buffer bytes) = 0;
  virtual void finishBody() = 0;
  // On the loop's thread: called each time the unsent bytes fall under 64 KiB after they were over it.
  virtual void onDrain(Task callback) = 0;
  // On the loop's thread: holds the server back by flow control.
  virtual void pauseReading() = 0;
  virtual void resumeReading() = 0;
};

struct ClientOptions {
  Duration dialTimeout = std::chrono::seconds(30);
  Duration idleTimeout = std::chrono::seconds(90);
  // An HTTP/2 connection that was silent this long is pinged, and closed without an answer within the second.
  Duration pingAfter = std::chrono::seconds(30);
  Duration pingTimeout = std::chrono::seconds(15);
  size_t maxHttp1Connections = 256;  // to one endpoint; further calls wait
  uint32_t streamWindow = 4 << 20;
  uint32_t connectionWindow = 64 << 20;
};

// The answer to an attempt to change the protocol.
struct Upgraded {
  int status = 0;
  Headers headers;
  std::string body;                    // of an answer other than 101, up to 64 KiB
  std::shared_ptr<ByteStream> stream;  // null unless status is 101
};

class Client {
 public:
  explicit Client(Loop& loop, ClientOptions options = {});
  // On the loop's thread, or after the loop stopped. Calls in progress end with an error later in the turn.
  ~Client();

  // From any thread; the calls back come later. A request that the server has surely not handled (a
  // connection closed while idle, GOAWAY, REFUSED_STREAM) is sent again on another connection.
  std::shared_ptr<Call> send(const Endpoint& endpoint, CallOptions options, CallHandler handler);

  // From any thread. Over an HTTP/1.1 connection of its own. `options.headers` name the upgrade; "connection:
  // Upgrade" is added.
  void upgrade(const Endpoint& endpoint, CallOptions options, std::function<void(Result<Upgraded>)> callback);

  // From any thread: later calls get new connections; those in being end with what they carry. After settings of TLS
  // have changed.
  void retireConnections();

  struct Core;

 private:
  std::shared_ptr<Core> core_;
};

// Blocking, for tests and command lines: one request on a loop and connection of its own.
struct Fetched {
  int status = 0;
  Headers headers;
  std::string body;
  Headers trailers;
};
Result<Fetched> fetch(const Endpoint& endpoint, CallOptions options);

}  // namespace km::http
