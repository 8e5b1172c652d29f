// Merging an applied document into the live one.
#include <map>

#include "object/typed.h"

namespace km::object {
namespace {

using codec::Value;

std::optional<Value> merge(const Value* l, const Value* r, const Schema& schema);

Value keepRight(const Value* l, const Value* r) {
  return r != nullptr ? *r : *l;
}

struct Keyed {
  std::vector<PathElement> order;
  std::vector<const Value*> values;           // beside `order`
  std::map<PathElement, const Value*> first;  // null JSON for what occurs more than once on the left
};

Keyed keyed(const Value* list, const Schema& s) {
  static const Value kAmbiguous;
  Keyed out;
  std::string error;
  if (list == nullptr) return out;
  for (const Value& e : list->items()) {
    auto pe = elementPath(e, s, &error);
    if (!pe) continue;
    auto [it, added] = out.first.emplace(*pe, &e);
    if (!added) it->second = &kAmbiguous;
    out.order.push_back(std::move(*pe));
    out.values.push_back(&e);
  }
  return out;
}

// The order of the result: the applied elements keep their own order, and those of the live list stay near
// the neighbours that they had.
Value mergeLists(const Value* l, const Value* r, const Schema& s) {
  Keyed left = keyed(l, s), right = keyed(r, s);
  std::vector<const PathElement*> shared;
  for (const PathElement& pe : right.order) {
    if (left.first.count(pe) != 0) shared.push_back(&pe);
  }
  size_t sharedAt = 0;
  auto nextShared = [&]() { return sharedAt < shared.size() ? shared[sharedAt] : nullptr; };
  std::map<PathElement, bool> merged;
  Value out = Value::list();
  auto emit = [&](const Value* a, const Value* b) {
    if (auto v = merge(a, b, s.element())) out.push(std::move(*v));
  };
  auto leftOf = [&](const PathElement& pe) {
    auto it = left.first.find(pe);
    return it != left.first.end() ? it->second : nullptr;
  };
  size_t i = 0, j = 0;
  while (i < left.order.size() || j < right.order.size()) {
    if (i < left.order.size() && j < right.order.size()) {
      const PathElement& pe = left.order[i];
      if (pe == right.order[j]) {
        merged[pe] = true;
        emit(leftOf(pe), right.first[pe]);
        i++, j++;
        sharedAt++;
        continue;
      }
      // Shared, but not the one whose turn it is.
      if (right.first.count(pe) != 0 && nextShared() != nullptr && !(*nextShared() == pe)) {
        i++;
        continue;
      }
    }
    if (i < left.order.size()) {
      const PathElement& pe = left.order[i];
      if (right.first.count(pe) == 0) {
        emit(left.values[i], nullptr);
        i++;
        continue;
      }
      if (merged.count(pe) != 0) i++;
    }
    if (j < right.order.size()) {
      const PathElement& pe = right.order[j];
      merged[pe] = true;
      emit(leftOf(pe), right.first[pe]);
      j++;
      if (nextShared() != nullptr && *nextShared() == pe) sharedAt++;
    }
  }
  return out;
}

Value mergeMaps(const Value* l, const Value* r, const Schema& s) {
  std::span<const Value::Member> left, right;
  if (l != nullptr) left = l->members();
  if (r != nullptr) right = r->members();
  Value out = Value::object();
  size_t i = 0, j = 0;
  while (i < left.size() || j < right.size()) {
    int c = i == left.size() ? 1 : j == right.size() ? -1 : left[i].key.view().compare(right[j].key.view());
    std::string_view key = c <= 0 ? left[i].key.view() : right[j].key.view();
    Schema child = s.element();
    s.field(key, &child);
    if (auto v = merge(c <= 0 ? &left[i].value : nullptr, c >= 0 ? &right[j].value : nullptr, child))
      out.set(key, std::move(*v));
    if (c <= 0) i++;
    if (c >= 0) j++;
  }
  return out;
}

std::optional<Value> merge(const Value* l, const Value* r, const Schema& schema) {
  const Value& some = r != nullptr ? *r : *l;
  Schema s = schema.deduced(some);
  bool raw = s.kind() == Schema::Kind::kRaw || s.kind() == Schema::Kind::kAnything;
  if (raw && l != nullptr && r != nullptr && l->type() != r->type()) return keepRight(l, r);
  if (s.kind() == Schema::Kind::kScalar || s.kind() == Schema::Kind::kAnything || some.isScalar())
    return keepRight(l, r);
  auto size = [](const Value* v) { return v != nullptr ? v->size() : 0; };
  if (s.atomic() || (size(l) == 0 && size(r) == 0)) return keepRight(l, r);
  Value out = s.kind() == Schema::Kind::kList ? mergeLists(l, r, s) : mergeMaps(l, r, s);
  if (out.size() == 0) return std::nullopt;
  return out;
}

}  // namespace

Value mergeDocuments(const Value& left, const Value& right, const Schema& s) {
  auto v = merge(&left, &right, s);
  return v ? std::move(*v) : Value();
}

}  // namespace km::object
