// ResourceQuota: refuses what would go beyond a quota of its namespace, and books what is let through in the quotas' status.
//
// Writes of one namespace are judged in rounds: those that came while a round was writing make the next one together, so that a quota
// is written once for many of them.
#include <algorithm>
#include <map>
#include <mutex>

#include "admission/plugins.h"
#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "resources/quota_check.h"

namespace km::admission {
namespace {

namespace v1 = api::core_v1;

constexpr int kAttempts = 4;  // a quota may be written by others meanwhile

struct Waiter {
  AttributesPtr write;
  Done done;
};

class Rounds;

// One go at the writes that wait in a namespace.
struct Round {
  std::string ns;
  std::vector<Waiter> waiters;               // without an answer yet
  std::vector<v1::ResourceQuota> quotas;     // as they are to be
  std::vector<resources::ResourceList> was;  // their usage as stored
  std::mutex mutex;
  size_t writing = 0;
  std::vector<std::string> failed;  // names of quotas that could not be written
  Status error;
  int attempts = 0;
};

// The state of the plugin: outlives it while rounds run.
class Rounds : public std::enable_shared_from_this<Rounds> {
 public:
  explicit Rounds(const PluginContext& c) : context_(c) {}

  const resources::Evaluator& evaluator(const api::Resource& r) {
    std::lock_guard lock(mutex_);
    auto& e = evaluators_[&r];
    if (!e) e = resources::makeEvaluator(r.group, r.name);
    return *e;
  }

  void add(const AttributesPtr& a, Done done) {
    std::string ns(a->ns);
    {
      std::lock_guard lock(mutex_);
      auto [it, first] = waiting_.try_emplace(ns);
      it->second.push_back({a, std::move(done)});
      if (!first) return;  // the round that runs takes it next
    }
    start(std::move(ns));
  }

 private:
  void start(std::string ns) {
    context_.offload([self = shared_from_this(), ns = std::move(ns)] {
      auto round = std::make_shared<Round>();
      round->ns = ns;
      {
        std::lock_guard lock(self->mutex_);
        round->waiters.swap(self->waiting_[ns]);
      }
      for (const api::ObjectPtr& q : self->quotas(ns)) round->quotas.push_back(q->as<v1::ResourceQuota>());
      self->judge(round);
    });
  }

  // The newest that is known of each: the cache may not have seen yet what was written here.
  std::vector<api::ObjectPtr> quotas(const std::string& ns) {
    std::vector<api::ObjectPtr> out = *context_.list("", "resourcequotas", ns);
    std::lock_guard lock(mutex_);
    for (api::ObjectPtr& q : out) {
      auto it = written_.find(std::string(q->meta().uid));
      if (it == written_.end()) continue;
      if (q->resourceVersion() >= it->second->resourceVersion()) {
        written_.erase(it);
      } else {
        q = it->second;
      }
    }
    return out;
  }

  void judge(const std::shared_ptr<Round>& round) {
    WallTime now = context_.clock->now();
    round->was.clear();
    for (const auto& q : round->quotas) round->was.push_back(q.status.used);
    std::vector<Waiter> booked;
    for (Waiter& w : round->waiters) {
      const Attributes& a = *w.write;
      std::vector<v1::ResourceQuota> next = round->quotas;
      std::string why = resources::charge(next, evaluator(*a.resource), a.subresource, *a.object, a.old.get(), now);
      bool changed = false;
      for (size_t i = 0; i < next.size(); i++) changed = changed || !resources::sameAmounts(next[i].status.used, round->quotas[i].status.used);
      if (!why.empty()) {
        w.done(errors::forbidden({a.resource->group, a.resource->name}, a.name, why));
      } else if (a.dryRun || !changed) {
        w.done({});
      } else {
        round->quotas = std::move(next);
        booked.push_back(std::move(w));
      }
    }
    round->waiters = std::move(booked);
    round->waiters.empty() ? end(round) : write(round);
  }

  void write(const std::shared_ptr<Round>& round) {
    std::vector<v1::ResourceQuota> changed;
    for (size_t i = 0; i < round->quotas.size(); i++) {
      if (!resources::sameAmounts(round->quotas[i].status.used, round->was[i])) changed.push_back(round->quotas[i]);
    }
    round->failed.clear();
    round->writing = changed.size();
    for (v1::ResourceQuota& q : changed) {
      std::string name = q.metadata.name.str();
      client::Target t = client::target(v1::ResourceQuota::kType, round->ns, name, "status");
      context_.client().update(t, api::Object::of(std::move(q)), {}, [self = shared_from_this(), round, name](Result<api::ObjectPtr> r) {
        self->wrote(round, name, std::move(r));
      });
    }
  }

  void wrote(const std::shared_ptr<Round>& round, const std::string& name, Result<api::ObjectPtr> r) {
    if (r.ok()) {
      std::lock_guard lock(mutex_);
      written_[(*r)->meta().uid.str()] = *r;
    }
    {
      std::lock_guard lock(round->mutex);
      if (!r.ok()) {
        round->failed.push_back(name);
        round->error = r.status();
      }
      if (--round->writing > 0) return;
    }
    context_.offload([self = shared_from_this(), round] { self->written(round); });
  }

  // All quotas that changed were tried: those that others had changed are judged again, without the ones that took it.
  void written(const std::shared_ptr<Round>& round) {
    bool again = !round->failed.empty() && ++round->attempts < kAttempts;
    if (again) {
      round->quotas.clear();
      for (const api::ObjectPtr& q : quotas(round->ns)) {
        if (std::find(round->failed.begin(), round->failed.end(), q->name()) != round->failed.end()) {
          round->quotas.push_back(q->as<v1::ResourceQuota>());
        }
      }
      return judge(round);
    }
    for (Waiter& w : round->waiters) w.done(round->failed.empty() ? Status() : round->error);
    end(round);
  }

  void end(const std::shared_ptr<Round>& round) {
    {
      std::lock_guard lock(mutex_);
      auto it = waiting_.find(round->ns);
      if (it->second.empty()) {
        waiting_.erase(it);
        return;
      }
    }
    start(round->ns);
  }

  const PluginContext context_;
  std::mutex mutex_;
  std::map<const api::Resource*, std::unique_ptr<resources::Evaluator>> evaluators_;
  std::map<std::string, std::vector<Waiter>> waiting_;  // by namespace; one is there while a round runs
  std::map<std::string, api::ObjectPtr> written_;       // quotas by uid, until the cache has them
};

class ResourceQuota : public Plugin {
 public:
  explicit ResourceQuota(const PluginContext& c) : context_(c), rounds_(std::make_shared<Rounds>(c)) {}
  std::string_view name() const override { return "ResourceQuota"; }

  bool waits(const Attributes& a) const override {
    if (a.operation != Operation::kCreate && a.operation != Operation::kUpdate) return false;
    if (a.ns.empty() || a.object == nullptr || a.isFor("", "namespaces")) return false;
    auto quotas = context_.list("", "resourcequotas", a.ns);
    if (!quotas || quotas->empty() || resources::isIgnoredByQuota(a.resource->group, a.resource->name)) return false;
    // What a subresource creates is not an object of the resource.
    if (&a.object->type() != a.resource->type) return false;
    return rounds_->evaluator(*a.resource).concerns(a.subresource, *a.object, a.old.get());
  }
  void validateLater(const AttributesPtr& a, Done done) const override { rounds_->add(a, std::move(done)); }

 private:
  PluginContext context_;
  std::shared_ptr<Rounds> rounds_;
};

}  // namespace

std::unique_ptr<Plugin> makeResourceQuota(const PluginContext& c) { return std::make_unique<ResourceQuota>(c); }

}  // namespace km::admission
