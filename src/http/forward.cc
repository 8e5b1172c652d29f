#include "http/forward.h"

namespace km::http {
namespace {

constexpr size_t kHighWatermark = 256 << 10;
constexpr size_t kMaxRefusal = 64 << 10;

// One direction and a half: writes what it gets to its peer, and holds itself back while the peer is slow.
class Half : public ByteStreamHandler {
 public:
  Half(std::shared_ptr<ByteStream> self, std::shared_ptr<ByteStream> peer) : self_(std::move(self)), peer_(std::move(peer)) {}
  void onData(std::string_view bytes) override {
    if (!peer_) return;
    peer_->write(bytes);
    if (peer_->queued() > kHighWatermark) self_->pauseReading();
  }
  // Our own queue has room again: the other side may go on.
  void onDrained() override {
    if (peer_) peer_->resumeReading();
  }
  void onClosed(const Status&) override {
    if (peer_) peer_->close();
    peer_.reset();
    self_.reset();
  }

 private:
  std::shared_ptr<ByteStream> self_, peer_;
};

// An answer under way.
struct Forwarding {
  std::shared_ptr<Exchange> exchange;
  std::shared_ptr<Call> call;
  Refusal refuse;
  int status = 0;
  std::string refusal;
  bool started = false, ended = false;
};

}  // namespace

void joinStreams(std::shared_ptr<ByteStream> a, std::shared_ptr<ByteStream> b) {
  a->setHandler(std::make_shared<Half>(a, b));
  b->setHandler(std::make_shared<Half>(b, a));
}

void forwardAnswer(Client& client, const Endpoint& endpoint, CallOptions options, std::shared_ptr<Exchange> exchange, Refusal refuse) {
  auto f = std::make_shared<Forwarding>();
  f->exchange = exchange;
  f->refuse = std::move(refuse);
  CallHandler h;
  h.onHead = [f](int status, const Headers& headers) {
    f->status = status;
    if (status < 200 || status > 206) return;
    f->started = true;
    Headers out;
    for (std::string_view name : {"content-type", "date"}) {
      if (headers.has(name)) out.add(name, headers.get(name));
    }
    f->exchange->start(status, std::move(out));
  };
  h.onData = [f](std::string_view bytes) {
    if (!f->started) {
      if (f->refusal.size() < kMaxRefusal) f->refusal.append(bytes);
      return;
    }
    if (f->exchange->write(Buffer(std::string(bytes))) > kHighWatermark && f->call) f->call->pauseReading();
  };
  h.onEnd = [f](const Headers&) {
    f->ended = true;
    f->started ? f->exchange->finish() : f->refuse(f->exchange, f->status, std::move(f->refusal));
    f->call.reset();
  };
  h.onError = [f](const Status& why) {
    f->ended = true;
    f->started ? f->exchange->reset() : f->refuse(f->exchange, 502, why.message());
    f->call.reset();
  };
  f->call = client.send(endpoint, std::move(options), std::move(h));
  exchange->onDrain([weak = std::weak_ptr(f)] {
    if (auto s = weak.lock(); s && s->call) s->call->resumeReading();
  });
  exchange->onClose([weak = std::weak_ptr(f)] {
    auto s = weak.lock();
    if (s && s->call && !s->ended) s->call->cancel();
    if (s) s->call.reset();
  });
}

void forwardUpgrade(Client& client, const Endpoint& endpoint, CallOptions options, std::shared_ptr<Exchange> exchange, Refusal refuse) {
  const Headers& asked = exchange->request().headers;
  for (std::string_view name : {"upgrade", "x-stream-protocol-version"}) {
    for (std::string_view v : asked.all(name)) options.headers.add(name, v);
  }
  client.upgrade(endpoint, std::move(options), [exchange, refuse = std::move(refuse)](Result<Upgraded> r) {
    if (!r.ok()) return refuse(exchange, 502, r.status().message());
    if (!r->stream) return refuse(exchange, r->status, std::move(r->body));
    Headers out;
    for (std::string_view name : {"upgrade", "x-stream-protocol-version"}) {
      if (r->headers.has(name)) out.add(name, r->headers.get(name));
    }
    auto ours = exchange->upgrade(std::move(out));
    if (!ours.ok()) {
      r->stream->abort();
      return refuse(exchange, ours.status().code(), ours.status().message());
    }
    joinStreams(std::move(*ours), std::move(r->stream));
  });
}

}  // namespace km::http
