// The walks over documents: field sets, comparison, removal.
#include "object/typed.h"

#include <map>

namespace km::object {

using codec::Value;

void Comparison::exclude(const FieldSet& fields) {
  if (fields.empty()) return;
  removed = removed.subtractRecursively(fields);
  modified = modified.subtractRecursively(fields);
  added = added.subtractRecursively(fields);
}

namespace {

class Collector {
 public:
  FieldSet set;

  void visit(const Value& v, const Schema& schema) {
    Schema s = schema.deduced(v);
    switch (s.kind()) {
      case Schema::Kind::kScalar:
        return insert();
      case Schema::Kind::kAnything:
        return insert();
      case Schema::Kind::kList:
        if (s.atomic()) return insert();
        return list(v, s);
      case Schema::Kind::kRaw:
        if (v.isScalar()) return insert();
        return map(v, s);
      case Schema::Kind::kMap:
      case Schema::Kind::kStruct:
        if (s.atomic()) return insert();
        return map(v, s);
    }
  }

 private:
  void insert() { set.insert(path_); }

  void list(const Value& v, const Schema& s) {
    std::map<PathElement, int> counts;
    std::vector<PathElement> elements;
    std::string error;
    for (const Value& e : v.items()) {
      auto pe = elementPath(e, s, &error);
      elements.push_back(pe ? std::move(*pe) : PathElement());
      counts[elements.back()]++;
    }
    size_t i = 0;
    for (const Value& e : v.items()) {
      const PathElement& pe = elements[i++];
      path_.push_back(pe);
      // Elements that cannot be told apart are owned as one.
      if (counts[pe] == 1) visit(e, s.element());
      insert();
      path_.pop_back();
    }
  }

  void map(const Value& v, const Schema& s) {
    for (const auto& m : v.members()) {
      path_.push_back(PathElement::field(m.key));
      Schema child = s.element();
      bool declared = s.field(m.key, &child);
      visit(m.value, child);
      if (!declared || m.value.isNull() || (m.value.isObject() && m.value.size() == 0)) insert();
      path_.pop_back();
    }
  }

  FieldPath path_;
};

class Comparer {
 public:
  Comparison result;

  // At most one of them is null, which means absent.
  void visit(const Value* l, const Value* r, const Schema& schema) {
    bool leaf = visitInside(l, r, schema);
    if (leaf) return;
    if (l == nullptr) {
      result.added.insert(path_);
    } else if (r == nullptr) {
      result.removed.insert(path_);
    }
  }

 private:
  bool leaf(const Value* l, const Value* r) {
    if (l == nullptr) {
      result.added.insert(path_);
    } else if (r == nullptr) {
      result.removed.insert(path_);
    } else if (!(*l == *r)) {
      result.modified.insert(path_);
    }
    return true;
  }

  // Whether the place was compared as a whole.
  bool visitInside(const Value* l, const Value* r, const Schema& schema) {
    const Value& some = r != nullptr ? *r : *l;
    Schema s = schema.deduced(some);
    auto size = [](const Value* v) { return v != nullptr ? v->size() : 0; };
    bool bothEmpty = size(l) == 0 && size(r) == 0;
    switch (s.kind()) {
      case Schema::Kind::kScalar:
      case Schema::Kind::kRaw:  // upstream does not look into Go's RawExtension
      case Schema::Kind::kAnything:
        return leaf(l, r);
      case Schema::Kind::kList:
        if (s.atomic() || bothEmpty) return leaf(l, r);
        list(l, r, s);
        return false;
      case Schema::Kind::kMap:
      case Schema::Kind::kStruct:
        if (s.atomic() || bothEmpty) return leaf(l, r);
        map(l, r, s);
        return false;
    }
    return true;
  }

  using Index = std::map<PathElement, std::vector<const Value*>>;
  Index index(const Value* list, const Schema& s) {
    Index out;
    std::string error;
    if (list == nullptr) return out;
    for (const Value& e : list->items()) {
      if (auto pe = elementPath(e, s, &error)) {
        out[std::move(*pe)].push_back(&e);
      } else {
        result.broken = true;
      }
    }
    return out;
  }

  void list(const Value* l, const Value* r, const Schema& s) {
    Index left = index(l, s), right = index(r, s);
    Index all = left;
    all.insert(right.begin(), right.end());
    for (const auto& [pe, _] : all) {
      const auto& ls = left[pe];
      const auto& rs = right[pe];
      path_.push_back(pe);
      if (ls.size() <= 1 && rs.size() <= 1) {
        visit(ls.empty() ? nullptr : ls[0], rs.empty() ? nullptr : rs[0], s.element());
      } else if (ls.size() >= 2 && rs.size() >= 2) {
        bool same = ls.size() == rs.size();
        for (size_t i = 0; same && i < ls.size(); i++) same = *ls[i] == *rs[i];
        if (!same) result.modified.insert(path_);
      } else if (ls.size() >= 2) {
        if (!rs.empty()) visit(nullptr, rs[0], s.element());
        result.removed.insert(path_);
      } else {
        if (!ls.empty()) visit(ls[0], nullptr, s.element());
        result.added.insert(path_);
      }
      path_.pop_back();
    }
  }

  void map(const Value* l, const Value* r, const Schema& s) {
    std::span<const Value::Member> left, right;
    if (l != nullptr) left = l->members();
    if (r != nullptr) right = r->members();
    size_t i = 0, j = 0;
    while (i < left.size() || j < right.size()) {
      int c = i == left.size() ? 1 : j == right.size() ? -1 : left[i].key.view().compare(right[j].key.view());
      std::string_view key = c <= 0 ? left[i].key.view() : right[j].key.view();
      path_.push_back(PathElement::field(key));
      Schema child = s.element();
      s.field(key, &child);
      visit(c <= 0 ? &left[i].value : nullptr, c >= 0 ? &right[j].value : nullptr, child);
      path_.pop_back();
      if (c <= 0) i++;
      if (c >= 0) j++;
    }
  }

  FieldPath path_;
};

}  // namespace

FieldSet fieldSetOf(const Value& v, const Schema& s) {
  Collector walk;
  walk.visit(v, s);
  return std::move(walk.set);
}

Comparison compareDocuments(const Value& left, const Value& right, const Schema& s) {
  Comparer walk;
  walk.visit(&left, &right, s);
  return std::move(walk.result);
}

namespace {

// What is left of a value below which something was removed: never less than an empty container.
Value removeBelow(const Value& v, const FieldSet& fields, const Schema& s) {
  Value left = removeFields(v, fields, s);
  if (!left.isNull()) return left;
  return v.isObject() ? Value::object() : v.isList() ? Value::list() : Value();
}

}  // namespace

Value removeFields(const Value& v, const FieldSet& fields, const Schema& schema) {
  Schema s = schema.deduced(v);
  if (s.kind() == Schema::Kind::kScalar || v.isScalar()) return v;
  if (s.atomic() || v.size() == 0) return {};
  Value out = v.isList() ? Value::list() : Value::object();
  bool matched = false;
  std::string error;
  for (const Value& e : v.items()) {
    auto pe = elementPath(e, s, &error);
    if (!pe) {
      out.push(e);
      continue;
    }
    if (fields.hasMember(*pe)) continue;
    const FieldSet* below = fields.child(*pe);
    if (below != nullptr && !below->empty()) {
      matched = true;
      out.push(removeBelow(e, *below, s.element()));
    } else {
      out.push(e);
    }
  }
  for (const auto& m : v.members()) {
    PathElement pe = PathElement::field(m.key);
    if (fields.hasMember(pe)) continue;
    const FieldSet* below = fields.child(pe);
    if (below != nullptr && !below->empty()) {
      matched = true;
      Schema child = s.element();
      s.field(m.key, &child);
      out.set(m.key, removeBelow(m.value, *below, child));
    } else {
      out.set(m.key, m.value);
    }
  }
  if (out.size() == 0 && !matched) return {};
  return out;
}

namespace {

// The schema of what a path element leads to; false if the tables do not know it.
bool childSchema(const Schema& s, const PathElement& e, Schema* out) {
  if (e.kind == PathElement::Kind::kField) {
    if (s.field(e.name, out)) return true;
    if (s.kind() != Schema::Kind::kMap && s.kind() != Schema::Kind::kRaw) return false;
    *out = s.element();
    return true;
  }
  if (s.kind() != Schema::Kind::kList) return false;
  *out = s.element();
  return true;
}

}  // namespace

FieldSet withNamedFields(const FieldSet& set, const Schema& s) {
  FieldSet out;
  for (const PathElement& m : set.members()) out.insertMember(m);
  for (const FieldSet::Child& c : set.children()) {
    Schema child;
    if (c.element.kind == PathElement::Kind::kField && s.field(c.element.name, &child))
      out.insertMember(c.element);
    // Below what the tables do not know nothing is named.
    if (!childSchema(s, c.element, &child)) child = Schema();
    FieldSet below = withNamedFields(c.set, child);
    if (!below.empty()) out.descend(c.element) = std::move(below);
  }
  return out;
}

FieldSet reconciled(const FieldSet& set, const Schema& s) {
  FieldSet out;
  for (const PathElement& m : set.members()) out.insertMember(m);
  for (const FieldSet::Child& c : set.children()) {
    Schema child;
    if (!childSchema(s, c.element, &child) || child.kind() == Schema::Kind::kRaw ||
        child.kind() == Schema::Kind::kAnything) {
      out.descend(c.element) = c.set;
      continue;
    }
    bool container = child.kind() != Schema::Kind::kScalar;
    if (container && child.atomic()) {
      if (c.set.size() > 0) out.insertMember(c.element);
      continue;
    }
    FieldSet below = reconciled(c.set, child);
    if (!below.empty()) out.descend(c.element) = std::move(below);
  }
  return out;
}

}  // namespace km::object
