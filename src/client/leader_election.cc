#include "client/leader_election.h"

#include <condition_variable>
#include <mutex>
#include <thread>

#include "api/types/coordination_v1.h"
#include "base/log.h"
#include "base/rand.h"
#include "codec/ops.h"

namespace km::client {
namespace {

using api::coordination_v1::Lease;
using api::coordination_v1::LeaseSpec;

constexpr double kJitter = 1.2;

std::string holderOf(const LeaseSpec& s) { return s.holderIdentity ? s.holderIdentity->str() : ""; }

int32_t secondsOf(Duration d) { return static_cast<int32_t>(std::chrono::duration_cast<std::chrono::seconds>(d).count()); }

}  // namespace

struct LeaderElector::State {
  State(Client& c, LeaderElection o, LeaderCallbacks cb, Clock& k)
      : client(c), options(std::move(o)), callbacks(std::move(cb)), clock(k) {}

  Client& client;
  const LeaderElection options;
  const LeaderCallbacks callbacks;
  Clock& clock;

  mutable std::mutex mutex;
  std::condition_variable_any wake;
  std::shared_ptr<const Lease> observed;  // null: not seen yet
  Duration observedAt{0};
  std::string reported;

  Target at() const { return target(Lease::kType, options.ns, options.name); }

  std::string holder() const { return observed ? holderOf(observed->spec) : ""; }
  bool holds() const { return holder() == options.identity; }

  // With the lock.
  void observe(const ObjectPtr& object) {
    observed = api::share<Lease>(object);
    observedAt = clock.monotonic();
  }

  // Calls with an answer by `until` or none: a call that hangs must not keep the leader from giving up.
  template <typename Start>
  Result<ObjectPtr> call(Start start, Duration limit) {
    struct Wait {
      std::mutex mutex;
      std::condition_variable done;
      std::optional<Result<ObjectPtr>> answer;
    };
    auto wait = std::make_shared<Wait>();
    start([wait](Result<ObjectPtr> r) {
      std::lock_guard lock(wait->mutex);
      wait->answer.emplace(std::move(r));
      wait->done.notify_all();
    });
    std::unique_lock lock(wait->mutex);
    if (!wait->done.wait_for(lock, limit, [&] { return wait->answer.has_value(); })) {
      return errors::timeout("no answer within the renew deadline", 0);
    }
    return std::move(*wait->answer);
  }

  Result<ObjectPtr> write(Lease lease, bool fresh) {
    auto object = api::Object::of(std::move(lease));
    Target t = at();
    if (fresh) t.name.clear();
    return call(
        [&](ObjectCallback done) {
          fresh ? client.create(t, object, {}, std::move(done)) : client.update(t, object, {}, std::move(done));
        },
        options.renewDeadline);
  }

  bool tryAcquireOrRenew() {
    codec::MicroTime now(clock.now());
    Lease mine;
    mine.metadata.name = options.name;
    mine.metadata.namespace_ = options.ns;
    mine.spec.holderIdentity = codec::String(options.identity);
    mine.spec.leaseDurationSeconds = secondsOf(options.leaseDuration);
    mine.spec.acquireTime = now;
    mine.spec.renewTime = now;
    mine.spec.leaseTransitions = 0;

    std::shared_ptr<const Lease> old;
    {
      std::lock_guard lock(mutex);
      old = observed;
    }
    // The fast path of a leader: its last version is still the newest, most likely.
    if (old && holderOf(old->spec) == options.identity && !expired()) {
      if (auto r = update(*old, mine); r.ok()) return true;
    }
    auto got = call([&](ObjectCallback done) { client.get(at(), std::move(done)); }, options.renewDeadline);
    if (!got.ok()) {
      if (got.status().code() != 404) {
        KM_LOG(ERROR, "error retrieving resource lock {}/{}: {}", options.ns, options.name, got.status().message());
        return false;
      }
      auto made = write(std::move(mine), true);
      if (!made.ok()) {
        KM_LOG(ERROR, "error initially creating lease lock: {}", made.status().message());
        return false;
      }
      std::lock_guard lock(mutex);
      observe(*made);
      return true;
    }
    {
      std::lock_guard lock(mutex);
      if (!observed || !codec::equal(&observed->spec, &(*got)->as<Lease>().spec, LeaseSpec::kType)) {
        observe(*got);
      } else {
        observed = api::share<Lease>(*got);  // a version without a renewal does not restart the wait
      }
      old = observed;
    }
    std::string holder = holderOf(old->spec);
    if (!holder.empty() && holder != options.identity && !expired()) {
      KM_VLOG(4, "lock is held by {} and has not yet expired", holder);
      return false;
    }
    auto r = update(*old, mine);
    if (!r.ok()) KM_LOG(ERROR, "Failed to update lease {}/{}: {}", options.ns, options.name, r.status().message());
    return r.ok();
  }

  // Whether the lease ran out since this process saw it change.
  bool expired() const {
    std::lock_guard lock(mutex);
    int32_t lasts = observed && observed->spec.leaseDurationSeconds ? *observed->spec.leaseDurationSeconds
                                                                    : secondsOf(options.leaseDuration);
    return observedAt + std::chrono::seconds(lasts) <= clock.monotonic();
  }

  Result<ObjectPtr> update(const Lease& old, const Lease& mine) {
    Lease next = old;
    int32_t transitions = old.spec.leaseTransitions.value_or(0);
    bool kept = holderOf(old.spec) == options.identity;
    next.spec.holderIdentity = mine.spec.holderIdentity;
    next.spec.leaseDurationSeconds = mine.spec.leaseDurationSeconds;
    next.spec.renewTime = mine.spec.renewTime;
    next.spec.acquireTime = kept ? old.spec.acquireTime : mine.spec.acquireTime;
    next.spec.leaseTransitions = kept ? transitions : transitions + 1;
    auto r = write(std::move(next), false);
    if (r.ok()) {
      std::lock_guard lock(mutex);
      observe(*r);
    }
    return r;
  }

  bool release() {
    std::shared_ptr<const Lease> old;
    {
      std::lock_guard lock(mutex);
      if (!holds()) return true;
      old = observed;
    }
    Lease next = *old;
    codec::MicroTime now(clock.now());
    next.spec.holderIdentity = codec::String();
    next.spec.leaseDurationSeconds = 1;
    next.spec.acquireTime = now;
    next.spec.renewTime = now;
    auto r = write(std::move(next), false);
    if (!r.ok()) {
      KM_LOG(ERROR, "Failed to release lease {}/{}: {}", options.ns, options.name, r.status().message());
      return false;
    }
    std::lock_guard lock(mutex);
    observe(*r);
    return true;
  }

  void reportHolder() {
    std::string now;
    {
      std::lock_guard lock(mutex);
      now = holder();
      if (now == reported) return;
      reported = now;
    }
    if (callbacks.onNewLeader) callbacks.onNewLeader(now);
  }

  // False if the stop came first.
  bool sleep(Duration wait, std::stop_token stop) {
    std::unique_lock lock(mutex);
    wake.wait_for(lock, stop, wait, [] { return false; });
    return !stop.stop_requested();
  }

  bool acquire(std::stop_token stop) {
    while (!stop.stop_requested()) {
      bool got = tryAcquireOrRenew();
      reportHolder();
      if (got) return true;
      double factor = 1 + kJitter * randomFraction();
      if (!sleep(Duration(static_cast<int64_t>(static_cast<double>(options.retryPeriod.count()) * factor)), stop)) break;
    }
    return false;
  }

  void renew(std::stop_token stop) {
    Duration last = clock.monotonic();
    while (sleep(options.retryPeriod, stop)) {
      bool kept = tryAcquireOrRenew();
      reportHolder();
      Duration now = clock.monotonic();
      if (kept) {
        last = now;
      } else if (now - last >= options.renewDeadline || !stillHolds()) {
        KM_LOG(INFO, "failed to renew lease {}/{}: timed out waiting for the condition", options.ns, options.name);
        return;
      }
    }
  }

  bool stillHolds() const {
    std::lock_guard lock(mutex);
    return holds();
  }
};

LeaderElector::LeaderElector(Client& client, LeaderElection options, LeaderCallbacks callbacks, Clock& clock)
    : state_(std::make_unique<State>(client, std::move(options), std::move(callbacks), clock)) {}

LeaderElector::~LeaderElector() = default;

void LeaderElector::run(std::stop_token stop) {
  State& s = *state_;
  KM_LOG(INFO, "attempting to acquire leader lease {}/{}...", s.options.ns, s.options.name);
  if (s.acquire(stop)) {
    KM_LOG(INFO, "successfully acquired lease {}/{}", s.options.ns, s.options.name);
    std::jthread leading([&](std::stop_token token) {
      if (s.callbacks.onStartedLeading) s.callbacks.onStartedLeading(token);
    });
    s.renew(stop);
    leading.request_stop();
    leading.join();
    if (s.options.releaseOnStop) s.release();
  }
  if (s.callbacks.onStoppedLeading) s.callbacks.onStoppedLeading();
}

bool LeaderElector::isLeader() const { return state_->stillHolds(); }

std::string LeaderElector::leader() const {
  std::lock_guard lock(state_->mutex);
  return state_->holder();
}

bool LeaderElector::isStale(Duration tolerance) const {
  std::lock_guard lock(state_->mutex);
  return state_->holds() && state_->clock.monotonic() - state_->observedAt > state_->options.leaseDuration + tolerance;
}

bool LeaderElector::tryAcquireOrRenew() {
  bool got = state_->tryAcquireOrRenew();
  state_->reportHolder();
  return got;
}

bool LeaderElector::release() { return state_->release(); }

}  // namespace km::client
