#include "object/field_set.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "object/go_print.h"

namespace km::object {

using codec::Value;

PathElement PathElement::field(std::string_view name) {
  PathElement e;
  e.name = name;
  return e;
}

PathElement PathElement::key(Value fields) {
  PathElement e;
  e.kind = Kind::kKey;
  e.value = std::move(fields);
  return e;
}

PathElement PathElement::element(Value value) {
  PathElement e;
  e.kind = Kind::kValue;
  e.value = std::move(value);
  return e;
}

PathElement PathElement::index(int64_t i) {
  PathElement e;
  e.kind = Kind::kIndex;
  e.value = Value::integer(i);
  return e;
}

int compare(const PathElement& a, const PathElement& b) {
  if (a.kind != b.kind) return a.kind < b.kind ? -1 : 1;
  if (a.kind == PathElement::Kind::kField) {
    int c = a.name.view().compare(b.name.view());
    return c < 0 ? -1 : c > 0 ? 1 : 0;
  }
  return Value::compare(a.value, b.value);
}

namespace {
std::string shown(const Value& v) {
  if (v.isNull()) return "null";
  return v.isString() ? quote(v.asString()) : goPrint(v);
}
}  // namespace

std::string PathElement::str() const {
  switch (kind) {
    case Kind::kField:
      return fmt::format(".{}", name);
    case Kind::kKey: {
      std::string out = "[";
      for (const auto& m : value.members()) {
        if (out.size() > 1) out += ',';
        out += fmt::format("{}={}", m.key, shown(m.value));
      }
      return out + "]";
    }
    case Kind::kValue:
      return fmt::format("[={}]", shown(value));
    case Kind::kIndex:
      return fmt::format("[{}]", value.asInt());
  }
  return {};
}

std::string PathElement::text() const {
  switch (kind) {
    case Kind::kField:
      return fmt::format("f:{}", name);
    case Kind::kKey:
      return "k:" + value.json();
    case Kind::kValue:
      return "v:" + value.json();
    case Kind::kIndex:
      return fmt::format("i:{}", value.asInt());
  }
  return {};
}

Result<PathElement> PathElement::parse(std::string_view text) {
  if (text.size() < 2) return errors::failed("key must be 2 characters long:");
  if (text[1] != ':') return errors::failed(fmt::format("missing colon: {}", text));
  std::string_view rest = text.substr(2);
  switch (text[0]) {
    case 'f':
      return field(rest);
    case 'v': {
      KM_ASSIGN(Value v, Value::parse(rest));
      return element(std::move(v));
    }
    case 'k': {
      KM_ASSIGN(Value v, Value::parse(rest));
      if (!v.isObject()) return errors::failed(fmt::format("not a key: {}", text));
      return key(std::move(v));
    }
    case 'i': {
      auto i = parseInt64(rest);
      if (!i) return errors::failed(fmt::format("strconv.Atoi: parsing {}: invalid syntax", quote(rest)));
      return index(*i);
    }
    default:
      return errors::notFound({"", "path element type"}, text.substr(0, 1));
  }
}

std::string pathText(const FieldPath& path) {
  std::string out;
  for (const PathElement& e : path) out += e.str();
  return out;
}

namespace {
auto findMember(const std::vector<PathElement>& v, const PathElement& e) {
  return std::lower_bound(v.begin(), v.end(), e);
}
template <typename C>
auto findChild(C& v, const PathElement& e) {
  return std::lower_bound(v.begin(), v.end(), e,
                          [](const FieldSet::Child& c, const PathElement& x) { return c.element < x; });
}
}  // namespace

bool FieldSet::empty() const {
  return members_.empty() &&
         std::all_of(children_.begin(), children_.end(), [](const Child& c) { return c.set.empty(); });
}

size_t FieldSet::size() const {
  size_t n = members_.size();
  for (const Child& c : children_) n += c.set.size();
  return n;
}

void FieldSet::insertMember(PathElement e) {
  auto it = findMember(members_, e);
  if (it == members_.end() || !(*it == e)) members_.insert(it, std::move(e));
}

FieldSet& FieldSet::descend(const PathElement& e) {
  auto it = findChild(children_, e);
  if (it == children_.end() || !(it->element == e)) it = children_.insert(it, Child{e, {}});
  return it->set;
}

const FieldSet* FieldSet::child(const PathElement& e) const {
  auto it = findChild(children_, e);
  return it == children_.end() || !(it->element == e) ? nullptr : &it->set;
}

void FieldSet::insert(const FieldPath& path) {
  FieldSet* s = this;
  for (size_t i = 0; i + 1 < path.size(); i++) s = &s->descend(path[i]);
  if (!path.empty()) s->insertMember(path.back());
}

bool FieldSet::hasMember(const PathElement& e) const {
  auto it = findMember(members_, e);
  return it != members_.end() && *it == e;
}

bool FieldSet::has(const FieldPath& path) const {
  if (path.empty()) return false;
  const FieldSet* s = this;
  for (size_t i = 0; i + 1 < path.size() && s != nullptr; i++) s = s->child(path[i]);
  return s != nullptr && s->hasMember(path.back());
}

FieldSet FieldSet::unite(const FieldSet& o) const {
  FieldSet out;
  std::set_union(members_.begin(), members_.end(), o.members_.begin(), o.members_.end(),
                 std::back_inserter(out.members_));
  size_t i = 0, j = 0;
  while (i < children_.size() || j < o.children_.size()) {
    int c = i == children_.size()     ? 1
            : j == o.children_.size() ? -1
                                      : compare(children_[i].element, o.children_[j].element);
    if (c < 0) {
      out.children_.push_back(children_[i++]);
    } else if (c > 0) {
      out.children_.push_back(o.children_[j++]);
    } else {
      out.children_.push_back({children_[i].element, children_[i].set.unite(o.children_[j].set)});
      i++, j++;
    }
  }
  return out;
}

FieldSet FieldSet::intersect(const FieldSet& o) const {
  FieldSet out;
  std::set_intersection(members_.begin(), members_.end(), o.members_.begin(), o.members_.end(),
                        std::back_inserter(out.members_));
  for (const Child& c : children_) {
    const FieldSet* other = o.child(c.element);
    if (other == nullptr) continue;
    FieldSet both = c.set.intersect(*other);
    if (!both.empty()) out.children_.push_back({c.element, std::move(both)});
  }
  return out;
}

FieldSet FieldSet::subtract(const FieldSet& o) const {
  FieldSet out;
  std::set_difference(members_.begin(), members_.end(), o.members_.begin(), o.members_.end(),
                      std::back_inserter(out.members_));
  for (const Child& c : children_) {
    const FieldSet* other = o.child(c.element);
    if (other == nullptr) {
      out.children_.push_back(c);
      continue;
    }
    FieldSet left = c.set.subtract(*other);
    if (!left.empty()) out.children_.push_back({c.element, std::move(left)});
  }
  return out;
}

FieldSet FieldSet::subtractRecursively(const FieldSet& o) const {
  FieldSet out;
  std::set_difference(members_.begin(), members_.end(), o.members_.begin(), o.members_.end(),
                      std::back_inserter(out.members_));
  for (const Child& c : children_) {
    if (o.hasMember(c.element)) continue;
    const FieldSet* other = o.child(c.element);
    if (other == nullptr) {
      out.children_.push_back(c);
      continue;
    }
    FieldSet left = c.set.subtractRecursively(*other);
    if (!left.empty()) out.children_.push_back({c.element, std::move(left)});
  }
  return out;
}

void FieldSet::eachBelow(FieldPath& prefix, const std::function<void(const FieldPath&)>& visit) const {
  for (const PathElement& m : members_) {
    prefix.push_back(m);
    visit(prefix);
    prefix.pop_back();
  }
  for (const Child& c : children_) {
    prefix.push_back(c.element);
    c.set.eachBelow(prefix, visit);
    prefix.pop_back();
  }
}

void FieldSet::each(const std::function<void(const FieldPath&)>& visit) const {
  FieldPath prefix;
  eachBelow(prefix, visit);
}

bool operator==(const FieldSet& a, const FieldSet& b) {
  return a.members_ == b.members_ && a.children_ == b.children_;
}

void FieldSet::append(std::string& out, bool self) const {
  out += '{';
  if (self && !(members_.empty() && children_.empty())) out += "\".\":{}";
  size_t i = 0, j = 0;
  while (i < members_.size() || j < children_.size()) {
    int c = i == members_.size()    ? 1
            : j == children_.size() ? -1
                                    : compare(members_[i], children_[j].element);
    if (out.back() != '{') out += ',';
    codec::appendJsonString(out, c <= 0 ? members_[i].text() : children_[j].element.text());
    out += ':';
    if (c < 0) {
      out += "{}";
    } else {
      children_[j].set.append(out, c == 0);
    }
    if (c <= 0) i++;
    if (c >= 0) j++;
  }
  out += '}';
}

std::string FieldSet::json() const {
  std::string out;
  append(out, false);
  return out;
}

// `any`: the set holds something; `member`: the path that leads here is a member too.
Status FieldSet::read(const Value& v, FieldSet* set, bool* any, bool* member) {
  *any = false;
  *member = false;
  if (!v.isObject() && !v.isNull()) return errors::failed("ReadMapCB: expect { or n");
  for (const auto& m : v.members()) {
    if (m.key == ".") {
      *member = true;
      continue;
    }
    auto e = PathElement::parse(m.key);
    if (!e.ok()) {
      if (e.status().code() == 404) continue;  // a kind of path that a later version may know
      return errors::failed(fmt::format("parsing key as path element: {}", e.status().message()));
    }
    FieldSet below;
    bool belowAny, isMember;
    KM_TRY(read(m.value, &below, &belowAny, &isMember));
    if (isMember) set->insertMember(*e);
    if (belowAny) set->descend(*e) = std::move(below);
    *any = *any || isMember || belowAny;
  }
  if (!*any) *member = true;
  return {};
}

Result<FieldSet> FieldSet::parse(std::string_view json) {
  KM_ASSIGN(Value v, Value::parse(json));
  FieldSet set;
  bool any, member;
  KM_TRY(read(v, &set, &any, &member));
  return set;
}

FieldSet FieldSet::ofNames(const std::vector<std::string_view>& paths) {
  FieldSet set;
  for (std::string_view p : paths) {
    FieldPath path;
    for (std::string_view name : split(p, '.')) path.push_back(PathElement::field(name));
    set.insert(path);
  }
  return set;
}

}  // namespace km::object
