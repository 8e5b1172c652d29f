#include "store/etcd_feed.h"

#include <algorithm>

#include "api/types/etcd_v3_rpc.h"
#include "base/log.h"
#include "store/mvcc.h"

namespace km::store {
namespace {

constexpr size_t kMaxMessage = size_t{1} << 30;
constexpr Duration kFirstWait = std::chrono::milliseconds(20), kLastWait = std::chrono::seconds(1);
// In which a new stream is confirmed, or another endpoint is tried.
constexpr Duration kConfirm = std::chrono::seconds(3);

}  // namespace

EtcdFeed::EtcdFeed(async::Loop& loop, EtcdTransport& transport, const EtcdKeys& keys, std::string key, std::string end,
                   Revision from, bool withPrev, Handler handler)
    : loop_(loop),
      transport_(transport),
      keys_(keys),
      key_(std::move(key)),
      end_(std::move(end)),
      withPrev_(withPrev),
      position_(from - 1),
      handler_(std::move(handler)),
      wait_(kFirstWait),
      downSince_(Clock::system().monotonic()) {}

bool EtcdFeed::flows(Duration grace) const {
  return established_ || Clock::system().monotonic() - downSince_ < grace;
}

void EtcdFeed::down() {
  if (std::exchange(established_, false)) downSince_ = Clock::system().monotonic();
}

void EtcdFeed::start() { open(); }

void EtcdFeed::stop() {
  stopped_ = true;
  if (stream_) stream_->cancel();
  stream_.reset();
  timer_.reset();
}

void EtcdFeed::reopen() {
  // Where no stream is, one is opened in a while: nothing is gained by haste against servers that refuse.
  if (!stopped_ && stream_) open();
}

void EtcdFeed::open() {
  if (stream_) stream_->cancel();
  down();
  unsigned generation = ++generation_;
  size_t endpoint = transport_.current();
  std::weak_ptr<EtcdFeed> weak = weak_from_this();
  http::GrpcOptions options;
  options.maxMessage = kMaxMessage;
  // A member cut off from its cluster ends the stream.
  options.metadata.add("hasleader", "true");
  http::GrpcStreamHandler handler;
  handler.onMessage = [weak, generation](std::string bytes) {
    auto self = weak.lock();
    if (self && !self->stopped_ && self->generation_ == generation) self->received(bytes);
  };
  handler.onEnd = [weak, generation, endpoint](const http::GrpcStatus& s) {
    auto self = weak.lock();
    if (!self || self->stopped_ || self->generation_ != generation) return;
    KM_VLOG(2, "etcd's watch ended: {}", s.str());
    if (s.code == http::GrpcCode::kPermissionDenied || s.code == http::GrpcCode::kUnauthenticated) {
      return self->end(etcdStatus(s));
    }
    self->stream_.reset();
    self->down();
    self->openLater();
    self->transport_.failed(endpoint);
  };
  stream_ = transport_.channel().open(api::etcd_v3_rpc::WatchMethods::Watch, std::move(options), std::move(handler));
  stream_->send(encodeEtcdWatch(key_, end_, position_ + 1, withPrev_));
  timer_ = std::make_unique<async::Timer>(loop_);
  timer_->start(kConfirm, [weak, generation, endpoint] {
    auto self = weak.lock();
    if (!self || self->stopped_ || self->generation_ != generation || self->established_) return;
    self->transport_.failed(endpoint);
    if (self->generation_ == generation) self->open();
  });
}

void EtcdFeed::openLater() {
  timer_ = std::make_unique<async::Timer>(loop_);
  timer_->start(wait_, [weak = weak_from_this()] {
    auto self = weak.lock();
    if (self && !self->stopped_) self->open();
  });
  wait_ = std::min(wait_ * 2, kLastWait);
}

void EtcdFeed::askProgress() {
  if (stream_ && established_) stream_->send(encodeEtcdProgressRequest());
}

void EtcdFeed::received(const std::string& bytes) {
  auto decoded = decodeEtcdWatch(bytes, keys_);
  if (!decoded.ok()) return end(decoded.status());
  EtcdWatchAnswer& answer = *decoded;
  if (answer.cancelled) {
    if (answer.compactRevision != 0) return end(compactedError());
    if (answer.cancelReason.find("permission denied") != std::string::npos) {
      return end(Status(500, "", answer.cancelReason));
    }
    KM_LOG(WARNING, "etcd ended a watch: {}", answer.cancelReason);
    stream_->cancel();
    stream_.reset();
    down();
    return openLater();
  }
  if (answer.created) {
    established_ = true;
    wait_ = kFirstWait;
    timer_.reset();
    return;
  }
  if (answer.events.empty()) {
    if (answer.revision <= position_) return;
    position_ = answer.revision;
    return handler_.onProgress(position_);
  }
  // What came before a connection broke is not given twice.
  std::erase_if(answer.events, [&](const auto& e) { return e->revision() <= position_; });
  if (answer.events.empty()) return;
  position_ = answer.events.back()->revision();
  handler_.onEvents(std::move(answer.events));
}

void EtcdFeed::end(const Status& why) {
  auto keep = shared_from_this();
  stop();
  handler_.onError(why);
}

}  // namespace km::store
