#include "controllers/garbagecollector/core.h"

#include "codec/json.h"

namespace km::controllers::garbagecollector {

bool hasFinalizer(const ObjectMeta& meta, std::string_view name) {
  for (const codec::String& f : meta.finalizers) {
    if (f == name) return true;
  }
  return false;
}

bool isDeletingDependents(const ObjectMeta& meta) { return meta.deletionTimestamp && hasFinalizer(meta, kForeground); }
bool isOrphaning(const ObjectMeta& meta) { return meta.deletionTimestamp && hasFinalizer(meta, kOrphan); }

bool ownsBlocking(const ObjectMeta& dependent, std::string_view ownerUid) {
  for (const OwnerReference& r : dependent.ownerReferences) {
    if (r.uid == ownerUid) return r.blockOwnerDeletion.value_or(false);
  }
  return false;
}

Decision decide(const ObjectMeta& latest, const std::vector<OwnerState>& states, bool dependents, bool circle) {
  Decision out;
  bool solid = false, waiting = false;
  for (size_t i = 0; i < states.size(); i++) {
    if (states[i] == OwnerState::kSolid) {
      solid = true;
      continue;
    }
    waiting |= states[i] == OwnerState::kWaiting;
    out.drop.push_back(latest.ownerReferences[i].uid.str());
  }
  if (states.empty()) return out;
  if (solid) {
    if (!out.drop.empty()) out.act = Decision::Act::kDropReferences;
    return out;
  }
  out.drop.clear();
  out.act = Decision::Act::kRemove;
  if (waiting && dependents) {
    out.policy = "Foreground";
    out.unblock = circle;
  } else if (hasFinalizer(latest, kOrphan)) {
    out.policy = "Orphan";
  } else if (hasFinalizer(latest, kForeground)) {
    out.policy = "Foreground";
  } else {
    out.policy = "Background";
  }
  return out;
}

std::string dropReferencesPatch(const ObjectMeta& object, const std::vector<std::string>& ownerUids) {
  std::string out = R"({"metadata":{"ownerReferences":[)";
  for (size_t i = 0; i < ownerUids.size(); i++) {
    if (i > 0) out += ',';
    out += R"({"$patch":"delete","uid":)";
    codec::appendJsonString(out, ownerUids[i]);
    out += '}';
  }
  out += R"(],"uid":)";
  codec::appendJsonString(out, object.uid);
  return out + "}}";
}

std::string unblockPatch(const ObjectMeta& object) {
  std::string out = R"({"metadata":{"ownerReferences":[)";
  bool first = true;
  for (const OwnerReference& r : object.ownerReferences) {
    if (!r.blockOwnerDeletion.value_or(false)) continue;
    OwnerReference free = r;
    free.blockOwnerDeletion = false;
    if (!first) out += ',';
    first = false;
    codec::encodeJson(out, &free, OwnerReference::kType, "");
  }
  out += R"(],"uid":)";
  codec::appendJsonString(out, object.uid);
  return out + "}}";
}

std::string dropFinalizerPatch(const ObjectMeta& object, std::string_view finalizer) {
  std::string out = R"({"metadata":{"resourceVersion":)";
  codec::appendJsonString(out, object.resourceVersion);
  out += R"(,"finalizers":[)";
  bool first = true;
  for (const codec::String& f : object.finalizers) {
    if (f == finalizer) continue;
    if (!first) out += ',';
    first = false;
    codec::appendJsonString(out, f);
  }
  return out + "]}}";
}

}  // namespace km::controllers::garbagecollector
