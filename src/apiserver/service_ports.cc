#include "apiserver/service_ports.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>

#include "api/types/core_v1.h"
#include "base/log.h"
#include "codec/proto.h"
#include "registry/registry.h"

namespace km::apiserver {
namespace {

using api::core_v1::RangeAllocation;
using api::core_v1::Service;

constexpr std::string_view kKey = "/registry/ranges/servicenodeports";

std::set<int> portsOf(const api::Object* o) {
  std::set<int> out;
  if (o == nullptr) return out;
  const auto& spec = o->as<Service>().spec;
  for (const auto& p : spec.ports) out.insert(p.nodePort);
  out.insert(spec.healthCheckNodePort);
  out.erase(0);
  return out;
}

std::set<int> minus(std::set<int> a, const std::set<int>& b) {
  for (int p : b) a.erase(p);
  return a;
}

// A big number, its highest byte first; bit i stands for the range's port i.
std::string toBits(const std::set<int>& ports, int first) {
  std::string bits;
  if (ports.empty()) return bits;
  bits.resize(static_cast<size_t>(*ports.rbegin() - first) / 8 + 1, '\0');
  for (int p : ports) {
    size_t bit = static_cast<size_t>(p - first);
    char& byte = bits[bits.size() - 1 - bit / 8];
    byte = static_cast<char>(byte | 1 << bit % 8);
  }
  return bits;
}

std::set<int> fromBits(std::string_view bits, int first) {
  std::set<int> ports;
  for (size_t bit = 0; bit < bits.size() * 8; ++bit) {
    if ((bits[bits.size() - 1 - bit / 8] >> bit % 8 & 1) != 0) ports.insert(first + static_cast<int>(bit));
  }
  return ports;
}

}  // namespace

std::set<int> ServicePorts::inRange(std::set<int> ports) const {
  std::erase_if(ports, [&](int p) { return p < first_ || p > last_; });
  return ports;
}

// What the key holds is newer the higher its revision; an absent key is as new as the look at it.
void ServicePorts::see(const std::optional<store::KeyValue>& kv, store::Revision revision) {
  State now;
  if (kv && kv->value) {
    now.revision = kv->modRevision;
    auto envelope = codec::openEnvelope(*kv->value);
    RangeAllocation r;
    if (envelope.ok() && codec::decodeProto(envelope->raw, &r, RangeAllocation::kType).ok()) {
      // Of another range: its bits say nothing here.
      if (r.range == fmt::format("{}-{}", first_, last_)) now.ports = fromBits(r.data, first_);
    }
  }
  std::lock_guard lock(mutex_);
  if (now.revision >= state_.revision || (!kv && revision > state_.revision)) state_ = std::move(now);
}

Status ServicePorts::start(std::span<const api::ObjectPtr> services) {
  KM_ASSIGN(store::Revision revision, store_.currentRevision());
  KM_ASSIGN(auto kv, store_.get(kKey));
  see(kv, revision);
  watch_ = store_.watch(std::string(kKey), revision + 1, *this);
  std::set<int> wanted;
  for (const auto& s : services) wanted.merge(portsOf(s.get()));
  wanted = inRange(std::move(wanted));
  {
    std::lock_guard lock(mutex_);
    lost_ = minus(state_.ports, wanted);
    wanted = minus(std::move(wanted), state_.ports);
  }
  if (wanted.empty()) return {};
  return changeAndWait(Change::kTakeAnyway, std::move(wanted));
}

void ServicePorts::freeLost(std::span<const api::ObjectPtr> services) {
  for (const auto& s : services) lost_ = minus(std::move(lost_), portsOf(s.get()));
  if (lost_.empty()) return;
  Status s = changeAndWait(Change::kFree, std::exchange(lost_, {}));
  if (!s.ok()) KM_LOG(WARNING, "free node ports: {}", s.message());
}

void ServicePorts::onEvents(std::span<const store::EventPtr> events) {
  for (const store::EventPtr& e : events) {
    bool put = e->type == store::EventType::kPut;
    see(put ? std::optional(e->kv) : std::nullopt, e->revision());
  }
}

// A claim that fails looks at the key itself: so nothing is lost but a guess.
void ServicePorts::onError(const Status& status) {
  KM_LOG(WARNING, "node ports are not followed any more: {}", status.message());
}

bool ServicePorts::isTaken(int port) const {
  std::lock_guard lock(mutex_);
  return state_.ports.count(port) != 0;
}

Status ServicePorts::changeAndWait(Change kind, std::set<int> ports) {
  auto done = std::make_shared<std::promise<Status>>();
  change(kind, std::move(ports), [done](Status s) { done->set_value(std::move(s)); });
  return done->get_future().get();
}

void ServicePorts::change(Change kind, std::set<int> ports, std::function<void(Status)> next) {
  State now;
  {
    std::lock_guard lock(mutex_);
    now = state_;
  }
  for (int p : ports) {
    if (kind == Change::kFree) {
      now.ports.erase(p);
    } else if (!now.ports.insert(p).second && kind == Change::kTake) {
      return next(Status(409, registry::kTakenElsewhere, fmt::format("node port {} is taken", p)));
    }
  }
  RangeAllocation r;
  r.range = fmt::format("{}-{}", first_, last_);
  r.data = toBits(now.ports, first_);
  auto bytes = std::make_shared<std::string>();
  codec::encodeEnveloped(*bytes, &r, RangeAllocation::kType, "v1");
  auto txn = store::Txn::update(std::string(kKey), now.revision, std::move(bytes));
  store_.commit(std::move(txn), [this, kind, ports = std::move(ports),
                                 next = std::move(next)](Result<store::TxnResult> result) mutable {
    if (!result.ok()) return next(result.status());
    see(result->kv, result->revision);
    // Another write came between.
    result->succeeded ? next({}) : change(kind, std::move(ports), std::move(next));
  });
}

void ServicePorts::claim(const api::Object& service, const api::Object* old, std::function<void(Status)> next) {
  std::set<int> ports = inRange(minus(portsOf(&service), portsOf(old)));
  if (ports.empty()) return next({});
  change(Change::kTake, std::move(ports), std::move(next));
}

void ServicePorts::release(const api::Object& service, const api::Object* other, std::function<void()> next) {
  std::set<int> ports = inRange(minus(portsOf(&service), portsOf(other)));
  if (ports.empty()) return next();
  change(Change::kFree, std::move(ports), [next = std::move(next)](Status s) {
    if (!s.ok()) KM_LOG(WARNING, "free node ports: {}", s.message());
    next();
  });
}

}  // namespace km::apiserver
