#include "store/etcd_store.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <future>

#include "api/types/etcd_v3_rpc.h"
#include "base/log.h"
#include "codec/proto.h"

namespace km::store {

namespace rpc = api::etcd_v3_rpc;
using Kind = EtcdTransport::Kind;
using http::GrpcResult;

namespace {

constexpr int64_t kPage = 1000;  // keys of one answer: whole resources may hold gigabytes
constexpr Duration kStopWait = std::chrono::seconds(5), kHurry = std::chrono::seconds(1);
constexpr Duration kVersionTimeout = std::chrono::seconds(2);

// A read of one key that need not be there: upstream's choice for looking after etcd's health.
RangeRequest healthKey() {
  RangeRequest one;
  one.start = "/registry/health";
  one.end = one.start + '\0';
  one.countOnly = true;
  return one;
}

Status badAnswer(const Status& why) { return Status(500, "", "etcd's answer cannot be read: " + why.message()); }

}  // namespace

bool etcdTellsProgress(std::string_view version) {
  int major = 0, minor = 0, patch = 0;
  if (std::sscanf(std::string(version).c_str(), "%d.%d.%d", &major, &minor, &patch) != 3) return false;
  if (major != 3) return major > 3;
  if (minor == 4) return patch >= 31;
  return minor == 5 ? patch >= 13 : minor > 5;
}

struct EtcdStore::Writing {
  Txn txn;
  Callback<TxnResult> done;
  std::optional<Result<TxnResult>> result;  // once etcd has answered
  Duration since{0};                        // when it did
  bool seen = false;                        // its event was given
};

Result<std::unique_ptr<Store>> openEtcd(const EtcdOptions& options) {
  KM_ASSIGN(auto store, EtcdStore::open(options));
  return std::unique_ptr<Store>(std::move(store));
}

EtcdStore::EtcdStore(const EtcdOptions& options) : options_(options), keys_(options.prefix) {}

Result<std::unique_ptr<EtcdStore>> EtcdStore::open(const EtcdOptions& options) {
  std::unique_ptr<EtcdStore> store(new EtcdStore(options));
  KM_ASSIGN(store->transport_, EtcdTransport::make(store->loop_, options));
  store->loop_.start("km-etcd");
  KM_TRY(store->connect());
  return store;
}

Status EtcdStore::connect() {
  auto ready = callAndWait(rpc::KVMethods::Range, encodeEtcdRange(healthKey(), keys_));
  // Whoever may not read that key is answered all the same.
  if (!ready.status.ok() && ready.status.code != http::GrpcCode::kPermissionDenied) {
    return errors::failed(
        fmt::format("etcd at {} does not answer: {}", fmt::join(options_.endpoints, ","), ready.status.message));
  }
  bool progress = true;
  std::string versions;
  std::vector<std::future<GrpcResult>> asked;
  for (size_t i = 0; i < transport_->endpoints(); ++i) {
    auto promise = std::make_shared<std::promise<GrpcResult>>();
    asked.push_back(promise->get_future());
    loop_.post([this, i, promise] {
      transport_->callAt(i, rpc::MaintenanceMethods::Status, "", kVersionTimeout,
                         [promise](GrpcResult r) { promise->set_value(std::move(r)); });
    });
  }
  for (auto& one : asked) {
    GrpcResult r = one.get();
    if (!r.status.ok()) continue;
    auto status = codec::fromProto<rpc::StatusResponse>(r.message);
    std::string version = status.ok() ? status->version.str() : "";
    progress = progress && etcdTellsProgress(version);
    versions += (versions.empty() ? "" : ",") + version;
  }
  if (versions.empty()) progress = false;
  logInfo("Connected to etcd", {{"servers", fmt::format("{}", fmt::join(options_.endpoints, ","))},
                                {"versions", versions},
                                {"progressRequests", progress ? "yes" : "no"}});
  auto fresh = [this](Callback<Revision> done) { freshRevision(std::move(done)); };
  hub_ = std::make_unique<EtcdHub>(EtcdHub::Parts{loop_, *transport_, keys_, progress, fresh,
                                                  [this](Event& e) { attach(e); },
                                                  [this](Revision r) { advanced(r); }});
  auto grant = [this](int64_t ttl, Callback<LeaseId> done) { leaseGrant(ttl, std::move(done)); };
  leases_ = std::make_unique<EtcdLeases>(grant, Clock::system());
  loop_.post([this] {
    transport_->onMove([this] { hub_->reopen(); });
  });
  return {};
}

EtcdStore::~EtcdStore() {
  {
    std::unique_lock lock(mutex_);
    quiet_.wait_for(lock, kStopWait, [&] { return writes_ == 0; });
  }
  std::promise<void> closed;
  loop_.post([&] {
    hub_.reset();
    sweeper_.reset();
    auto waiting = std::move(awaitingEvent_);
    awaitingEvent_.clear();
    for (auto& [revision, w] : waiting) finishWrite(w);
    transport_.reset();
    auto asked = std::move(revisionAsked_);
    revisionAsked_.clear();
    for (auto& done : asked) done(errors::serviceUnavailable("the store is closed"));
    writings_.clear();
    closed.set_value();
  });
  closed.get_future().wait();
  loop_.stop();
  loop_.join();
}

GrpcResult EtcdStore::callAndWait(std::string method, std::string request) {
  auto promise = std::make_shared<std::promise<GrpcResult>>();
  auto future = promise->get_future();
  transport_->call(std::move(method), std::move(request), Kind::kRead, options_.timeout,
                   [promise](GrpcResult r) { promise->set_value(std::move(r)); });
  return future.get();
}

// --- writes -------------------------------------------------------------------------------------------

void EtcdStore::commit(Txn txn, Callback<TxnResult> done) {
  std::string request = encodeEtcdTxn(txn, keys_);
  auto w = std::make_shared<Writing>();
  w->txn = std::move(txn);
  w->done = std::move(done);
  ++transactions_;
  {
    std::lock_guard lock(mutex_);
    ++writes_;
  }
  loop_.dispatch([this, w, request = std::move(request)]() mutable {
    if (w->txn.attachment) writings_.emplace(w->txn.key, w);
    transport_->call(rpc::KVMethods::Txn, std::move(request), Kind::kWrite, options_.timeout,
                     [this, w](GrpcResult r) { written(w, std::move(r)); });
  });
}

void EtcdStore::written(const WritingPtr& w, GrpcResult answer) {
  if (!answer.status.ok()) {
    w->result = etcdStatus(answer.status);
  } else {
    auto result = decodeEtcdTxn(answer.message, w->txn, keys_);
    w->result = result.ok() ? std::move(result) : Result<TxnResult>(badAnswer(result.status()));
  }
  bool wrote = w->result->ok() && (*w->result)->succeeded && ((*w->result)->kv || w->txn.op == Txn::Op::kPut);
  if (!wrote || !hub_ || (*w->result)->revision <= hub_->position() || !hub_->flows() || !hub_->covers(w->txn.key)) {
    forgetWrite(w);
    return finishWrite(w);
  }
  w->since = Clock::system().monotonic();
  awaitingEvent_.emplace((*w->result)->revision, w);
  sweepWaiting();
}

void EtcdStore::finishWrite(const WritingPtr& w) {
  auto done = std::exchange(w->done, nullptr);
  if (!done) return;
  done(std::move(*w->result));
  std::lock_guard lock(mutex_);
  if (--writes_ == 0) quiet_.notify_all();
}

void EtcdStore::forgetWrite(const WritingPtr& w) {
  auto [first, last] = writings_.equal_range(w->txn.key);
  for (auto it = first; it != last; ++it) {
    if (it->second != w) continue;
    writings_.erase(it);
    return;
  }
}

// The event of a write of ours gets its object. It may come before the answer: then equal bytes say which one
// it is, and an object of equal bytes is equal.
void EtcdStore::attach(Event& event) {
  if (writings_.empty() || event.type != EventType::kPut) return;
  auto [first, last] = writings_.equal_range(event.kv.key);
  for (auto it = first; it != last; ++it) {
    Writing& w = *it->second;
    bool ours = w.result ? w.result->ok() && (*w.result)->revision == event.kv.modRevision
                         : *w.txn.value == *event.kv.value;
    if (!ours) continue;
    event.kv.value = w.txn.value;
    event.attachment = std::move(w.txn.attachment);
    writings_.erase(it);
    return;
  }
}

void EtcdStore::advanced(Revision revision) {
  while (!awaitingEvent_.empty() && awaitingEvent_.begin()->first <= revision) {
    WritingPtr w = awaitingEvent_.begin()->second;
    awaitingEvent_.erase(awaitingEvent_.begin());
    forgetWrite(w);
    finishWrite(w);
  }
}

// A watch that is slow does not hold an acknowledged write for longer than said.
void EtcdStore::sweepWaiting() {
  if (!sweeper_) sweeper_ = std::make_unique<async::Timer>(loop_);
  if (sweeper_->armed()) return;
  sweeper_->start(kEventWait / 4, [this] {
    Duration old = Clock::system().monotonic() - kEventWait;
    while (!awaitingEvent_.empty() && (awaitingEvent_.begin()->second->since < old || !hub_->flows())) {
      WritingPtr w = awaitingEvent_.begin()->second;
      awaitingEvent_.erase(awaitingEvent_.begin());
      forgetWrite(w);
      finishWrite(w);
    }
    if (!awaitingEvent_.empty()) sweepWaiting();
  });
}

// --- reads --------------------------------------------------------------------------------------------

Result<std::optional<KeyValue>> EtcdStore::get(std::string_view key) {
  RangeRequest one;
  one.start = key;
  one.end = std::string(key) + '\0';
  KM_ASSIGN(RangeResult result, rangeOnce(one));
  std::optional<KeyValue> found;
  if (!result.kvs.empty()) found = std::move(result.kvs[0]);
  return found;
}

Result<RangeResult> EtcdStore::rangeOnce(const RangeRequest& request) {
  GrpcResult r = callAndWait(rpc::KVMethods::Range, encodeEtcdRange(request, keys_));
  if (!r.status.ok()) return etcdStatus(r.status);
  auto result = decodeEtcdRange(r.message, keys_);
  if (!result.ok()) return badAnswer(result.status());
  if (request.revision > 0) result->revision = request.revision;
  return result;
}

// Page by page, all at the revision of the first.
Result<RangeResult> EtcdStore::range(const RangeRequest& request) {
  if (request.countOnly || request.keysOnly || (request.limit > 0 && request.limit <= kPage)) return rangeOnce(request);
  RangeRequest page = request;
  page.limit = kPage;
  KM_ASSIGN(RangeResult all, rangeOnce(page));
  while (all.more) {
    int64_t have = static_cast<int64_t>(all.kvs.size());
    if (request.limit > 0 && have >= request.limit) break;
    page.revision = all.revision;
    page.start = all.kvs.back().key + '\0';
    page.limit = request.limit > 0 ? std::min(kPage, request.limit - have) : kPage;
    KM_ASSIGN(RangeResult next, rangeOnce(page));
    if (next.kvs.empty()) next.more = false;
    std::move(next.kvs.begin(), next.kvs.end(), std::back_inserter(all.kvs));
    all.more = next.more;
  }
  return all;
}

Result<Revision> EtcdStore::currentRevision() {
  auto promise = std::make_shared<std::promise<Result<Revision>>>();
  auto future = promise->get_future();
  freshRevision([promise](Result<Revision> r) { promise->set_value(std::move(r)); });
  return future.get();
}

void EtcdStore::freshRevision(Callback<Revision> done) {
  loop_.dispatch([this, done = std::move(done)]() mutable {
    if (!transport_) return done(errors::serviceUnavailable("the store is closed"));
    revisionAsked_.push_back(std::move(done));
    if (!revisionRunning_) readRevision();
  });
}

// Whoever asks while a request is under way waits for the next: the one under way may be older than what it
// must see.
void EtcdStore::readRevision() {
  revisionRunning_ = true;
  auto asked = std::make_shared<std::vector<Callback<Revision>>>(std::move(revisionAsked_));
  revisionAsked_.clear();
  transport_->call(rpc::KVMethods::Range, encodeEtcdRange(healthKey(), keys_), Kind::kRead, options_.timeout,
                   [this, asked](GrpcResult r) {
                     revisionRunning_ = false;
                     Result<Revision> result = Revision{0};
                     if (!r.status.ok()) {
                       result = etcdStatus(r.status);
                     } else if (auto range = decodeEtcdRange(r.message, keys_); range.ok()) {
                       result = range->revision;
                     } else {
                       result = badAnswer(range.status());
                     }
                     if (!revisionAsked_.empty() && transport_) readRevision();
                     for (auto& done : *asked) done(result);
                   });
}

// --- the rest -----------------------------------------------------------------------------------------

std::unique_ptr<Watch> EtcdStore::watch(std::string prefix, Revision fromRevision, WatchSink& sink) {
  return hub_->watch(std::move(prefix), fromRevision, sink);
}

void EtcdStore::compact(Revision revision, Done done) {
  rpc::CompactionRequest request;
  request.revision = revision;
  transport_->call(rpc::KVMethods::Compact, codec::toProto(request), Kind::kWrite, options_.timeout,
                   [done = std::move(done)](GrpcResult r) { done(etcdStatus(r.status)); });
}

void EtcdStore::leaseGrant(int64_t ttlSeconds, Callback<LeaseId> done) {
  rpc::LeaseGrantRequest request;
  request.TTL = ttlSeconds;
  transport_->call(rpc::LeaseMethods::LeaseGrant, codec::toProto(request), Kind::kWrite, options_.timeout,
                   [done = std::move(done)](GrpcResult r) {
                     if (!r.status.ok()) return done(etcdStatus(r.status));
                     auto response = codec::fromProto<rpc::LeaseGrantResponse>(r.message);
                     if (!response.ok()) return done(badAnswer(response.status()));
                     done(response->ID);
                   });
}

void EtcdStore::leaseRevoke(LeaseId lease, Done done) {
  rpc::LeaseRevokeRequest request;
  request.ID = lease;
  transport_->call(rpc::LeaseMethods::LeaseRevoke, codec::toProto(request), Kind::kWrite, options_.timeout,
                   [done = std::move(done)](GrpcResult r) { done(etcdStatus(r.status)); });
}

void EtcdStore::leaseForKey(int64_t ttlSeconds, Callback<LeaseId> done) {
  loop_.dispatch([this, ttlSeconds, done = std::move(done)]() mutable { leases_->get(ttlSeconds, std::move(done)); });
}

void EtcdStore::probe(Duration timeout, Done done) {
  transport_->call(rpc::KVMethods::Range, encodeEtcdRange(healthKey(), keys_), Kind::kRead, timeout,
                   [done = std::move(done)](GrpcResult r) {
                     bool answered = r.status.ok() || r.status.code == http::GrpcCode::kPermissionDenied;
                     done(answered ? Status() : etcdStatus(r.status));
                   });
}

void EtcdStore::hurry() {
  loop_.post([this] {
    if (transport_) transport_->hurry(kHurry);
  });
}

Status EtcdStore::backup(const std::string&) {
  return errors::failed("etcd makes its own backups: etcdctl snapshot save FILE");
}

Stats EtcdStore::stats() {
  Stats s;
  s.watches = hub_->watches();
  s.revision = hub_->position();
  s.transactions = transactions_;
  GrpcResult r = callAndWait(rpc::MaintenanceMethods::Status, "");
  if (auto status = codec::fromProto<rpc::StatusResponse>(r.message); r.status.ok() && status.ok()) {
    s.bytesOnDisk = status->dbSize;
  }
  if (auto range = this->range(RangeRequest{.start = "/registry/", .end = "/registry0", .countOnly = true}); range.ok()) {
    s.keys = range->count;
    s.revision = std::max(s.revision, range->revision);
  }
  return s;
}

}  // namespace km::store
