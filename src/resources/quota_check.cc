#include "resources/quota_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"

namespace km::resources {

namespace v1 = api::core_v1;

namespace {

using Scopes = std::vector<v1::ScopedResourceSelectorRequirement>;

Scopes scopesOf(const v1::ResourceQuota& q) {
  Scopes out;
  for (const auto& s : q.spec.scopes) {
    out.emplace_back();
    out.back().scopeName = s;
    out.back().operator_ = "Exists";
  }
  if (q.spec.scopeSelector) {
    for (const auto& r : q.spec.scopeSelector->matchExpressions) out.push_back(r);
  }
  return out;
}

bool covers(const Scopes& scopes, const Evaluator& evaluator, const api::Object& o) {
  return std::all_of(scopes.begin(), scopes.end(), [&](const auto& s) { return evaluator.inScope(s, o); });
}

// The quota speaks of the object.
bool applies(const v1::ResourceQuota& q, const Evaluator& evaluator, const api::Object& o) {
  return !evaluator.matching(namesOf(q.status.hard)).empty() && covers(scopesOf(q), evaluator, o);
}

bool usageIsKnown(const v1::ResourceQuota& q, const Names& names) {
  return std::all_of(names.begin(), names.end(), [&](const std::string& n) { return q.status.used.contains(n); });
}

// Why the quota has no room for the amounts, or "".
std::string exceeded(const v1::ResourceQuota& q, const ResourceList& asked, const ResourceList& after) {
  Names beyond;
  for (const auto& [name, q2] : asked) {
    const codec::Quantity *hard = q.status.hard.find(name), *sum = after.find(name);
    if (hard != nullptr && sum != nullptr && *sum > *hard) beyond.push_back(name.str());
  }
  if (beyond.empty()) return "";
  return fmt::format("exceeded quota: {}, requested: {}, used: {}, limited: {}", q.metadata.name, text(only(asked, beyond)),
                     text(only(q.status.used, beyond)), text(only(q.status.hard, beyond)));
}

std::string sorted(Names names) {
  std::sort(names.begin(), names.end());
  return fmt::format("{}", fmt::join(names, ","));
}

}  // namespace

std::string charge(std::vector<v1::ResourceQuota>& quotas, const Evaluator& evaluator, std::string_view subresource, const api::Object& o,
                   const api::Object* old, WallTime now) {
  std::vector<size_t> concerned;
  for (size_t i = 0; i < quotas.size(); i++) {
    if (!applies(quotas[i], evaluator, o)) continue;
    Names names = evaluator.matching(namesOf(quotas[i].status.hard));
    if (std::string why = evaluator.lacks(names, o); !why.empty()) return fmt::format("failed quota: {}: {}", quotas[i].metadata.name, why);
    if (!usageIsKnown(quotas[i], names)) {
      return fmt::format("status unknown for quota: {}, resources: {}", quotas[i].metadata.name, sorted(std::move(names)));
    }
    concerned.push_back(i);
  }
  ResourceList usage = evaluator.usage(o, now);
  Names negative;
  for (const auto& [name, q] : usage) {
    if (q.sign() < 0) negative.push_back(name.str());
  }
  if (!negative.empty()) return fmt::format("quota usage is negative for resource(s): {}", sorted(std::move(negative)));
  ResourceList change = old == nullptr ? usage : lessNothingNegative(usage, evaluator.usage(*old, now));

  std::vector<std::pair<size_t, ResourceList>> next;
  for (size_t i : concerned) {
    const v1::ResourceQuota& q = quotas[i];
    // An object that comes under the quota with this write is new to it.
    ResourceList delta = withoutZeros(old != nullptr && applies(q, evaluator, *old) ? change : usage);
    if (delta.empty()) continue;
    ResourceList asked = only(delta, namesOf(q.status.hard));
    ResourceList after = q.status.used;
    addTo(after, asked);
    if (subresource != "status") {
      if (std::string why = exceeded(q, asked, after); !why.empty()) return why;
    }
    next.emplace_back(i, std::move(after));
  }
  for (auto& [i, after] : next) quotas[i].status.used = std::move(after);
  return "";
}

ResourceList used(const v1::ResourceQuota& quota, std::span<const Population> kinds, WallTime now) {
  Names hard = namesOf(quota.spec.hard), counted;
  Scopes scopes = scopesOf(quota);
  ResourceList sum;
  for (const Population& kind : kinds) {
    Names names = kind.evaluator->matching(hard);
    if (names.empty()) continue;
    for (const std::string& n : names) counted.push_back(n);
    ResourceList none;
    for (const std::string& n : names) none[n] = codec::Quantity();
    addTo(sum, none);
    for (const api::ObjectPtr& o : kind.objects()) {
      if (covers(scopes, *kind.evaluator, *o)) addTo(sum, kind.evaluator->usage(*o, now));
    }
  }
  return only(sum, counted);
}

}  // namespace km::resources
