// Bindings and evictions.
#include <fmt/format.h>

#include "api/field_error.h"
#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "api/types/policy_v1.h"
#include "api/selector.h"
#include "apiserver/server.h"
#include "apiserver/special_subresources.h"

namespace km::apiserver {
namespace {

using api::core_v1::Pod;
using registry::ObjectCallback;

const Served* podsOf(ApiServer& server) { return server.operations().resources().find("", "v1", "pods"); }

registry::Context contextOf(ApiServer& server, Call& call) {
  registry::Context c;
  c.user = &call.user;
  c.ns = call.ns;
  c.subresource = call.subresource;
  c.dryRun = call.dryRun;
  c.now = server.operations().clock().now();
  c.warnings = &call.warnings;
  return c;
}

// Assigns a pod to a node: once, and only when nothing gates it (registry/core/pod/storage assignPod).
void bindPod(ApiServer& server, CallPtr call, const api::core_v1::Binding& binding, ObjectCallback done) {
  api::FieldErrors bad;
  if (binding.target.name.empty()) bad.required(api::Path("target.name"), "");
  if (!binding.target.kind.empty() && binding.target.kind != "Node") {
    bad.notSupported(api::Path("target.kind"), binding.target.kind.view(), {"Node", ""});
  }
  if (Status s = bad.toStatus("", "Binding", call->name); !s.ok()) return done(std::move(s));
  std::string node = binding.target.name.str();
  std::string uid = binding.metadata.uid.str();
  auto annotations = binding.metadata.annotations;
  auto make = [call, node, uid, annotations](const api::ObjectPtr& existing) -> Result<api::MutableObject> {
    const GroupResource pods{"", "pods"};
    const Pod& pod = existing->as<Pod>();
    auto conflict = [&](std::string why) { return errors::conflict({"", "pods/binding"}, call->name, why); };
    if (!uid.empty() && pod.metadata.uid != uid) {
      return errors::conflict(pods, call->name, fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", uid, pod.metadata.uid));
    }
    if (pod.metadata.deletionTimestamp) return conflict(fmt::format("pod {} is being deleted, cannot be assigned to a host", pod.metadata.name));
    if (!pod.spec.nodeName.empty()) return conflict(fmt::format("pod {} is already assigned to node {}", pod.metadata.name, api::goQuote(pod.spec.nodeName)));
    if (!pod.spec.schedulingGates.empty()) {
      return conflict(fmt::format("pod {} has non-empty .spec.schedulingGates", pod.metadata.name));
    }
    api::MutableObject o = existing->clone();
    Pod& next = o->as<Pod>();
    next.spec.nodeName = node;
    for (const auto& [key, value] : annotations) next.metadata.annotations[key] = value;
    for (auto& c : next.status.conditions) {
      if (c.type == "PodScheduled") {
        if (c.status != "True") c.lastTransitionTime = codec::Time(Clock::system().now());
        c.status = "True";
        c.reason.clear();
        c.message.clear();
        return o;
      }
    }
    auto& c = next.status.conditions.add();
    c.type = "PodScheduled";
    c.status = "True";
    c.lastTransitionTime = codec::Time(Clock::system().now());
    return o;
  };
  registry::Context c = contextOf(server, *call);
  c.subresource = "binding";
  c.raw = true;
  podsOf(server)->registry->update(c, call->name, std::move(make), {}, false, [done](Result<registry::UpdateResult> r) {
    if (!r.ok()) return done(r.status());
    done(successStatus(201));
  });
}

// --- eviction -----------------------------------------------------------------------------------------

// The budgets that select the pod.
std::vector<api::ObjectPtr> budgetsOf(ApiServer& server, const Pod& pod) {
  std::vector<api::ObjectPtr> out;
  auto all = server.operations().resources().cache("policy", "poddisruptionbudgets").list(pod.metadata.namespace_);
  for (const api::ObjectPtr& o : *all.objects) {
    const auto& pdb = o->as<api::policy_v1::PodDisruptionBudget>();
    if (!pdb.spec.selector) continue;
    auto selector = api::LabelSelector::from(*pdb.spec.selector);
    if (selector.ok() && selector->matches(pod.metadata.labels)) out.push_back(o);
  }
  return out;
}

void evictPod(ApiServer& server, CallPtr call, const api::policy_v1::Eviction& eviction, ObjectCallback done) {
  if (!eviction.metadata.name.empty() && eviction.metadata.name != call->name) {
    return done(errors::badRequest(fmt::format("name in URL does not match name in Eviction object: {} != {}", call->name, eviction.metadata.name)));
  }
  auto options = std::make_shared<registry::DeleteOptions>();
  if (eviction.deleteOptions) {
    options->gracePeriodSeconds = eviction.deleteOptions->gracePeriodSeconds;
    if (eviction.deleteOptions->preconditions) {
      const auto& p = *eviction.deleteOptions->preconditions;
      if (p.uid) options->uid = p.uid->str();
      if (p.resourceVersion) options->resourceVersion = p.resourceVersion->str();
    }
    for (const auto& d : eviction.deleteOptions->dryRun) call->dryRun = call->dryRun || d == "All";
  }
  auto target = std::make_shared<Call>(*call);
  target->served = podsOf(server);
  target->subresource.clear();
  auto remove = [&server, target, options, done] {
    server.operations().remove(target, *options, [done](Result<registry::Deleted> r) {
      if (!r.ok()) return done(r.status());
      done(successStatus(201));
    });
  };
  server.operations().get(target, [&server, target, remove, done](Result<api::ObjectPtr> r) {
    if (!r.ok()) return done(r.status());
    const Pod& pod = (*r)->as<Pod>();
    bool budgetless = pod.status.phase == "Succeeded" || pod.status.phase == "Failed" || pod.status.phase == "Pending" || pod.metadata.deletionTimestamp;
    auto budgets = budgetsOf(server, pod);
    if (budgetless || budgets.empty()) return remove();
    if (budgets.size() > 1) {
      return done(errors::internal("This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."));
    }
    const auto& pdb = budgets[0]->as<api::policy_v1::PodDisruptionBudget>();
    if (pdb.status.observedGeneration < pdb.metadata.generation) {
      return done(errors::tooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 10));
    }
    if (pdb.status.disruptionsAllowed <= 0) {
      Status s = errors::tooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 0);
      s.mutableDetails().causes.push_back({"DisruptionBudget",
                                           fmt::format("The disruption budget {} needs {} healthy pods and has {} currently", pdb.metadata.name,
                                                       pdb.status.desiredHealthy, pdb.status.currentHealthy), ""});
      return done(std::move(s));
    }
    // The budget is charged first; a failed deletion is given back by the disruption controller.
    registry::Context c;
    c.ns = target->ns;
    c.subresource = "status";
    c.user = &target->user;
    c.now = server.operations().clock().now();
    std::string podName = pod.metadata.name.str();
    auto charge = [podName, now = c.now](const api::ObjectPtr& o) -> Result<api::MutableObject> {
      api::MutableObject next = o->clone();
      auto& b = next->as<api::policy_v1::PodDisruptionBudget>();
      if (b.status.disruptionsAllowed <= 0) return errors::tooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 0);
      b.status.disruptionsAllowed--;
      b.status.disruptedPods[podName] = codec::Time(now);
      return next;
    };
    server.operations().resources().registry("policy", "poddisruptionbudgets")->update(
        c, pdb.metadata.name.str(), charge, {}, false, [remove, done](Result<registry::UpdateResult> u) {
          if (!u.ok()) return done(u.status());
          remove();
        });
  });
}

}  // namespace

void addBindings(ApiServer& server) {
  auto create = [&server](CallPtr call, api::MutableObject o, ObjectCallback done) {
    auto& binding = o->as<api::core_v1::Binding>();
    if (call->name.empty()) call->name = binding.metadata.name.str();
    if (!binding.metadata.name.empty() && binding.metadata.name != call->name) {
      return done(errors::badRequest(fmt::format("name in URL does not match name in Binding object: {} != {}", call->name, binding.metadata.name)));
    }
    bindPod(server, call, binding, std::move(done));
  };
  server.subresources().add("", "pods", "binding", {&api::core_v1::Binding::kType, {}, create, {}});
  server.subresources().add("", "bindings", "", {&api::core_v1::Binding::kType, {}, create, {}});
  server.subresources().add("", "pods", "eviction", {&api::policy_v1::Eviction::kType, {},
                            [&server](CallPtr call, api::MutableObject o, ObjectCallback done) { evictPod(server, call, o->as<api::policy_v1::Eviction>(), std::move(done)); }, {}});
}

}  // namespace km::apiserver
