#include "object/convert_rules.h"

namespace km::object {
namespace {

using codec::Value;

void rename(Value& v, std::string_view from, std::string_view to) {
  Value* old = v.find(from);
  if (old == nullptr) return;
  Value moved = std::move(*old);
  v.erase(from);
  v.set(to, std::move(moved));
}

constexpr std::string_view kEventNames[][2] = {{"involvedObject", "regarding"},
                                               {"message", "note"},
                                               {"source", "deprecatedSource"},
                                               {"firstTimestamp", "deprecatedFirstTimestamp"},
                                               {"lastTimestamp", "deprecatedLastTimestamp"},
                                               {"count", "deprecatedCount"},
                                               {"reportingComponent", "reportingController"}};

void eventFromCore(Value& v) {
  for (const auto& n : kEventNames) rename(v, n[0], n[1]);
}

void eventToCore(Value& v) {
  for (const auto& n : kEventNames) rename(v, n[1], n[0]);
}

// Moves every member but `kept` into or out of the object under `name`.
void nest(Value& v, std::string_view name, std::initializer_list<std::string_view> kept) {
  Value inner = Value::object();
  Value outer = Value::object();
  for (auto& m : v.members()) {
    bool keep = false;
    for (std::string_view k : kept) keep = keep || m.key == k;
    (keep ? outer : inner).set(m.key, std::move(m.value));
  }
  if (inner.size() != 0) outer.set(name, std::move(inner));
  v = std::move(outer);
}

void unnest(Value& v, std::string_view name) {
  Value* found = v.find(name);
  if (found == nullptr) return;
  Value inner = std::move(*found);
  v.erase(name);
  for (auto& m : inner.members()) v.set(m.key, std::move(m.value));
}

Value* below(Value* v, std::initializer_list<std::string_view> path) {
  for (std::string_view p : path) v = v != nullptr ? v->find(p) : nullptr;
  return v;
}

// resource.k8s.io/v1beta1: a request has its fields in itself where later versions nest them under "exactly",
// and a device nests under "basic" what later versions have in itself.
template <typename F>
void eachRequest(Value& v, F f) {
  for (Value* claim : {below(&v, {"spec"}), below(&v, {"spec", "spec"})}) {
    Value* requests = below(claim, {"devices", "requests"});
    if (requests == nullptr) continue;
    for (Value& r : requests->items()) f(r);
  }
}

void requestsToFlat(Value& v) {
  eachRequest(v, [](Value& r) { unnest(r, "exactly"); });
}

void requestsFromFlat(Value& v) {
  eachRequest(v, [](Value& r) {
    if (const Value* c = r.find("deviceClassName"); c != nullptr && c->asString().empty())
      r.erase("deviceClassName");
    nest(r, "exactly", {"name", "firstAvailable"});
  });
}

void devicesToNested(Value& v) {
  if (Value* devices = below(&v, {"spec", "devices"})) {
    for (Value& d : devices->items()) {
      nest(d, "basic", {"name"});
      if (d.find("basic") == nullptr) d.set("basic", Value::object());
    }
  }
}

void devicesFromNested(Value& v) {
  if (Value* devices = below(&v, {"spec", "devices"})) {
    for (Value& d : devices->items()) unnest(d, "basic");
  }
}

}  // namespace

ConversionRule conversionRule(const codec::TypeInfo& from, const codec::TypeInfo& to) {
  if (from.name == "Event") {
    if (from.apiVersion == "v1") return eventFromCore;
    if (to.apiVersion == "v1") return eventToCore;
  }
  if (from.name == "HorizontalPodAutoscaler") {
    if (to.apiVersion == "autoscaling/v1") return autoscalerToV1;
    if (from.apiVersion == "autoscaling/v1") return autoscalerToV2;
  }
  constexpr std::string_view kOldResource = "resource.k8s.io/v1beta1";
  bool fromOld = from.apiVersion == kOldResource, toOld = to.apiVersion == kOldResource;
  if (fromOld == toOld) return nullptr;
  if (from.name == "ResourceClaim" || from.name == "ResourceClaimTemplate")
    return toOld ? requestsToFlat : requestsFromFlat;
  if (from.name == "ResourceSlice") return toOld ? devicesToNested : devicesFromNested;
  return nullptr;
}

}  // namespace km::object
