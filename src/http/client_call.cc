#include "http/client_conn.h"

namespace km::http {

namespace {
constexpr size_t kLowWatermark = 64 << 10;
}

void CallImpl::cancel() {
  loop.dispatch([self = shared_from_this()] {
    if (self->done) return;
    self->done = true;
    self->deadline.reset();
    if (self->connection != nullptr) self->connection->cancel(*self);
    self->connection = nullptr;
    self->handler = {};
    self->drain = nullptr;
  });
}

size_t CallImpl::write(Buffer bytes) {
  size_t size = bytes.size();
  if (size == 0) return posted + queued;
  posted += size;
  auto add = [](CallImpl& self, Buffer b) {
    self.posted -= b.size();
    if (self.done || self.out.finished) return;
    self.out.append(std::move(b));
    self.setQueued();
    if (self.connection != nullptr) self.connection->moreBody(self);
  };
  if (loop.inThread()) {
    add(*this, std::move(bytes));
    return posted + queued;
  }
  size_t total = posted + queued;
  loop.post(
      [self = shared_from_this(), add, bytes = std::move(bytes)]() mutable { add(*self, std::move(bytes)); });
  return total;
}

void CallImpl::finishBody() {
  loop.dispatch([self = shared_from_this()] {
    if (self->done || self->out.finished) return;
    self->out.finished = true;
    if (self->connection != nullptr) self->connection->moreBody(*self);
  });
}

void CallImpl::pauseReading() {
  if (paused || done) return;
  paused = true;
  if (connection != nullptr) connection->paused(*this, true);
}

void CallImpl::resumeReading() {
  if (!paused || done) return;
  paused = false;
  if (connection != nullptr) connection->paused(*this, false);
}

void CallImpl::refill() {
  if (!options.streamBody || attempts <= 1) {
    Body copy = options.body;
    if (!options.streamBody) out = OutgoingData();
    copy.take([this](Buffer&& b) { out.append(std::move(b)); });
    if (!options.streamBody) out.finished = true;
  }
  setQueued();
}

void CallImpl::setQueued() {
  queued = out.size();
  if (out.size() > kLowWatermark) {
    over = true;
  } else if (over) {
    over = false;
    if (drain) {
      Task call = drain;
      call();
    }
  }
}

void CallImpl::head(int status, const Headers& headers) {
  if (done) return;
  answered = true;
  auto call = handler.onHead;
  if (call) call(status, headers);
}

void CallImpl::data(std::string_view bytes) {
  if (done) return;
  auto keep = shared_from_this();
  // A copy: the callback may cancel the call, which drops the handler.
  auto call = handler.onData;
  if (call) call(bytes);
}

void CallImpl::end(const Headers& trailers) {
  if (done) return;
  done = true;
  connection = nullptr;
  deadline.reset();
  CallHandler last = std::move(handler);
  handler = {};
  drain = nullptr;
  if (last.onEnd) last.onEnd(trailers);
}

void CallImpl::fail(const Status& why) {
  if (done) return;
  done = true;
  connection = nullptr;
  deadline.reset();
  CallHandler last = std::move(handler);
  handler = {};
  drain = nullptr;
  if (last.onError) last.onError(why.ok() ? errors::failed("unexpected EOF") : why);
}

}  // namespace km::http
