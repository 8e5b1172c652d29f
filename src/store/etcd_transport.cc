#include "store/etcd_transport.h"

#include <algorithm>

#include "api/types/etcd_v3_rpc.h"
#include "base/log.h"

namespace km::store {
namespace {

using http::GrpcCode;
using http::GrpcResult;

constexpr size_t kMaxMessage = size_t{1} << 30;
constexpr Duration kSilence = std::chrono::milliseconds(1500);  // of a call, before its endpoint is looked at
constexpr Duration kOversee = std::chrono::milliseconds(250);
constexpr Duration kFirstWait = std::chrono::milliseconds(20), kLastWait = std::chrono::seconds(1);

Duration now() { return Clock::system().monotonic(); }

http::ClientOptions clientOptions() {
  http::ClientOptions o;
  o.dialTimeout = std::chrono::seconds(3);
  // etcd takes pings that come more often than every five seconds for an attack.
  o.pingAfter = std::chrono::seconds(8);
  o.pingTimeout = std::chrono::seconds(5);
  return o;
}

}  // namespace

struct EtcdTransport::Running {
  std::string method, request;
  Kind kind = Kind::kRead;
  Duration deadline{0};
  Callback done;
  size_t endpoint = 0;
  Duration sentAt{0};
  unsigned tries = 0;
  unsigned attempt = 0;  // an answer to an earlier one is not listened to
  bool sent = false;     // else it waits for its next attempt
  std::unique_ptr<async::Timer> timer;
  std::list<std::shared_ptr<Running>>::iterator self;
};

Result<std::unique_ptr<EtcdTransport>> EtcdTransport::make(async::Loop& loop, const EtcdOptions& options) {
  if (options.endpoints.empty()) return errors::badRequest("no etcd endpoint was given");
  std::shared_ptr<async::TlsContext> tls;
  std::unique_ptr<EtcdTransport> out(new EtcdTransport(loop));
  out->client_ = std::make_unique<http::Client>(loop, clientOptions());
  for (const std::string& text : options.endpoints) {
    bool bare = text.find("://") == std::string::npos;
    auto url = http::parseUrl(bare ? (options.caFile.empty() ? "http://" : "https://") + text : text);
    if (!url.ok()) return errors::badRequest("--etcd-servers: " + text + ": " + url.status().message());
    http::Endpoint endpoint;
    endpoint.host = url->host;
    if (endpoint.host.size() > 2 && endpoint.host.front() == '[') {
      endpoint.host = endpoint.host.substr(1, endpoint.host.size() - 2);
    }
    endpoint.port = url->port;
    if (url->tls) {
      if (!tls) {
        async::TlsClientOptions t;
        t.caFile = options.caFile;
        t.certificateFile = options.certificateFile;
        t.keyFile = options.keyFile;
        t.alpn = {"h2"};
        KM_ASSIGN(tls, async::TlsContext::client(t));
        // Connections that stand stay: etcd looks at a certificate when it is shown.
        out->tlsFiles_ = async::renewFromFiles(loop, tls, t);
      }
      endpoint.tls = tls;
    }
    out->channels_.push_back(std::make_unique<http::GrpcChannel>(*out->client_, std::move(endpoint)));
  }
  return out;
}

EtcdTransport::~EtcdTransport() {
  *alive_ = false;
  overseer_.reset();
  hurried_.reset();
  auto left = std::move(running_);
  running_.clear();
  for (auto& r : left) {
    GrpcResult result;
    result.status = {GrpcCode::kUnavailable, "the store is closed"};
    r->timer.reset();
    if (r->done) std::exchange(r->done, nullptr)(std::move(result));
  }
}

void EtcdTransport::call(std::string method, std::string request, Kind kind, Duration timeout, Callback done) {
  auto r = std::make_shared<Running>();
  r->method = std::move(method);
  r->request = std::move(request);
  r->kind = kind;
  r->deadline = now() + timeout;
  r->done = std::move(done);
  loop_.dispatch([this, r, timeout] {
    if (most_) r->deadline = now() + std::min(timeout, *most_);
    r->self = running_.insert(running_.end(), r);
    start(r);
  });
}

void EtcdTransport::callAt(size_t endpoint, std::string method, std::string request, Duration timeout, Callback done) {
  http::GrpcOptions o;
  o.timeout = timeout;
  o.maxMessage = kMaxMessage;
  channels_[endpoint]->unary(std::move(method), request, std::move(o), std::move(done));
}

void EtcdTransport::start(const std::shared_ptr<Running>& r) {
  Duration left = r->deadline - now();
  if (left <= Duration(0)) {
    GrpcResult late;
    late.status = {GrpcCode::kDeadlineExceeded, "context deadline exceeded"};
    return finish(r, std::move(late));
  }
  r->endpoint = current_;
  r->sentAt = now();
  r->sent = true;
  ++r->tries;
  http::GrpcOptions o;
  o.timeout = left;
  o.maxMessage = kMaxMessage;
  if (channels_.size() > 1) watchOver();
  channels_[current_]->unary(r->method, r->request, std::move(o),
                             [this, alive = alive_, r, attempt = ++r->attempt](GrpcResult result) {
                               if (*alive && r->done && r->attempt == attempt) answered(r, std::move(result));
                             });
}

void EtcdTransport::answered(const std::shared_ptr<Running>& r, GrpcResult result) {
  r->sent = false;
  const http::GrpcStatus& s = result.status;
  if (s.code != GrpcCode::kUnavailable) return finish(r, std::move(result));
  // Answers of a server that lives are no reason to leave it.
  if (!s.message.starts_with("etcdserver: ")) failed(r->endpoint);
  if (r->kind == Kind::kWrite && !s.unsent) return finish(r, std::move(result));
  Duration wait = std::min(kLastWait, kFirstWait * (1 << std::min<size_t>(r->tries / channels_.size(), 6)));
  if (now() + wait >= r->deadline) return finish(r, std::move(result));
  if (r->tries % channels_.size() != 0) return start(r);
  r->timer = std::make_unique<async::Timer>(loop_);
  r->timer->start(wait, [this, r] {
    auto keep = std::move(r->timer);
    start(r);
  });
}

void EtcdTransport::finish(const std::shared_ptr<Running>& r, GrpcResult result) {
  running_.erase(r->self);
  r->timer.reset();
  std::exchange(r->done, nullptr)(std::move(result));
}

void EtcdTransport::failed(size_t endpoint) {
  if (endpoint != current_ || channels_.size() == 1) return;
  current_ = (current_ + 1) % channels_.size();
  // Where all fail in turn, a line a second is enough.
  if (now() - loggedAt_ > std::chrono::seconds(1)) {
    loggedAt_ = now();
    KM_LOG(WARNING, "etcd endpoint {} failed; {} of {} is used now", endpoint + 1, current_ + 1, channels_.size());
  }
  // Reads need not wait for one that may never answer.
  std::vector<std::shared_ptr<Running>> again;
  for (auto& r : running_) {
    if (r->kind == Kind::kRead && r->sent && r->endpoint == endpoint) again.push_back(r);
  }
  for (auto& r : again) {
    loop_.defer([this, alive = alive_, r, attempt = r->attempt] {
      if (*alive && r->done && r->sent && r->attempt == attempt) start(r);
    });
  }
  if (moved_) moved_();
}

void EtcdTransport::hurry(Duration most) {
  most_ = most;
  for (auto& r : running_) r->deadline = std::min(r->deadline, now() + most);
  hurried_ = std::make_unique<async::Timer>(loop_);
  hurried_->start(most, [this] {
    std::vector<std::shared_ptr<Running>> late;
    for (auto& r : running_) {
      if (r->deadline <= now()) late.push_back(r);
    }
    for (auto& r : late) {
      GrpcResult result;
      result.status = {GrpcCode::kDeadlineExceeded, "context deadline exceeded"};
      if (r->done) finish(r, std::move(result));
    }
  });
}

// While calls run: one that is silent for long has its endpoint looked at.
void EtcdTransport::watchOver() {
  if (overseer_ && overseer_->armed()) return;
  if (!overseer_) overseer_ = std::make_unique<async::Timer>(loop_);
  overseer_->start(kOversee, [this] {
    if (running_.empty()) return;
    Duration old = now() - kSilence;
    bool silent = std::any_of(running_.begin(), running_.end(), [&](auto& r) {
      return r->sent && r->endpoint == current_ && r->sentAt < old;
    });
    if (silent && !probing_) probe();
    watchOver();
  });
}

void EtcdTransport::probe() {
  probing_ = true;
  callAt(current_, api::etcd_v3_rpc::MaintenanceMethods::Status, "", kSilence,
         [this, alive = alive_, endpoint = current_](GrpcResult result) {
           if (!*alive) return;
           probing_ = false;
           if (result.status.code == GrpcCode::kUnavailable || result.status.code == GrpcCode::kDeadlineExceeded) {
             failed(endpoint);
           }
         });
}

}  // namespace km::store
