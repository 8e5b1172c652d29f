#include "scheduler/preemption.h"

#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <functional>

#include "api/types/policy_v1.h"

namespace km::scheduler {
namespace {

using api::core_v1::Pod;
using api::policy_v1::PodDisruptionBudget;

constexpr uint32_t kNoVictims = ~0u;

int32_t priorityOf(const Pod& p) {
  return p.spec.priority.value_or(0);
}

bool goesForPreemption(const Pod& p) {
  if (!p.metadata.deletionTimestamp) return false;
  for (const auto& c : p.status.conditions) {
    if (c.type == "DisruptionTarget") return c.status == "True" && c.reason == "PreemptionByScheduler";
  }
  return false;
}

}  // namespace

int64_t Preemption::startOf(const Pod& pod) const {
  return pod.status.startTime ? pod.status.startTime->seconds : now_.seconds;
}

bool Preemption::moreImportant(const PodEntry* a, const PodEntry* b) const {
  int32_t pa = priorityOf(*a->pod), pb = priorityOf(*b->pod);
  return pa != pb ? pa > pb : startOf(*a->pod) < startOf(*b->pod);
}

std::string Preemption::whyNotEligible(const Cycle& c, const Diagnosis& d) const {
  if (c.pod->spec.preemptionPolicy && *c.pod->spec.preemptionPolicy == "Never") {
    return "not eligible due to preemptionPolicy=Never.";
  }
  NodeId nominated = c.pod->status.nominatedNodeName.empty()
                         ? kNoNode
                         : cluster_.nodes().find(c.pod->status.nominatedNodeName);
  if (nominated == kNoNode) return "";
  for (const Refused& r : d.refused) {
    if (r.node == nominated && search_.verdictOf(r.why) == Verdict::kUnschedulableAndUnresolvable) return "";
  }
  for (const PodEntry* e : cluster_.nodes().row(nominated).pods) {
    if (priorityOf(*e->pod) < priorityOf(*c.pod) && goesForPreemption(*e->pod)) {
      return "not eligible due to a terminating pod on the nominated node.";
    }
  }
  return "";
}

Preempted Preemption::run(const Cycle& c, const Diagnosis& d, WallTime now) {
  Preempted out;
  now_ = now;
  out.message = whyNotEligible(c, d);
  if (!out.message.empty()) return out;

  std::vector<NodeId> nodes = search_.resolvable(d);
  std::vector<Refused> refused;
  size_t victimless = 0;
  std::vector<Victims> candidates;
  bool sound = false;  // one of them violates no budget
  if (!nodes.empty()) {
    Budgets budgets;
    if (budgets_ != nullptr) budgets = client::Lister<PodDisruptionBudget>(*budgets_).list();
    size_t wanted = std::min(nodes.size(), std::max(nodes.size() * static_cast<size_t>(percentage_) / 100,
                                                    static_cast<size_t>(absolute_)));
    size_t offset = search_.random(nodes.size());
    for (size_t i = 0; i < nodes.size() && !(sound && candidates.size() >= wanted); i++) {
      NodeId node = nodes[(offset + i) % nodes.size()];
      Victims v;
      uint32_t why = 0;
      if (selectVictims(c, node, budgets, v, &why)) {
        sound = sound || v.violations == 0;
        candidates.push_back(std::move(v));
      } else if (why == kNoVictims) {
        victimless++;
      } else {
        refused.push_back({node, why});
      }
    }
  }
  if (!candidates.empty()) {
    out.victims = pickOne(candidates);
    return out;
  }
  size_t total = cluster_.nodes().count();
  size_t helpless = total - std::min(total, refused.size() + victimless);
  out.message = fmt::format("0/{} nodes are available: {}.", total,
                            search_.reasons(c, refused,
                                            {{"No preemption victims found for incoming pod", victimless},
                                             {"Preemption is not helpful for scheduling", helpless}}));
  out.clearNomination = true;
  return out;
}

namespace {

// Those whose end a disruption budget would not allow, in order; the rest stays in `pods`.
std::vector<PodEntry*> splitViolating(std::vector<PodEntry*>& pods, const auto& budgets) {
  std::vector<int64_t> allowed;
  std::vector<api::LabelSelector> selectors;
  for (const auto& b : budgets) {
    allowed.push_back(b->status.disruptionsAllowed);
    selectors.push_back(selectorOf(b->spec.selector));
  }
  std::vector<PodEntry*> violating, rest;
  for (PodEntry* e : pods) {
    const Pod& p = *e->pod;
    bool violates = false;
    for (size_t i = 0; i < budgets.size() && !p.metadata.labels.empty(); i++) {
      const PodDisruptionBudget& b = *budgets[i];
      if (b.metadata.namespace_ != p.metadata.namespace_ || selectors[i].empty() ||
          !selectors[i].matches(p.metadata.labels) || b.status.disruptedPods.contains(p.metadata.name)) {
        continue;
      }
      violates = --allowed[i] < 0 || violates;
    }
    (violates ? violating : rest).push_back(e);
  }
  pods = std::move(rest);
  return violating;
}

}  // namespace

bool Preemption::selectVictims(const Cycle& c, NodeId node, const Budgets& budgets, Victims& out,
                               uint32_t* why) {
  std::vector<PodEntry*> lower;
  for (PodEntry* e : cluster_.nodes().row(node).pods) {
    if (priorityOf(*e->pod) < priorityOf(*c.pod)) lower.push_back(e);
  }
  if (lower.empty()) {
    *why = kNoVictims;
    return false;
  }
  for (PodEntry* e : lower) cluster_.lift(*e);
  if (!search_.fits(c, node, why)) {
    for (PodEntry* e : lower) cluster_.putBack(*e);
    return false;
  }
  std::sort(lower.begin(), lower.end(),
            [&](const PodEntry* a, const PodEntry* b) { return moreImportant(a, b); });
  std::vector<PodEntry*> violating = splitViolating(lower, budgets), victims;
  // As many as possible stay, those first whose end a budget would not allow.
  auto reprieve = [&](PodEntry* e) {
    cluster_.putBack(*e);
    uint32_t ignored;
    if (search_.fits(c, node, &ignored)) return true;
    cluster_.lift(*e);
    victims.push_back(e);
    return false;
  };
  for (PodEntry* e : violating) out.violations += !reprieve(e);
  for (PodEntry* e : lower) reprieve(e);
  for (PodEntry* e : victims) cluster_.putBack(*e);
  std::sort(victims.begin(), victims.end(),
            [&](const PodEntry* a, const PodEntry* b) { return moreImportant(a, b); });
  for (const PodEntry* e : victims) out.pods.push_back(e->pod);
  out.node = node;
  *why = kNoVictims;
  return !victims.empty();
}

// Of the candidates, by one rule after the other until one is left.
const Victims& Preemption::pickOne(std::vector<Victims>& candidates) const {
  using Rule = std::function<int64_t(const Victims&)>;
  auto sum = [](const Victims& v) {
    int64_t s = 0;
    for (const auto& p : v.pods) s += int64_t{priorityOf(*p)} + int64_t{INT32_MAX} + 1;
    return s;
  };
  auto earliestStart = [&](const Victims& v) {
    int64_t t = INT64_MAX;
    for (const auto& p : v.pods) {
      if (priorityOf(*p) == priorityOf(*v.pods[0])) t = std::min(t, startOf(*p));
    }
    return t;
  };
  const Rule rules[] = {[](const Victims& v) { return -v.violations; },
                        [](const Victims& v) { return -int64_t{priorityOf(*v.pods[0])}; },
                        [&](const Victims& v) { return -sum(v); },
                        [](const Victims& v) { return -static_cast<int64_t>(v.pods.size()); },
                        [&](const Victims& v) { return earliestStart(v); }};
  std::vector<const Victims*> left;
  for (const auto& v : candidates) left.push_back(&v);
  for (const Rule& rule : rules) {
    int64_t best = INT64_MIN;
    for (const auto* v : left) best = std::max(best, rule(*v));
    std::erase_if(left, [&](const Victims* v) { return rule(*v) != best; });
    if (left.size() == 1) break;
  }
  return *left[0];
}

}  // namespace km::scheduler
