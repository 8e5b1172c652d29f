// Bindings and evictions of pods.
#include <fmt/format.h>

#include "api/selector.h"
#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "api/types/policy_v1.h"
#include "apiserver/server.h"
#include "apiserver/special_subresources.h"
#include "registry/core/pod_binding.h"
#include "registry/core/pod_conditions.h"

namespace km::apiserver {
namespace {

using api::core_v1::Pod;
using api::policy_v1::PodDisruptionBudget;
using registry::ObjectCallback;

constexpr int kAttempts = 20;            // upstream's retries of an eviction that meets other writes
constexpr size_t kMaxDisrupted = 2000;   // unconfirmed evictions of one budget
constexpr std::string_view kWouldViolate = "Cannot evict pod as it would violate the pod's disruption budget.";

registry::Context contextOf(ApiServer& server, Call& call) {
  registry::Context c;
  c.user = &call.user;
  c.ns = call.ns;
  c.subresource = call.subresource;
  c.dryRun = call.dryRun;
  c.now = server.operations().clock().now();
  c.warnings = &call.warnings;
  c.raw = true;
  return c;
}

const Served* podsOf(ApiServer& server) { return server.operations().resources().find("", "v1", "pods"); }

// --- binding ------------------------------------------------------------------------------------------

void bindAdmitted(ApiServer& server, const CallPtr& call, const api::MutableObject& object, ObjectCallback done);

void bind(ApiServer& server, CallPtr call, api::MutableObject object, ObjectCallback done) {
  const auto& meta = object->meta();
  if (call->name.empty() && call->subresource.empty()) call->name = meta.name.str();
  if (meta.name != call->name) return done(errors::badRequest("name in URL does not match name in Binding object"));
  if (Status s = registry::validateBinding(*object); !s.ok()) return done(std::move(s));
  if (call->name.empty()) return done(errors::badRequest("Name parameter required."));
  call->served = podsOf(server);
  if (call->subresource.empty()) call->subresource = "binding";
  server.operations().admitSubresource(call, object, [&server, call, object, done = std::move(done)](Status s) {
    s.ok() ? bindAdmitted(server, call, object, std::move(done)) : done(std::move(s));
  });
}

void bindAdmitted(ApiServer& server, const CallPtr& call, const api::MutableObject& object, ObjectCallback done) {
  WallTime now = server.operations().clock().now();
  auto make = [call, object, now](const api::ObjectPtr& existing) -> Result<api::MutableObject> {
    const auto& given = object->meta();
    const auto& pod = existing->meta();
    auto precondition = [&](std::string_view what, std::string_view field, const codec::String& want, const codec::String& have) {
      return errors::conflict({"", "pods"}, call->name,
                              fmt::format("Precondition failed: {0} in precondition: {1}, {0} in object meta: {2}", what, want, have));
    };
    if (!given.resourceVersion.empty() && given.resourceVersion != pod.resourceVersion) {
      return precondition("ResourceVersion", "resourceVersion", given.resourceVersion, pod.resourceVersion);
    }
    return registry::bindPod(*existing, *object, now);
  };
  registry::Context context = contextOf(server, *call);
  context.uid = object->meta().uid.str();
  podsOf(server)->registry->update(context, call->name, registry::makeAtOnce(std::move(make)), {}, false,
                                   [done](Result<registry::UpdateResult> r) {
                                     if (!r.ok()) return done(r.status());
                                     done(successStatus(201));
                                   });
}

// --- eviction -----------------------------------------------------------------------------------------

bool isReady(const Pod& pod) {
  for (const auto& c : pod.status.conditions) {
    if (c.type == "Ready") return c.status == "True";
  }
  return false;
}

bool hasEnded(const Pod& pod) {
  return pod.status.phase == "Succeeded" || pod.status.phase == "Failed" || pod.metadata.deletionTimestamp;
}

Status stillProcessed(std::string_view budget) {
  Status s = errors::tooManyRequests(kWouldViolate, 10);
  s.mutableDetails().causes.push_back(
      {"DisruptionBudget", fmt::format("The disruption budget {} is still being processed by the server.", budget), ""});
  return s;
}

std::string whyNoDisruption(const PodDisruptionBudget& b) {
  const api::meta_v1::Condition* refused = nullptr;
  for (const auto& c : b.status.conditions) {
    if (c.type == "DisruptionAllowed" && c.status == "False" && !c.message.empty()) refused = &c;
  }
  if (refused != nullptr && refused->reason == "SyncFailed") {
    return fmt::format("The disruption budget {} does not allow evicting pods currently because it failed sync: {}", b.metadata.name,
                       refused->message);
  }
  if (b.status.currentHealthy <= b.status.desiredHealthy) {
    return fmt::format("The disruption budget {} needs {} healthy pods and has {} currently", b.metadata.name, b.status.desiredHealthy,
                       b.status.currentHealthy);
  }
  if (refused != nullptr) {
    return fmt::format("The disruption budget {} does not allow evicting pods currently ({}): {}", b.metadata.name, refused->reason,
                       refused->message);
  }
  return fmt::format("The disruption budget {} does not allow evicting pods currently", b.metadata.name);
}

// Takes one disruption of the budget; an error if it allows none.
Status charge(PodDisruptionBudget& b, std::string_view pod, WallTime now) {
  if (b.status.observedGeneration < b.metadata.generation) return stillProcessed(b.metadata.name);
  const GroupResource what{"policy", "poddisruptionbudget"};
  if (b.status.disruptionsAllowed < 0) return errors::forbidden(what, b.metadata.name, "pdb disruptions allowed is negative");
  if (b.status.disruptedPods.size() > kMaxDisrupted) {
    return errors::forbidden(what, b.metadata.name, "DisruptedPods map too big - too many evictions not confirmed by PDB controller");
  }
  if (b.status.disruptionsAllowed == 0) {
    Status s = errors::tooManyRequests(kWouldViolate, 0);
    s.mutableDetails().causes.push_back({"DisruptionBudget", whyNoDisruption(b), ""});
    return s;
  }
  b.status.disruptionsAllowed--;
  b.status.disruptedPods[pod] = codec::Time(now);
  if (b.status.disruptionsAllowed > 0) return {};
  api::meta_v1::Condition* c = nullptr;
  for (auto& have : b.status.conditions) {
    if (have.type == "DisruptionAllowed") c = &have;
  }
  if (c == nullptr) c = &b.status.conditions.add();
  if (!(c->status == "False")) c->lastTransitionTime = codec::Time(now);
  c->type = "DisruptionAllowed";
  c->status = "False";
  c->reason = "InsufficientPods";
  c->message.clear();
  c->observedGeneration = b.status.observedGeneration;
  return {};
}

// One eviction, from the request to the deletion.
class Eviction : public std::enable_shared_from_this<Eviction> {
 public:
  Eviction(ApiServer& server, CallPtr call, ObjectCallback done) : server_(server), call_(std::move(call)), done_(std::move(done)) {}

  void start(api::MutableObject object) {
    auto& e = object->as<api::policy_v1::Eviction>();
    if (e.metadata.name != call_->name) return done_(errors::badRequest("name in URL does not match name in Eviction object"));
    if (Status s = takeOptions(e); !s.ok()) return done_(std::move(s));
    server_.operations().admitSubresource(call_, object, [self = shared_from_this()](Status s) {
      s.ok() ? self->findPod() : self->done_(std::move(s));
    });
  }

 private:
  Status takeOptions(const api::policy_v1::Eviction& e) {
    if (!e.deleteOptions) return {};
    const auto& d = *e.deleteOptions;
    if (d.ignoreStoreReadErrorWithClusterBreakingPotential.value_or(false)) {
      api::FieldErrors bad;
      bad.invalid(api::Path("deleteOptions.ignoreStoreReadErrorWithClusterBreakingPotential"), true,
                  "can not be set for pod eviction, try after removing the option");
      return bad.toStatus("policy", "Eviction", call_->name);
    }
    for (const auto& one : d.dryRun) call_->dryRun = call_->dryRun || one == "All";
    options_.gracePeriodSeconds = d.gracePeriodSeconds;
    options_.orphanDependents = d.orphanDependents;
    if (d.propagationPolicy) options_.propagationPolicy = d.propagationPolicy->str();
    if (!d.preconditions) return {};
    if (d.preconditions->uid) options_.uid = d.preconditions->uid->str();
    if (d.preconditions->resourceVersion) options_.resourceVersion = d.preconditions->resourceVersion->str();
    return {};
  }

  registry::Registry& pods() { return *podsOf(server_)->registry; }

  void findPod() {
    pods().get(call_->ns, call_->name, [self = shared_from_this()](Result<api::ObjectPtr> r) {
      if (!r.ok()) return self->done_(r.status());
      const Pod& pod = (*r)->as<Pod>();
      // What has ended, or never ran, disturbs nobody. A pod that might come to run meanwhile is held to its version.
      if (hasEnded(pod) || pod.status.phase == "Pending") {
        registry::DeleteOptions options = self->options_;
        bool hold = !hasEnded(pod) && !options.resourceVersion;
        if (hold) options.resourceVersion = pod.metadata.resourceVersion.str();
        return self->mark(std::move(options), [self, hold](Status s) {
          if (hold && s.is("Conflict") && ++self->attempts_ < kAttempts) return self->findPod();
          self->done_(std::move(s));
        });
      }
      self->checkBudget(*r);
    });
  }

  void checkBudget(const api::ObjectPtr& object) {
    const Pod& pod = object->as<Pod>();
    auto budgets = budgetsOf(pod);
    if (budgets.size() > 1) {
      return done_(Status(500, "", "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."));
    }
    auto fail = [self = shared_from_this()](Status s) { self->done_(std::move(s)); };
    if (budgets.empty()) return mark(options_, fail);
    const auto& b = budgets[0]->as<PodDisruptionBudget>();
    bool always = b.spec.unhealthyPodEvictionPolicy && *b.spec.unhealthyPodEvictionPolicy == "AlwaysAllow";
    bool spare = b.status.currentHealthy >= b.status.desiredHealthy && b.status.desiredHealthy > 0;
    if (!isReady(pod) && (always || spare)) {
      // It does not count among the healthy ones, provided that it stays so.
      registry::DeleteOptions options = options_;
      bool ours = !options.resourceVersion;
      options.resourceVersion = pod.metadata.resourceVersion.str();
      return mark(std::move(options), [self = shared_from_this(), ours, name = b.metadata.name.str()](Status s) {
        if (ours && s.is("Conflict")) s = stillProcessed(name);
        self->done_(std::move(s));
      });
    }
    chargeBudget(budgets[0]);
  }

  std::vector<api::ObjectPtr> budgetsOf(const Pod& pod) {
    std::vector<api::ObjectPtr> out;
    auto all = server_.operations().resources().cache("policy", "poddisruptionbudgets").list(pod.metadata.namespace_);
    for (const api::ObjectPtr& o : *all.objects) {
      const auto& b = o->as<PodDisruptionBudget>();
      if (!b.spec.selector) continue;
      auto selector = api::LabelSelector::from(*b.spec.selector);
      if (selector.ok() && selector->matches(pod.metadata.labels)) out.push_back(o);
    }
    return out;
  }

  void chargeBudget(const api::ObjectPtr& budget) {
    api::MutableObject next = budget->clone();
    Status s = charge(next->as<PodDisruptionBudget>(), call_->name, server_.operations().clock().now());
    if (!s.ok()) return done_(std::move(s));
    if (call_->dryRun) return mark(options_, [self = shared_from_this()](Status m) { self->done_(std::move(m)); });
    auto write = std::make_shared<Call>();
    write->user.name = "system:apiserver";
    write->user.groups = {"system:masters"};
    write->userAgent = "kube-apiserver";
    write->served = server_.operations().resources().find("policy", "v1", "poddisruptionbudgets");
    write->verb = "update";
    write->ns = budget->ns();
    write->name = budget->name();
    write->subresource = "status";
    server_.operations().update(write, std::move(next), [self = shared_from_this(), write](Result<registry::UpdateResult> r) {
      if (r.ok()) return self->mark(self->options_, [self](Status m) { self->done_(std::move(m)); });
      if (!r.status().is("Conflict") || ++self->attempts_ >= kAttempts) return self->done_(r.status());
      write->served->registry->get(write->ns, write->name, [self](Result<api::ObjectPtr> again) {
        if (!again.ok()) return self->done_(again.status());
        self->chargeBudget(*again);
      });
    });
  }

  // Tells the reason in the pod, then deletes it. `finish` gets a failure; success answers.
  void mark(registry::DeleteOptions options, std::function<void(Status)> finish) {
    if (call_->dryRun) return remove(std::move(options), std::move(finish));
    WallTime now = server_.operations().clock().now();
    auto make = [options, name = call_->name, now](const api::ObjectPtr& existing) -> Result<api::MutableObject> {
      const auto& meta = existing->meta();
      if (options.uid && !options.uid->empty() && meta.uid != *options.uid) {
        return errors::conflict({"", "Pod"}, name,
                                fmt::format("the UID in the precondition ({}) does not match the UID in record ({}). The object might have "
                                            "been deleted and then recreated", *options.uid, meta.uid));
      }
      if (options.resourceVersion && !options.resourceVersion->empty() && meta.resourceVersion != *options.resourceVersion) {
        return errors::conflict({"", "Pod"}, name,
                                fmt::format("the ResourceVersion in the precondition ({}) does not match the ResourceVersion in record ({}). "
                                            "The object might have been modified", *options.resourceVersion, meta.resourceVersion));
      }
      api::MutableObject next = existing->clone();
      api::core_v1::PodCondition c;
      c.type = "DisruptionTarget";
      c.status = "True";
      c.reason = "EvictionByEvictionAPI";
      c.message = "Eviction API: evicting";
      registry::setPodCondition(next->as<Pod>().status, std::move(c), now);
      return next;
    };
    pods().update(contextOf(server_, *call_), call_->name, registry::makeAtOnce(std::move(make)), {}, false,
                  [self = shared_from_this(), options = std::move(options), finish = std::move(finish)](Result<registry::UpdateResult> r) mutable {
                    if (!r.ok()) return finish(r.status());
                    if (options.resourceVersion) options.resourceVersion = r->object->meta().resourceVersion.str();
                    self->remove(std::move(options), std::move(finish));
                  });
  }

  void remove(registry::DeleteOptions options, std::function<void(Status)> finish) {
    registry::Context c = contextOf(server_, *call_);
    c.subresource.clear();
    c.raw = false;
    api::FieldErrors bad;
    std::string_view policy = options.propagationPolicy;
    if (!policy.empty() && policy != "Foreground" && policy != "Background" && policy != "Orphan") {
      bad.notSupported(api::Path("propagationPolicy"), policy, {"Foreground", "Background", "Orphan", "nil"});
    }
    if (Status s = bad.toStatus("meta.k8s.io", "DeleteOptions", ""); !s.ok()) return finish(std::move(s));
    pods().remove(c, call_->name, std::move(options), {},
                  [self = shared_from_this(), finish = std::move(finish)](Result<registry::Deleted> r) {
                    if (!r.ok()) return finish(r.status());
                    self->done_(successStatus(201));
                  });
  }

  ApiServer& server_;
  const CallPtr call_;
  const ObjectCallback done_;
  registry::DeleteOptions options_;
  int attempts_ = 0;
};

}  // namespace

void addBindings(ApiServer& server) {
  auto create = [&server](CallPtr call, api::MutableObject o, ObjectCallback done) { bind(server, call, std::move(o), std::move(done)); };
  server.subresources().add("", "pods", "binding", {&api::core_v1::Binding::kType, {}, create, {}});
  server.subresources().add("", "bindings", "", {&api::core_v1::Binding::kType, {}, create, {}});
  auto evict = [&server](CallPtr call, api::MutableObject o, ObjectCallback done) {
    std::make_shared<Eviction>(server, call, std::move(done))->start(std::move(o));
  };
  server.subresources().add("", "pods", "eviction", {&api::policy_v1::Eviction::kType, {}, evict, {}});
}

}  // namespace km::apiserver
