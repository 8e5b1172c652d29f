// The server's side of HTTP/1.1: one request after another, pipelined ones wait for their turn.
#include <string.h>

#include "http/h1_parser.h"
#include "http/session.h"
#include "http/text.h"

namespace km::http {

namespace {

// Pipelined input kept while a request is being answered; reading stops over it.
constexpr size_t kMaxWaiting = 64 << 10;

class H1Session;

class H1Exchange final : public Exchange {
 public:
  explicit H1Exchange(std::shared_ptr<H1Session> session) : session_(std::move(session)) {}
  Result<std::shared_ptr<ByteStream>> upgrade(Headers headers) override;

 private:
  friend class H1Session;
  void respondNow(int status, Headers&& headers, Body&& body) override;
  void startNow(int status, Headers&& headers) override;
  void writeNow(Body&& bytes) override;
  void finishNow(Headers&& trailers) override;
  void resetNow() override;
  void bodyPaused(bool paused) override;
  std::shared_ptr<H1Session> session_;
  bool started_ = false;
  bool chunked_ = false;
  bool bodyless_ = false;
};

class H1Session final : public ServerSession, public std::enable_shared_from_this<H1Session> {
 public:
  H1Session(SessionContext context, std::shared_ptr<async::Connection> connection)
      : ServerSession(std::move(context), std::move(connection)),
        parser_(H1Parser::Kind::kRequest, {context_.options.maxHeaderBytes, context_.options.maxHeaderCount}),
        since_(steadyNow()) {}

  void onData(std::string_view bytes) override;
  void onDrained() override {
    if (current_) current_->setQueued(connection_->queued());
  }
  void onClosed(const Status& why) override;
  void shutdown() override;
  void sweep(Duration now) override;

  void writeHead(H1Exchange& exchange, int status, const Headers& headers, const size_t* length,
                 bool chunked);
  void complete(H1Exchange& exchange);
  Result<std::shared_ptr<ByteStream>> upgrade(H1Exchange& exchange, const Headers& headers);
  void paused(bool paused);
  async::Connection& connection() { return *connection_; }

 private:
  friend class H1Exchange;
  void process();
  void keepRest();
  void beginRequest();
  void addBody(std::string_view bytes);
  void endRequest();
  void refuse();
  void resume();

  H1Parser parser_;
  std::shared_ptr<H1Exchange> current_;
  std::string input_;      // not parsed yet, kept between reads
  std::string_view rest_;  // not parsed yet, within process()
  size_t limit_ = 0;
  Duration since_;  // idle, or a head under way, since
  bool processing_ = false;
  bool requestDone_ = false;
  bool throwAway_ = false;  // the rest of the body
  bool bodyPaused_ = false;
  bool keepAlive_ = true;
  bool ending_ = false;  // nothing more is read
  bool drain_ = false;   // the answer in progress is the last
};

void H1Session::onData(std::string_view bytes) {
  if (ending_) return;
  if (!current_ && parser_.betweenMessages()) since_ = steadyNow();
  if (!input_.empty()) {
    input_.append(bytes);
    std::string all = std::move(input_);
    input_.clear();
    rest_ = all;
    process();
    return;
  }
  rest_ = bytes;
  process();
}

void H1Session::process() {
  auto self = shared_from_this();
  processing_ = true;
  while (!ending_) {
    if (current_ && (requestDone_ || bodyPaused_)) {
      keepRest();
      break;
    }
    H1Parser::Event event = parser_.next(rest_);
    if (event == H1Parser::Event::kNeedMore) break;
    if (event == H1Parser::Event::kHead) beginRequest();
    if (event == H1Parser::Event::kBody) addBody(parser_.body());
    if (event == H1Parser::Event::kEnd) endRequest();
    if (event == H1Parser::Event::kError) refuse();
  }
  rest_ = {};
  processing_ = false;
}

void H1Session::keepRest() {
  input_.append(rest_);
  rest_ = {};
  if (input_.size() > kMaxWaiting || bodyPaused_) connection_->pauseReading();
}

void H1Session::beginRequest() {
  auto exchange = std::make_shared<H1Exchange>(shared_from_this());
  current_ = exchange;
  requestDone_ = throwAway_ = bodyPaused_ = false;
  Request& r = exchange->request_;
  r.method = std::move(parser_.method);
  std::string_view target = parser_.target;
  if (target.substr(0, 7) == "http://" || target.substr(0, 8) == "https://") {  // absolute form
    size_t slash = target.find('/', 8);
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  splitTarget(target, r);
  r.headers = std::move(parser_.headers);
  parser_.headers = Headers();
  r.protocol = parser_.minor == 1 ? Protocol::kHttp11 : Protocol::kHttp10;
  r.connection = info_;
  keepAlive_ = parser_.keepAlive;
  exchange->bodyless_ = r.method == "HEAD";
  limit_ = context_.handler->bodyLimit(r);
  bool streamed = limit_ == Handler::kStreamBody;
  if (!streamed && parser_.hasLength && parser_.length > limit_) {
    throwAway_ = true;
    keepAlive_ = false;  // rather than reading on for nothing
    context_.handler->tooLarge(exchange);
    return;
  }
  if (parser_.expectContinue && parser_.hasBody())
    connection_->write(std::string_view("HTTP/1.1 100 Continue\r\n\r\n"));
  if (!streamed && parser_.hasLength) r.body.reserve(parser_.length);
  if (streamed) context_.handler->handle(exchange);
}

void H1Session::addBody(std::string_view bytes) {
  if (throwAway_ || !current_) return;
  auto exchange = current_;
  if (limit_ == Handler::kStreamBody) {
    exchange->deliverBody(bytes, false);
    return;
  }
  if (exchange->request_.body.size() + bytes.size() > limit_) {
    throwAway_ = true;
    keepAlive_ = false;
    exchange->request_.body = {};
    context_.handler->tooLarge(exchange);
    return;
  }
  exchange->request_.body.append(bytes);
}

void H1Session::endRequest() {
  if (!current_) return;
  requestDone_ = true;
  auto exchange = current_;
  exchange->request_.trailers = std::move(parser_.trailers());
  if (throwAway_) return;
  if (limit_ == Handler::kStreamBody) {
    exchange->deliverBody({}, true);
  } else {
    context_.handler->handle(exchange);
  }
}

void H1Session::refuse() {
  ending_ = true;
  if (current_) {  // in the middle of a body: no answer can be told from the one that is due
    connection_->close(errors::badRequest(parser_.error().message()));
    return;
  }
  int code = parser_.error().code();
  std::string text = std::to_string(code) + " " + std::string(reasonPhrase(code));
  std::string body = text + ": " + parser_.error().message();
  std::string answer = "HTTP/1.1 " + text +
                       "\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n" +
                       "content-length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  connection_->write(std::string_view(answer));
  connection_->closeAfterFlush();
}

void H1Session::writeHead(H1Exchange& exchange, int status, const Headers& headers, const size_t* length,
                          bool chunked) {
  if (!requestDone_ || drain_ || (status != 101 && headers.get("connection") == "close")) keepAlive_ = false;
  if (exchange.request_.protocol == Protocol::kHttp10 && length == nullptr && status >= 200)
    keepAlive_ = false;
  thread_local std::string head;
  head.clear();
  head += "HTTP/1.1 ";
  head += std::to_string(status);
  head += ' ';
  head += reasonPhrase(status);
  head += "\r\n";
  bool date = false;
  for (Headers::Field f : headers) {
    if (f.name == "connection" || f.name == "transfer-encoding") {
      if (status != 101) continue;
    }
    if (f.name == "content-length" && length != nullptr) continue;
    if (f.name == "date") date = true;
    if (f.value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) continue;
    head.append(f.name).append(": ").append(f.value).append("\r\n");
  }
  if (!date) head.append("date: ").append(httpDate()).append("\r\n");
  if (length != nullptr) head.append("content-length: ").append(std::to_string(*length)).append("\r\n");
  if (chunked) head += "transfer-encoding: chunked\r\n";
  if (status != 101) {
    if (!keepAlive_) {
      head += "connection: close\r\n";
    } else if (exchange.request_.protocol == Protocol::kHttp10) {
      head += "connection: keep-alive\r\n";
    }
  }
  head += "\r\n";
  connection_->write(std::string_view(head));
}

void H1Session::complete(H1Exchange& exchange) {
  auto keep = current_;
  if (current_.get() != &exchange) return;
  current_.reset();
  exchange.done();
  exchange.session_.reset();
  since_ = steadyNow();
  if (!keepAlive_ || drain_) {
    ending_ = true;
    connection_->closeAfterFlush();
    return;
  }
  if (!processing_) resume();
}

void H1Session::resume() {
  connection_->resumeReading();
  if (input_.empty()) return;
  // In a turn of its own: many pipelined requests must not nest.
  connection_->loop().post([self = shared_from_this()] {
    if (self->processing_ || self->input_.empty() || self->connection_->closed()) return;
    std::string all = std::move(self->input_);
    self->input_.clear();
    self->rest_ = all;
    self->process();
  });
}

Result<std::shared_ptr<ByteStream>> H1Session::upgrade(H1Exchange& exchange, const Headers& headers) {
  if (current_.get() != &exchange || exchange.started_) {
    return errors::badRequest("unable to upgrade: the request is answered already");
  }
  if (!requestDone_ || !exchange.request_.headers.hasToken("connection", "upgrade")) {
    return errors::badRequest("unable to upgrade: missing upgrade headers in request");
  }
  auto keep = current_;
  Headers all = headers;
  if (!all.has("connection")) all.add("connection", "Upgrade");
  writeHead(exchange, 101, all, nullptr, false);
  std::string leftover = std::move(input_);
  leftover.append(rest_);
  rest_ = {};
  input_.clear();
  ending_ = true;
  current_.reset();
  exchange.done();
  auto stream = takeOver(connection_, std::move(leftover));
  connection_->resumeReading();
  exchange.session_.reset();
  return stream;
}

void H1Session::paused(bool paused) {
  bodyPaused_ = paused;
  if (paused) {
    connection_->pauseReading();
  } else if (!processing_) {
    resume();
  }
}

void H1Session::onClosed(const Status& why) {
  ending_ = true;
  auto exchange = std::move(current_);
  if (!exchange) return;
  exchange->tellClosed();
  exchange->session_.reset();
}

void H1Session::shutdown() {
  drain_ = true;
  if (!current_) {
    ending_ = true;
    connection_->closeAfterFlush();
  }
}

void H1Session::sweep(Duration now) {
  if (current_ || ending_) return;
  bool head = !parser_.betweenMessages();
  if (now - since_ > (head ? context_.options.headerTimeout : context_.options.idleTimeout))
    connection_->close();
}

void H1Exchange::respondNow(int status, Headers&& headers, Body&& body) {
  if (started_) return;
  started_ = true;
  auto session = session_;
  size_t length = body.size();
  bool none = status == 204 || status / 100 == 1;
  bool silent = none || status == 304 || bodyless_;
  bool tell = !none && !(status == 304 && length == 0);
  session->writeHead(*this, status, headers, tell ? &length : nullptr, false);
  if (!silent) body.take([&](Buffer&& piece) { session->connection().write(std::move(piece)); });
  session->complete(*this);
}

void H1Exchange::startNow(int status, Headers&& headers) {
  if (started_) return;
  started_ = true;
  bodyless_ = bodyless_ || status == 204 || status == 304;
  bool known = headers.has("content-length");
  chunked_ = !known && !bodyless_ && request_.protocol == Protocol::kHttp11;
  if (!known && !bodyless_ && !chunked_) session_->keepAlive_ = false;
  session_->writeHead(*this, status, headers, nullptr, chunked_);
}

void H1Exchange::writeNow(Body&& bytes) {
  if (!started_) startNow(200, {});
  if (bodyless_) return;
  async::Connection& c = session_->connection();
  if (chunked_) {
    char size[24];
    int n = snprintf(size, sizeof size, "%zx\r\n", bytes.size());
    c.write(std::string_view(size, n));
  }
  bytes.take([&](Buffer&& piece) { c.write(std::move(piece)); });
  if (chunked_) c.write(std::string_view("\r\n"));
  setQueued(c.queued());
}

void H1Exchange::finishNow(Headers&& trailers) {
  if (!started_) startNow(200, {});
  auto session = session_;
  if (chunked_) {
    std::string end = "0\r\n";
    for (Headers::Field f : trailers) end.append(f.name).append(": ").append(f.value).append("\r\n");
    end += "\r\n";
    session->connection().write(std::string_view(end));
  }
  session->complete(*this);
}

void H1Exchange::resetNow() {
  session_->connection().close(errors::failed("the answer was given up"));
}

void H1Exchange::bodyPaused(bool paused) {
  session_->paused(paused);
}

Result<std::shared_ptr<ByteStream>> H1Exchange::upgrade(Headers headers) {
  if (closed_ || !session_) return errors::badRequest("unable to upgrade: the connection is closed");
  auto session = session_;
  return session->upgrade(*this, headers);
}

}  // namespace

std::shared_ptr<ServerSession> makeH1Session(SessionContext context,
                                             std::shared_ptr<async::Connection> connection) {
  return std::make_shared<H1Session>(std::move(context), std::move(connection));
}

}  // namespace km::http
