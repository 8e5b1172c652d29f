#include "http/exchange.h"

namespace km::http {

void Exchange::respond(int status, Headers headers, Body body) {
  status_.store(status, std::memory_order_relaxed);
  if (loop().inThread()) {
    if (!closed_) respondNow(status, std::move(headers), std::move(body));
    return;
  }
  loop().post(
      [self = shared_from_this(), status, headers = std::move(headers), body = std::move(body)]() mutable {
        if (!self->closed_) self->respondNow(status, std::move(headers), std::move(body));
      });
}

void Exchange::start(int status, Headers headers) {
  status_.store(status, std::memory_order_relaxed);
  if (loop().inThread()) {
    if (!closed_) startNow(status, std::move(headers));
    return;
  }
  loop().post([self = shared_from_this(), status, headers = std::move(headers)]() mutable {
    if (!self->closed_) self->startNow(status, std::move(headers));
  });
}

size_t Exchange::write(Body bytes) {
  if (bytes.size() == 0) return queued();
  if (loop().inThread()) {
    if (!closed_) writeNow(std::move(bytes));
    return queued();
  }
  size_t size = bytes.size();
  posted_.fetch_add(size, std::memory_order_relaxed);
  size_t total = queued();
  loop().post([self = shared_from_this(), size, bytes = std::move(bytes)]() mutable {
    self->posted_.fetch_sub(size, std::memory_order_relaxed);
    if (!self->closed_) self->writeNow(std::move(bytes));
  });
  return total;
}

void Exchange::finish(Headers trailers) {
  if (loop().inThread()) {
    if (!closed_) finishNow(std::move(trailers));
    return;
  }
  loop().post([self = shared_from_this(), trailers = std::move(trailers)]() mutable {
    if (!self->closed_) self->finishNow(std::move(trailers));
  });
}

void Exchange::onDrain(Task callback) {
  loop().dispatch([self = shared_from_this(), callback = std::move(callback)]() mutable {
    if (!self->closed_) self->onDrain_ = std::move(callback);
  });
}

void Exchange::onClose(Task callback) {
  loop().dispatch([self = shared_from_this(), callback = std::move(callback)]() mutable {
    if (self->gone_) {
      callback();
    } else if (!self->closed_) {
      self->onClose_ = std::move(callback);
    }
  });
}

void Exchange::reset() {
  loop().dispatch([self = shared_from_this()] {
    if (!self->closed_) self->resetNow();
  });
}

void Exchange::onBody(std::function<void(std::string_view, bool)> callback) {
  onBody_ = std::move(callback);
}

void Exchange::pauseBody() {
  if (bodyPaused_ || closed_) return;
  bodyPaused_ = true;
  bodyPaused(true);
}

void Exchange::resumeBody() {
  if (!bodyPaused_ || closed_) return;
  bodyPaused_ = false;
  bodyPaused(false);
}

Result<std::shared_ptr<ByteStream>> Exchange::upgrade(Headers) {
  return errors::badRequest("unable to upgrade: the connection is not HTTP/1.1");
}

void Exchange::setQueued(size_t bytes) {
  queued_.store(bytes, std::memory_order_relaxed);
  if (bytes > kLowWatermark) {
    wasOver_ = true;
  } else if (wasOver_) {
    wasOver_ = false;
    if (onDrain_) {
      Task call = onDrain_;  // a copy: the callback may set another
      call();
    }
  }
}

void Exchange::deliverBody(std::string_view bytes, bool last) {
  if (!onBody_) return;
  if (last) {
    auto call = std::move(onBody_);
    onBody_ = nullptr;
    call(bytes, true);
  } else {
    auto call = onBody_;
    call(bytes, false);
  }
}

void Exchange::tellClosed() {
  if (closed_) return;
  closed_ = gone_ = true;
  queued_.store(0, std::memory_order_relaxed);
  Task call = std::move(onClose_);
  onClose_ = nullptr;
  onDrain_ = nullptr;
  onBody_ = nullptr;
  if (call) call();
}

void Exchange::done() {
  if (closed_) return;
  closed_ = true;
  queued_.store(0, std::memory_order_relaxed);
  onClose_ = nullptr;
  onDrain_ = nullptr;
  onBody_ = nullptr;
}

}  // namespace km::http
