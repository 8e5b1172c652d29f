#include "apiserver/server_endpoints.h"

#include <future>
#include <set>

#include "api/types/core_v1.h"
#include "api/types/discovery_v1.h"
#include "api/types/meta_v1.h"
#include "base/log.h"
#include "codec/proto.h"

namespace km::apiserver {
namespace {

constexpr std::string_view kPrefix = "/registry/masterleases/";
constexpr Duration kStopWait = std::chrono::seconds(1);
constexpr int kAttempts = 5;  // against other servers that write the same objects

CallPtr callFor(Operations& operations, std::string_view group, std::string_view resource, std::string_view verb) {
  auto call = std::make_shared<Call>();
  call->served = operations.resources().find(group, "v1", resource);
  call->verb = verb;
  call->ns = "default";
  call->name = "kubernetes";
  call->user.name = "system:apiserver";
  call->user.groups = {"system:masters", "system:authenticated"};
  call->fieldManager = "kube-apiserver";
  return call;
}

api::MutableObject endpointsOf(const std::set<std::string>& addresses, int port) {
  api::core_v1::Endpoints e;
  e.metadata.name = "kubernetes";
  e.metadata.namespace_ = "default";
  e.metadata.labels["endpointslice.kubernetes.io/skip-mirror"] = "true";
  auto& subset = e.subsets.add();
  for (const std::string& a : addresses) subset.addresses.add().ip = a;
  auto& p = subset.ports.add();
  p.name = "https";
  p.port = port;
  p.protocol = "TCP";
  return api::Object::of(std::move(e));
}

api::MutableObject sliceOf(const std::set<std::string>& addresses, int port) {
  api::discovery_v1::EndpointSlice s;
  s.metadata.name = "kubernetes";
  s.metadata.namespace_ = "default";
  s.metadata.labels["kubernetes.io/service-name"] = "kubernetes";
  s.addressType = addresses.begin()->find(':') == std::string::npos ? "IPv4" : "IPv6";
  for (const std::string& a : addresses) {
    auto& endpoint = s.endpoints.add();
    endpoint.addresses.push_back(a);
    endpoint.conditions.ready = true;
  }
  auto& p = s.ports.add();
  p.name = codec::String("https");
  p.protocol = codec::String("TCP");
  p.port = port;
  return api::Object::of(std::move(s));
}

}  // namespace

ServerEndpoints::ServerEndpoints(Operations& operations, store::Store& store, async::Loop& loop,
                                 client::WorkerPool& pool, std::string address, int port)
    : operations_(operations), store_(store), loop_(loop), pool_(pool), address_(std::move(address)), port_(port) {}

std::string ServerEndpoints::key() const { return std::string(kPrefix) + address_; }

Status ServerEndpoints::start() {
  {
    std::lock_guard lock(mutex_);
    KM_TRY(renew());
    KM_TRY(reconcile());
  }
  loop_.post([self = shared_from_this()] { self->schedule(); });
  return {};
}

void ServerEndpoints::schedule() {
  if (!timer_) timer_ = std::make_unique<async::Timer>(loop_);
  timer_->start(kInterval, [weak = weak_from_this()] {
    auto self = weak.lock();
    if (!self) return;
    self->pool_.post([self] {
      std::lock_guard lock(self->mutex_);
      if (self->stopped_) return;
      Status s = self->renew();
      if (s.ok()) s = self->reconcile();
      if (!s.ok()) KM_LOG(WARNING, "the endpoints of kubernetes: {}", s.message());
    });
    self->schedule();
  });
}

void ServerEndpoints::stop() {
  std::promise<void> cancelled;
  loop_.post([&] {
    timer_.reset();
    cancelled.set_value();
  });
  cancelled.get_future().wait();
  // Where the store does not answer the lease ends by itself, and nobody waits for this server.
  auto answers = std::make_shared<std::promise<Status>>();
  store_.probe(kStopWait, [answers](Status s) { answers->set_value(std::move(s)); });
  bool reachable = answers->get_future().get().ok();
  std::lock_guard lock(mutex_);
  stopped_ = true;
  if (!reachable) return;
  auto gone = store::commitAndWait(store_, store::Txn::eraseAny(key()));
  Status s = gone.ok() ? reconcile() : gone.status();
  if (!s.ok()) KM_LOG(WARNING, "the endpoints of kubernetes: {}", s.message());
}

Status ServerEndpoints::renew() {
  KM_ASSIGN(store::LeaseId lease, store::leaseGrantAndWait(store_, kTtlSeconds));
  api::core_v1::Endpoints e;
  e.subsets.add().addresses.add().ip = address_;
  e.metadata.generation = ++generation_;  // so that each renewal is a change
  auto bytes = std::make_shared<std::string>();
  codec::encodeEnveloped(*bytes, &e, api::core_v1::Endpoints::kType, "v1");
  return store::commitAndWait(store_, store::Txn::put(key(), std::move(bytes), lease)).status();
}

Status ServerEndpoints::reconcile() {
  store::RangeRequest all = store::RangeRequest::prefix(kPrefix);
  all.keysOnly = true;
  KM_ASSIGN(store::RangeResult leases, store_.range(all));
  std::set<std::string> addresses;
  for (const store::KeyValue& kv : leases.kvs) addresses.insert(kv.key.substr(kPrefix.size()));
  // The last one to go leaves its place written: an empty list would help nobody.
  if (addresses.empty()) return {};
  KM_TRY(write("", "endpoints", endpointsOf(addresses, port_), "subsets"));
  return write("discovery.k8s.io", "endpointslices", sliceOf(addresses, port_), "endpoints");
}

Status ServerEndpoints::write(std::string_view group, std::string_view resource, api::MutableObject wanted,
                              std::string_view part) {
  registry::Registry& registry = *operations_.resources().registry(group, resource);
  registry.strategy().setDefaults(*wanted);
  Status last;
  for (int i = 0; i < kAttempts; ++i) {
    auto promise = std::make_shared<std::promise<Status>>();
    auto done = [promise](const Status& s) { promise->set_value(s); };
    auto answered = promise->get_future();
    auto seen = std::make_shared<std::promise<Result<api::ObjectPtr>>>();
    registry.get("default", "kubernetes", [seen](Result<api::ObjectPtr> o) { seen->set_value(std::move(o)); });
    auto existing = seen->get_future().get();
    if (!existing.ok() && !existing.status().is("NotFound")) return existing.status();
    if (!existing.ok()) {
      operations_.create(callFor(operations_, group, resource, "create"), wanted->clone(),
                         [done](Result<api::ObjectPtr> r) { done(r.status()); });
    } else {
      if (registry::samePart(**existing, *wanted, part) && registry::samePart(**existing, *wanted, "ports")) return {};
      api::MutableObject next = (*existing)->clone();
      registry::copyPart(*next, *wanted, part);
      registry::copyPart(*next, *wanted, "ports");
      operations_.update(callFor(operations_, group, resource, "update"), std::move(next),
                         [done](Result<registry::UpdateResult> r) { done(r.status()); });
    }
    last = answered.get();
    if (!last.is("Conflict") && !last.is("AlreadyExists")) return last;
  }
  return last;
}

}  // namespace km::apiserver
