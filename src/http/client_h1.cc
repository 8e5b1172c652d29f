// The client's side of HTTP/1.1: one call at a time on a connection.
#include "http/client_conn.h"
#include "http/h1_parser.h"

namespace km::http {

std::string h1RequestHead(const CallOptions& options, const std::string& authority) {
  std::string head = options.method + " " + options.target + " HTTP/1.1\r\n";
  auto add = [&head](std::string_view name, std::string_view value) {
    head.append(name).append(": ").append(value).append("\r\n");
  };
  if (!options.headers.has("host")) add("host", authority);
  for (Headers::Field f : options.headers) {
    if (f.name == "content-length" || f.name == "transfer-encoding") continue;
    add(f.name, f.value);
  }
  if (options.streamBody) {
    add("transfer-encoding", "chunked");
  } else if (options.body.size() > 0 || (options.method != "GET" && options.method != "HEAD")) {
    add("content-length", std::to_string(options.body.size()));
  }
  head += "\r\n";
  return head;
}

namespace {

class H1Conn final : public ClientConn, public std::enable_shared_from_this<H1Conn> {
 public:
  H1Conn(PoolLink link, std::shared_ptr<async::Connection> connection)
      : link_(std::move(link)),
        connection_(std::move(connection)),
        parser_(H1Parser::Kind::kResponse, {}),
        idleSince_(std::chrono::steady_clock::now().time_since_epoch()) {}

  bool isHttp2() const override { return false; }
  bool available() const override { return !call_ && !dead_ && !retired_; }
  void retire() override {
    retired_ = true;
    if (call_ || dead_) return;
    dead_ = true;
    connection_->close();
  }

  void begin(const std::shared_ptr<CallImpl>& call) override {
    call_ = call;
    call->connection = this;
    answerBegan_ = false;
    if (call->options.method == "HEAD") parser_.expectNoBody();
    call->refill();
    std::string head = h1RequestHead(call->options, call->authority);
    connection_->write(std::string_view(head));
    bodySent_ = false;
    sendBody();
  }

  void moreBody(CallImpl& call) override {
    if (call_.get() == &call) sendBody();
  }

  void cancel(CallImpl& call) override {
    if (call_.get() != &call) return;
    call.connection = nullptr;
    call_.reset();
    dead_ = true;  // the rest of the answer would come first
    connection_->close();
  }

  void paused(CallImpl& call, bool paused) override {
    if (call_.get() != &call) return;
    if (paused) {
      connection_->pauseReading();
    } else {
      connection_->resumeReading();
      if (!held_.empty()) {
        connection_->loop().post([self = shared_from_this()] { self->onData({}); });
      }
    }
  }

  void onData(std::string_view bytes) override {
    std::string all;
    if (!held_.empty()) {
      all = std::move(held_);
      held_.clear();
      all.append(bytes);
      bytes = all;
    }
    while (!dead_) {
      if (call_ && call_->paused) {
        held_.assign(bytes);
        return;
      }
      if (!call_ && !bytes.empty()) {  // nobody asked for it
        shut(errors::failed("unsolicited response"));
        return;
      }
      H1Parser::Event event = parser_.next(bytes);
      if (event == H1Parser::Event::kNeedMore) return;
      if (event == H1Parser::Event::kError) return shut(errors::failed(parser_.error().message()));
      if (!call_) continue;
      auto call = call_;
      if (event == H1Parser::Event::kHead) {
        answerBegan_ = true;
        interim_ = parser_.status / 100 == 1;
        if (!interim_) call->head(parser_.status, parser_.headers);
      } else if (event == H1Parser::Event::kBody) {
        call->data(parser_.body());
      } else if (!interim_) {
        finish();
      }
    }
  }

  void onDrained() override {
    if (call_) sendBody();
  }

  void onClosed(const Status& why) override {
    dead_ = true;
    auto self = shared_from_this();
    if (call_ && parser_.finish() == H1Parser::Event::kEnd) {
      auto call = std::move(call_);
      call->end({});
    }
    auto call = std::move(call_);
    poolClosed(link_.pool, this);
    if (!call) return;
    call->connection = nullptr;
    // A connection that the server closed while it was idle says nothing about this request, unless repeating
    // it could do harm.
    const std::string& m = call->options.method;
    bool safe = m == "GET" || m == "HEAD" || m == "OPTIONS" || m == "PUT" || m == "DELETE";
    if (used_ && !answerBegan_ && safe && call->mayRetry()) return poolRetry(call);
    call->fail(why.ok() ? errors::failed("EOF") : why);
  }

  void sweep(Duration now) override {
    if (!call_ && now - idleSince_ > link_.options.idleTimeout) shut(errors::failed("idle"));
  }

  void shut(const Status& why) override {
    dead_ = true;
    connection_->close(why);
  }

 private:
  void sendBody() {
    CallImpl& call = *call_;
    while (call.out.size() > 0 && connection_->queued() < (256 << 10)) {
      size_t n = std::min<size_t>(call.out.size(), 64 << 10);
      if (call.options.streamBody) {
        char size[24];
        int length = snprintf(size, sizeof size, "%zx\r\n", n);
        connection_->write(std::string_view(size, static_cast<size_t>(length)));
      }
      call.out.moveTo(n, *connection_);
      if (call.options.streamBody) connection_->write(std::string_view("\r\n"));
    }
    if (call.out.size() == 0 && call.out.finished && !bodySent_) {
      bodySent_ = true;
      if (call.options.streamBody) connection_->write(std::string_view("0\r\n\r\n"));
    }
    auto keep = call_;
    keep->setQueued();
  }

  void finish() {
    auto call = std::move(call_);
    used_ = true;
    idleSince_ = std::chrono::steady_clock::now().time_since_epoch();
    if (!parser_.keepAlive || !bodySent_ || retired_) {
      dead_ = true;
      connection_->close();
    }
    Headers trailers = std::move(parser_.trailers());
    call->end(trailers);
    if (!dead_) poolAvailable(link_.pool);
  }

  PoolLink link_;
  std::shared_ptr<async::Connection> connection_;
  H1Parser parser_;
  std::shared_ptr<CallImpl> call_;
  std::string held_;
  Duration idleSince_;
  bool answerBegan_ = false;
  bool interim_ = false;
  bool bodySent_ = true;
  bool used_ = false;
  bool dead_ = false, retired_ = false;
};

}  // namespace

std::shared_ptr<ClientConn> makeH1Conn(PoolLink link, std::shared_ptr<async::Connection> connection) {
  return std::make_shared<H1Conn>(std::move(link), std::move(connection));
}

}  // namespace km::http
