// A call and the connections that carry calls. Internal to the room; all on the client's loop.
#pragma once

#include <atomic>
#include <memory>

#include "async/connection.h"
#include "http/client.h"
#include "http/h2_util.h"

namespace km::http {

class ClientConn;
struct Pool;

class CallImpl final : public Call, public std::enable_shared_from_this<CallImpl> {
 public:
  CallImpl(Loop& loop, CallOptions options, CallHandler handler)
      : loop(loop), options(std::move(options)), handler(std::move(handler)) {}
  void cancel() override;
  size_t write(Buffer bytes) override;
  void finishBody() override;
  void onDrain(Task callback) override { drain = std::move(callback); }
  void pauseReading() override;
  void resumeReading() override;

  void refill();  // puts the given body into `out`, for a first or another attempt
  void setQueued();
  // From the connection.
  void head(int status, const Headers& headers);
  void data(std::string_view bytes);
  void end(const Headers& trailers);
  void fail(const Status& why);
  bool mayRetry() const { return !done && !answered && !options.streamBody && attempts < 4; }

  Loop& loop;
  CallOptions options;
  CallHandler handler;
  std::string authority;
  std::string scheme;
  std::weak_ptr<Pool> pool;
  ClientConn* connection = nullptr;  // while it carries the call
  int32_t stream = 0;
  std::unique_ptr<async::Timer> deadline;
  Task drain;
  OutgoingData out;
  std::string held;  // arrived while paused, HTTP/1.1
  size_t unconsumed = 0;
  std::atomic<size_t> posted{0}, queued{0};
  int attempts = 0;
  bool answered = false;  // the head of the answer was delivered
  bool done = false;
  bool paused = false;
  bool over = false;
};

class ClientConn : public async::ConnectionHandler {
 public:
  virtual bool isHttp2() const = 0;
  virtual bool available() const = 0;  // can take another call now
  virtual void begin(const std::shared_ptr<CallImpl>& call) = 0;
  virtual void moreBody(CallImpl& call) = 0;
  virtual void cancel(CallImpl& call) = 0;  // forgets it
  virtual void paused(CallImpl& call, bool paused) = 0;
  virtual void sweep(Duration now) = 0;
  virtual void retire() = 0;  // takes no more calls, and ends with those that it has
  virtual void shut(const Status& why) = 0;
};

// What a connection tells the pool it belongs to.
struct PoolLink {
  std::weak_ptr<Pool> pool;
  ClientOptions options;
};
void poolAvailable(const std::weak_ptr<Pool>& pool);
void poolClosed(const std::weak_ptr<Pool>& pool, ClientConn* connection);
void poolRetry(const std::shared_ptr<CallImpl>& call);  // once more, on another connection

std::shared_ptr<ClientConn> makeH1Conn(PoolLink link, std::shared_ptr<async::Connection> connection);
std::shared_ptr<ClientConn> makeH2Conn(PoolLink link, std::shared_ptr<async::Connection> connection);

// The head of an HTTP/1.1 request.
std::string h1RequestHead(const CallOptions& options, const std::string& authority);

}  // namespace km::http
