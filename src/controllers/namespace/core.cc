#include "controllers/namespace/core.h"

#include <algorithm>

namespace km::controllers::nscontroller {
namespace {

using api::core_v1::NamespaceCondition;

struct Row {
  std::string_view type, okReason, okMessage;
};
constexpr Row kRows[] = {
    {"NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"},
    {"NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", "All legacy kube types successfully parsed"},
    {"NamespaceDeletionContentFailure", "ContentDeleted",
     "All content successfully deleted, may be waiting on finalization"},
    {"NamespaceContentRemaining", "ContentRemoved", "All content successfully removed"},
    {"NamespaceFinalizersRemaining", "ContentHasNoFinalizers", "All content-preserving finalizers finished"},
};

std::string joined(std::vector<std::string> parts) {
  std::sort(parts.begin(), parts.end());
  std::string out;
  for (const auto& p : parts) out += (out.empty() ? "" : ", ") + p;
  return out;
}

// {reason, message} of a condition that holds; an empty reason: it does not.
std::pair<std::string, std::string> problem(std::string_view type, const Findings& f, bool totals) {
  std::vector<std::string> parts;
  if (type == "NamespaceDeletionContentFailure" && !f.errors.empty()) {
    return {"ContentDeletionFailed", "Failed to delete all resource types, " + std::to_string(f.errors.size()) +
                                         " remaining: " + joined(f.errors)};
  }
  if (type == "NamespaceContentRemaining" && totals && !f.remaining.empty()) {
    for (const auto& [name, n] : f.remaining) parts.push_back(name + " has " + std::to_string(n) + " resource instances");
    return {"SomeResourcesRemain", "Some resources are remaining: " + joined(parts)};
  }
  if (type == "NamespaceFinalizersRemaining" && totals && !f.finalizers.empty()) {
    for (const auto& [name, n] : f.finalizers) parts.push_back(name + " in " + std::to_string(n) + " resource instances");
    return {"SomeFinalizersRemain", "Some content in the namespace has finalizers remaining: " + joined(parts)};
  }
  return {};
}

}  // namespace

bool updateConditions(api::core_v1::NamespaceStatus& status, const Findings& findings, bool totals, WallTime now) {
  bool changed = false;
  for (const Row& row : kRows) {
    auto [reason, message] = problem(row.type, findings, totals);
    std::string_view value = reason.empty() ? "False" : "True";
    if (reason.empty()) {
      reason = row.okReason;
      message = row.okMessage;
    }
    NamespaceCondition* c = nullptr;
    for (auto& existing : status.conditions) {
      if (existing.type == row.type) c = &existing;
    }
    if (c != nullptr && c->status == value && c->reason == reason && c->message == message) continue;
    if (c == nullptr) {
      c = &status.conditions.add();
      c->type = row.type;
    }
    if (c->status != value) c->lastTransitionTime = codec::Time(now);
    c->status = value;
    c->reason = reason;
    c->message = message;
    changed = true;
  }
  return changed;
}

}  // namespace km::controllers::nscontroller
