#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "base/strings.h"
#include "object/go_print.h"
#include "object/patch_kinds.h"

namespace km::object {
namespace {

using codec::Field;
using codec::Kind;
using codec::Shape;
using codec::TypeInfo;
using codec::Value;

constexpr std::string_view kDirective = "$patch";
constexpr std::string_view kRetainKeys = "$retainKeys";
constexpr std::string_view kDeleteFromPrimitiveList = "$deleteFromPrimitiveList";
constexpr std::string_view kSetElementOrder = "$setElementOrder";

// What the tables say of a place in the document.
struct Schema {
  const TypeInfo* type = nullptr;  // of a struct
  std::string_view goKind = "struct";
};

struct FieldSchema {
  Schema schema;  // of the value, or of the elements of a list
  bool merge = false;
  bool replace = false;  // a struct is taken from the patch as it is
  std::string_view mergeKey;
};

Status plain(std::string message) {
  return Status(500, "", message);
}
Status badArgument(std::string_view expected, const Value& actual) {
  return plain(fmt::format("expected a {}, but received a {}", expected, goType(actual)));
}
Status noMergeKey(const Value& map, std::string_view key) {
  return plain(fmt::format("map: {} does not contain declared merge key: {}", goPrint(map), key));
}
Status badDirective(const Value& directive, const Value& map) {
  return plain(fmt::format("unknown patch type: {} in map: {}", goPrintAsString(directive), goPrint(map)));
}
Status badRetainKeys() {
  return errors::badRequest("invalid patch format of retainKeys");
}
Status listOfLists() {
  return Status(422, "Invalid", "the server rejected our request due to an error in our request",
                StatusDetails{});
}

std::string_view goKindOf(const Field& f) {
  if (f.shape == Shape::kMap) return "map";
  if (f.shape == Shape::kList) return "slice";
  switch (f.kind) {
    case Kind::kBool:
      return "bool";
    case Kind::kInt32:
      return "int32";
    case Kind::kInt64:
      return "int64";
    case Kind::kString:
      return "string";
    default:
      return "struct";
  }
}

Status lookUp(const Schema& s, std::string_view key, bool list, FieldSchema* out) {
  if (s.goKind != "struct") {
    return plain(
        fmt::format("merging an object in json but data type is not struct, instead is: {}", s.goKind));
  }
  const Field* field = nullptr;
  if (s.type != nullptr && s.type->form == codec::Form::kObject) {
    field = s.type->find(key);
    for (const Field& f : *s.type) {
      if (field == nullptr && equalFold(f.name, key)) field = &f;
    }
  }
  if (field == nullptr) {
    return plain(fmt::format("unable to find api field in struct {} for the json field {}",
                             s.type != nullptr ? s.type->name : "RawExtension", quote(key)));
  }
  if (list && field->shape != Shape::kList) return plain("expected slice or array type, but got: struct");
  *out = {};
  if (field->kind == Kind::kMessage && (field->shape != Shape::kMap)) {
    out->schema = {field->type, "struct"};
  } else {
    out->schema = {nullptr, field->shape == Shape::kMap ? "map" : goKindOf(*field)};
  }
  // The one patchStrategy=replace upstream, which the tables do not tell from none.
  out->replace = s.type->name == "PodDisruptionBudgetSpec" && field->name == "selector";
  if (field->marks != nullptr) {
    out->merge = field->marks->patchMerge;
    if (field->marks->patchKey != nullptr) out->mergeKey = field->marks->patchKey;
  }
  return {};
}

// Removes whatever carries a directive; false: the value itself does.
bool removeDirectives(Value& v) {
  if (v.isObject()) {
    if (v.find(kDirective) != nullptr) return false;
    for (size_t i = v.size(); i-- > 0;) {
      auto& m = v.members()[i];
      if (!removeDirectives(m.value)) v.erase(std::string(m.key.view()));
    }
  }
  for (size_t i = v.items().size(); i-- > 0;) {
    if (!removeDirectives(v.items()[i])) v.remove(i);
  }
  return true;
}

void discardNulls(Value& v) {
  for (Value& e : v.items()) discardNulls(e);
  for (size_t i = v.isObject() ? v.size() : 0; i-- > 0;) {
    auto& m = v.members()[i];
    if (m.value.isNull()) {
      v.erase(std::string(m.key.view()));
    } else {
      discardNulls(m.value);
    }
  }
}

// What identifies an element: itself, or its merge key. The text tells values of different types apart.
std::string identity(const Value& element, std::string_view mergeKey) {
  std::string out;
  const Value* v = mergeKey.empty() ? &element : element.find(mergeKey);
  if (v != nullptr) v->appendExactJson(out);
  return out;
}

// First index of every identity.
std::unordered_map<std::string, size_t> indexBy(const Value& list, std::string_view mergeKey) {
  std::unordered_map<std::string, size_t> out;
  size_t i = 0;
  for (const Value& e : list.items()) out.emplace(identity(e, mergeKey), i++);
  return out;
}

// All elements of both lists must have one type, which `isMap` tells; lists of lists are refused.
Status elementType(const Value& a, const Value& b, bool* isMap) {
  const Value* first = nullptr;
  for (const Value* list : {&a, &b}) {
    for (const Value& e : list->items()) {
      if (first == nullptr) {
        first = &e;
        if (e.isList()) return listOfLists();
      } else if (e.type() != first->type()) {
        return plain(fmt::format("list element types are not identical: [{} {}]", goPrint(a), goPrint(b)));
      }
    }
  }
  if (first == nullptr) return plain("no elements in any of the given slices");
  *isMap = first->isObject();
  return {};
}

Status checkMergeKeys(const Value& list, std::string_view mergeKey) {
  for (const Value& e : list.items()) {
    if (!e.isObject()) return badArgument("map[string]interface {}", e);
    if (e.find(mergeKey) == nullptr) return noMergeKey(e, mergeKey);
  }
  return {};
}

// Stable by the index of each element in `order`; those that it lacks move to the front as upstream's sort
// moves them.
void sortBy(std::vector<Value>& list, const Value& order, std::string_view mergeKey) {
  auto index = indexBy(order, mergeKey);
  std::vector<std::pair<int64_t, size_t>> at;
  bool all = true;
  for (size_t i = 0; i < list.size(); i++) {
    auto it = index.find(identity(list[i], mergeKey));
    all = all && it != index.end();
    at.emplace_back(it == index.end() ? -1 : static_cast<int64_t>(it->second), i);
  }
  if (all) {
    std::stable_sort(at.begin(), at.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  } else {
    auto less = [&](size_t i, size_t j) {
      return at[i].first < 0 || at[j].first < 0 || at[i].first < at[j].first;
    };
    for (size_t i = 1; i < std::min<size_t>(at.size(), 1000); i++) {
      for (size_t j = i; j > 0 && less(j, j - 1); j--) std::swap(at[j], at[j - 1]);
    }
  }
  std::vector<Value> sorted;
  sorted.reserve(list.size());
  for (auto& [_, i] : at) sorted.push_back(std::move(list[i]));
  list = std::move(sorted);
}

// Splits the merged list into what `order` names and what only the server has, sorts each by its own order,
// and zips them: a server-only element goes before the next named one if it stood before it on the server.
Status normalizeOrder(Value merged, const Value& patchOrder, const Value& serverOrder,
                      std::string_view mergeKey, bool isMap, Value* out) {
  if (isMap && !mergeKey.empty()) {
    KM_TRY(checkMergeKeys(merged, mergeKey));
    KM_TRY(checkMergeKeys(patchOrder, mergeKey));
    KM_TRY(checkMergeKeys(serverOrder, mergeKey));
  }
  auto named = indexBy(patchOrder, mergeKey);
  std::vector<Value> patchItems, serverOnly;
  for (Value& e : merged.items()) {
    (named.count(identity(e, mergeKey)) != 0 ? patchItems : serverOnly).push_back(std::move(e));
  }
  sortBy(patchItems, patchOrder, mergeKey);
  sortBy(serverOnly, serverOrder, mergeKey);
  auto server = indexBy(serverOrder, mergeKey);
  Value all = Value::list();
  size_t i = 0, j = 0;
  while (i < serverOnly.size() || j < patchItems.size()) {
    bool takeServer = j >= patchItems.size();
    if (i < serverOnly.size() && j < patchItems.size()) {
      auto l = server.find(identity(serverOnly[i], mergeKey)),
           r = server.find(identity(patchItems[j], mergeKey));
      takeServer = l != server.end() && r != server.end() && l->second < r->second;
    }
    all.push(std::move(takeServer ? serverOnly[i++] : patchItems[j++]));
  }
  *out = std::move(all);
  return {};
}

class Merger {
 public:
  Status map(Value& original, Value& patch, const Schema& schema) {
    if (const Value* directive = patch.find(kDirective); directive != nullptr) {
      if (directive->asString() == "replace") {
        patch.erase(kDirective);
        original = std::move(patch);
      } else if (directive->asString() == "delete") {
        original = Value::object();
      } else {
        return badDirective(*directive, patch);
      }
      return {};
    }
    KM_TRY(retainKeys(original, patch));
    KM_TRY(setElementOrders(original, patch, schema));
    for (auto& m : patch.members()) KM_TRY(member(original, m.key, m.value, schema));
    return {};
  }

 private:
  Status retainKeys(Value& original, Value& patch) {
    const Value* found = patch.find(kRetainKeys);
    if (found == nullptr) return {};
    if (!found->isList()) return badRetainKeys();
    Value keys = *found;
    patch.erase(kRetainKeys);
    auto index = indexBy(keys, {});
    auto kept = [&](std::string_view key) { return index.count(identity(Value::string(key), {})) != 0; };
    for (const auto& m : patch.members()) {
      if (m.value.isNull() || m.key.view().starts_with(kDeleteFromPrimitiveList) ||
          m.key.view().starts_with(kSetElementOrder)) {
        continue;
      }
      if (!kept(m.key)) return badRetainKeys();
    }
    for (size_t i = original.size(); i-- > 0;) {
      std::string key(original.members()[i].key.view());
      if (!kept(key)) original.erase(key);
    }
    return {};
  }

  // The key behind "prefix/".
  static Status keyOf(std::string_view text, std::string_view prefix, std::string* key) {
    auto parts = cut(text, '/');
    if (!parts || parts->first != prefix) {
      return errors::badRequest(prefix == kSetElementOrder ? "invalid patch format of setElementOrder list"
                                                           : "invalid patch format of primitive list");
    }
    *key = parts->second;
    return {};
  }

  Status setElementOrders(Value& original, Value& patch, const Schema& schema) {
    std::vector<std::string> directives;
    for (const auto& m : patch.members()) {
      if (m.key.view().starts_with(kSetElementOrder)) directives.emplace_back(m.key.view());
    }
    for (const std::string& directive : directives) {
      Value order = std::move(*patch.find(directive));
      patch.erase(directive);
      if (!order.isList()) return badArgument("[]interface {}", order);
      std::string key;
      KM_TRY(keyOf(directive, kSetElementOrder, &key));
      KM_TRY(setElementOrder(original, patch, key, order, schema));
    }
    return {};
  }

  Status setElementOrder(Value& original, Value& patch, const std::string& key, const Value& order,
                         const Schema& schema) {
    Value* originalList = original.find(key);
    Value* patchList = patch.find(key);
    if (originalList != nullptr && !originalList->isList())
      return badArgument("[]interface {}", *originalList);
    if (patchList != nullptr && !patchList->isList()) return badArgument("[]interface {}", *patchList);
    FieldSchema field;
    KM_TRY(lookUp(schema, key, true, &field));
    if (patchList != nullptr) KM_TRY(checkOrder(*patchList, order, field.mergeKey));
    if (originalList == nullptr && patchList == nullptr) return {};
    Value before = originalList != nullptr ? *originalList : Value::list();
    Value patched = patchList != nullptr ? *patchList : Value::list();
    Value merged;
    if (patchList == nullptr) {
      merged = before;
    } else if (originalList == nullptr) {
      merged = patched;
      if (!removeDirectives(merged)) return {};
    } else {
      merged = before;
      Value copy = patched;
      KM_TRY(list(merged, copy, field, false));
    }
    bool isMap = false;
    if (!field.mergeKey.empty()) KM_TRY(checkMergeKeys(merged, field.mergeKey));
    KM_TRY(elementType(before, patched, &isMap));
    Value sorted;
    KM_TRY(normalizeOrder(std::move(merged), order, before, field.mergeKey, isMap, &sorted));
    original.set(key, std::move(sorted));
    patch.erase(key);
    return {};
  }

  // The patch's elements must stand in the order of the directive.
  static Status checkOrder(const Value& patchList, const Value& order, std::string_view mergeKey) {
    if (order.size() == 0 || patchList.size() == 0) return {};
    size_t at = 0;
    for (const Value& e : patchList.items()) {
      if (!mergeKey.empty() && !e.isObject()) return badArgument("map[string]interface {}", e);
      if (const Value* d = e.find(kDirective); d != nullptr) continue;
      if (!mergeKey.empty() && e.find(mergeKey) == nullptr) return noMergeKey(e, mergeKey);
      std::string wanted = identity(e, mergeKey);
      while (true) {
        if (at >= order.size()) {
          return plain(
              fmt::format("The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                          goPrint(patchList), goPrint(order)));
        }
        const Value& o = order.items()[at++];
        if (!mergeKey.empty() && !o.isObject()) return badArgument("map[string]interface {}", o);
        if (!mergeKey.empty() && o.find(mergeKey) == nullptr) return noMergeKey(o, mergeKey);
        if (identity(o, mergeKey) == wanted) break;
      }
    }
    return {};
  }

  Status member(Value& original, std::string_view patchKey, Value& v, const Schema& schema) {
    std::string key(patchKey);
    bool isDeleteList = patchKey.starts_with(kDeleteFromPrimitiveList);
    if (isDeleteList) KM_TRY(keyOf(patchKey, kDeleteFromPrimitiveList, &key));
    if (v.isNull()) {
      original.erase(key);
      return {};
    }
    Value* old = original.find(key);
    if (old == nullptr || old->type() != v.type()) {
      if (isDeleteList) return {};
      discardNulls(v);
      if (removeDirectives(v)) {
        original.set(key, std::move(v));
      } else {
        original.erase(key);
      }
      return {};
    }
    FieldSchema field;
    if (old->isObject()) {
      KM_TRY(lookUp(schema, key, false, &field));
      if (field.replace) {
        *old = std::move(v);
        return {};
      }
      return map(*old, v, field.schema);
    }
    if (old->isList()) {
      KM_TRY(lookUp(schema, key, true, &field));
      return list(*old, v, field, isDeleteList);
    }
    *old = std::move(v);
    return {};
  }

  Status list(Value& original, Value& patch, const FieldSchema& field, bool isDeleteList) {
    if (!field.merge && !isDeleteList) {
      original = std::move(patch);
      return {};
    }
    if (original.size() == 0 && patch.size() == 0) return {};
    bool isMap = false;
    KM_TRY(elementType(original, patch, &isMap));
    std::string_view mergeKey = field.mergeKey;
    if (!isMap) {
      auto named = indexBy(patch, {});
      Value merged = Value::list();
      if (isDeleteList) {
        for (Value& e : original.items()) {
          if (named.count(identity(e, {})) == 0) merged.push(std::move(e));
        }
        original = std::move(merged);
        return {};
      }
      std::unordered_map<std::string, bool> seen;
      for (const Value* from : {&original, &patch}) {
        for (const Value& e : from->items()) {
          if (seen.emplace(identity(e, {}), true).second) merged.push(e);
        }
      }
      Value before = std::move(original);
      return normalizeOrder(std::move(merged), patch, before, mergeKey, false, &original);
    }
    if (mergeKey.empty()) {
      return plain(fmt::format("cannot merge lists without merge key for {}", field.schema.goKind));
    }
    return keyedList(original, patch, field);
  }

  Status keyedList(Value& original, Value& patch, const FieldSchema& field) {
    std::string_view mergeKey = field.mergeKey;
    Value wanted = Value::list();
    bool replace = false;
    std::unordered_map<std::string, bool> gone;
    for (Value& e : patch.items()) {
      const Value* directive = e.find(kDirective);
      if (directive == nullptr) {
        wanted.push(e);
        continue;
      }
      if (directive->asString() == "delete") {
        if (e.find(mergeKey) == nullptr) return noMergeKey(e, mergeKey);
        gone.emplace(identity(e, mergeKey), true);
      } else if (directive->asString() == "replace") {
        replace = true;
      } else if (directive->asString() == "merge") {
        return plain("merging lists cannot yet be specified in the patch");
      } else {
        return badDirective(*directive, e);
      }
    }
    if (!gone.empty()) {
      Value kept = Value::list();
      for (Value& e : original.items()) {
        if (gone.count(identity(e, mergeKey)) == 0) kept.push(std::move(e));
      }
      original = std::move(kept);
    }
    Value before, merged;
    if (replace) {
      before = wanted;  // upstream takes the patch as the server's list, and merges nothing into it
      merged = std::move(wanted);
    } else {
      before = original;
      merged = std::move(original);
      auto index = indexBy(merged, mergeKey);
      for (Value& e : wanted.items()) {
        if (e.find(mergeKey) == nullptr) return noMergeKey(e, mergeKey);
        auto [it, added] = index.emplace(identity(e, mergeKey), merged.size());
        if (added) {
          merged.push(std::move(e));
        } else {
          KM_TRY(map(merged.items()[it->second], e, field.schema));
        }
      }
      KM_TRY(checkMergeKeys(merged, mergeKey));
    }
    // Without the special elements, and each identity once: that is the order which the patch asks for.
    Value order = Value::list();
    for (const Value& e : patch.items()) {
      if (e.find(kDirective) == nullptr) order.push(e);
    }
    return normalizeOrder(std::move(merged), order, before, mergeKey, true, &original);
  }
};

}  // namespace

Status applyStrategicPatch(Value& document, Value patch, const TypeInfo& t) {
  return Merger().map(document, patch, {&t, "struct"});
}

}  // namespace km::object
