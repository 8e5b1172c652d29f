#include "object/managers.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/resource.h"
#include "codec/ops.h"
#include "object/convert.h"
#include "object/diff.h"

namespace km::object {

using codec::Value;

std::string Manager::id() const {
  std::string out = "{";
  auto put = [&](const char* key, std::string_view v) {
    if (v.empty()) return;
    if (out.size() > 1) out += ',';
    out += fmt::format("\"{}\":", key);
    codec::appendJsonString(out, v);
  };
  put("manager", name);
  put("operation", apply ? "Apply" : "Update");
  if (!apply) put("apiVersion", apiVersion);
  put("subresource", subresource);
  return out + "}";
}

Result<Managers> decodeManagers(const ManagedFieldsList& list) {
  Managers out;
  size_t index = 0;
  for (const auto& e : list) {
    Manager m;
    if (e.operation != "Apply" && e.operation != "Update")
      return errors::failed("operation must be `Apply` or `Update`");
    if (e.apiVersion.empty()) return errors::failed("apiVersion must not be empty");
    if (e.fieldsType.empty())
      return errors::failed(fmt::format("missing fieldsType in managed fields entry {}", index));
    if (e.fieldsType != "FieldsV1") {
      return errors::failed(
          fmt::format("invalid fieldsType \"{}\" in managed fields entry {}", e.fieldsType, index));
    }
    m.name = e.manager;
    m.apiVersion = e.apiVersion;
    m.subresource = e.subresource;
    m.apply = e.operation == "Apply";
    if (e.time) m.time = *e.time;
    if (!e.fieldsV1.empty()) {
      KM_ASSIGN(m.set, FieldSet::parse(e.fieldsV1.text));
    }
    out[m.id()] = std::move(m);
    index++;
  }
  return out;
}

ManagedFieldsList encodeManagers(const Managers& managers) {
  std::vector<const Manager*> sorted;
  for (const auto& [_, m] : managers) sorted.push_back(&m);
  std::sort(sorted.begin(), sorted.end(), [](const Manager* a, const Manager* b) {
    if (a->apply != b->apply) return a->apply;
    if (a->time.seconds != b->time.seconds) return a->time.seconds < b->time.seconds;
    if (a->name != b->name) return a->name < b->name;
    if (a->apiVersion != b->apiVersion) return a->apiVersion < b->apiVersion;
    return a->subresource < b->subresource;
  });
  ManagedFieldsList out;
  for (const Manager* m : sorted) {
    auto& e = out.add();
    e.manager = m->name;
    e.operation = m->apply ? "Apply" : "Update";
    e.apiVersion = m->apiVersion;
    e.subresource = m->subresource;
    e.fieldsType = "FieldsV1";
    if (!m->time.isZero()) e.time = m->time;
    e.fieldsV1.text = m->set.json();
  }
  return out;
}

const codec::TypeInfo* typeInVersion(const codec::TypeInfo& type, std::string_view apiVersion) {
  if (apiVersion == type.apiVersion) return &type;
  auto gv = api::splitApiVersion(apiVersion);
  // A kind of another group is another kind for ownership, though it may be convertible (Event).
  if (gv.group != api::splitApiVersion(type.apiVersion).group) return nullptr;
  const api::Resource* r = api::findResourceByKind(gv.group, gv.version, type.name);
  return r != nullptr ? r->type : nullptr;
}

Value documentOf(const api::Object& o) {
  std::string text;
  codec::encodeJson(text, o.data(), o.type());
  auto v = Value::parse(text);
  return v.ok() ? std::move(v).value() : Value::object();
}

Changes::Changes(const api::Object& before, const api::Object& after, FieldSet reset)
    : before_(before), after_(after), reset_(std::move(reset)) {}

void Changes::preset(const std::string& apiVersion, Comparison c) {
  c.exclude(reset_);
  made_[apiVersion] = std::move(c);
}

const Comparison* Changes::in(const std::string& apiVersion) {
  auto [it, added] = made_.try_emplace(apiVersion);
  if (!added) return it->second ? &*it->second : nullptr;
  const codec::TypeInfo* type = typeInVersion(before_.type(), apiVersion);
  if (type == nullptr) return nullptr;
  if (type == &before_.type()) {
    it->second = compareObjects(before_, after_);
  } else {
    auto before = convert(before_, *type), after = convert(after_, *type);
    if (!before.ok() || !after.ok()) return nullptr;
    it->second = compareObjects(**before, **after);
  }
  it->second->exclude(reset_);
  return &*it->second;
}

void reconcileManagers(Managers& managers, const codec::TypeInfo& type) {
  for (auto it = managers.begin(); it != managers.end();) {
    const codec::TypeInfo* t = typeInVersion(type, it->second.apiVersion);
    if (t == nullptr) {
      it = managers.erase(it);
      continue;
    }
    it->second.set = reconciled(it->second.set, Schema::of(*t));
    it++;
  }
}

void takeOwnership(Managers& managers, const std::string& self, Changes& changes, Managers* conflicts) {
  Managers owned;
  for (auto it = managers.begin(); it != managers.end();) {
    if (it->first == self) {
      it++;
      continue;
    }
    const Comparison* c = changes.in(it->second.apiVersion);
    if (c == nullptr) {
      it = managers.erase(it);
      continue;
    }
    FieldSet taken = it->second.set.intersect(c->modified.unite(c->added));
    if (!taken.empty()) {
      Manager m = it->second;
      m.set = std::move(taken);
      owned.emplace(it->first, std::move(m));
    }
    it++;
  }
  if (conflicts != nullptr && !owned.empty()) {
    *conflicts = std::move(owned);
    return;
  }
  for (auto it = managers.begin(); it != managers.end();) {
    Manager& m = it->second;
    if (it->first != self) {
      if (auto found = owned.find(it->first); found != owned.end()) m.set = m.set.subtract(found->second.set);
      const Comparison* c = changes.in(m.apiVersion);
      if (!c->removed.empty()) m.set = m.set.subtract(c->removed);
    }
    it = m.set.empty() ? managers.erase(it) : std::next(it);
  }
}

void stripSystemFields(Managers& managers, const std::string& id) {
  static const FieldSet kSystem = FieldSet::ofNames(
      {"apiVersion", "kind", "metadata", "metadata.name", "metadata.namespace", "metadata.creationTimestamp",
       "metadata.selfLink", "metadata.uid", "metadata.clusterName", "metadata.generation",
       "metadata.managedFields", "metadata.resourceVersion"});
  auto it = managers.find(id);
  if (it == managers.end()) return;
  it->second.set = it->second.set.subtract(kSystem);
  if (it->second.set.empty()) managers.erase(it);
}

void capManagers(Managers& managers) {
  constexpr size_t kMaxUpdaters = 10;
  std::vector<std::pair<int64_t, std::string>> updaters;
  for (const auto& [id, m] : managers) {
    if (!m.apply) updaters.emplace_back(m.time.isZero() ? 0 : m.time.seconds, id);
  }
  if (updaters.size() <= kMaxUpdaters) return;
  std::sort(updaters.begin(), updaters.end());
  std::map<std::string, std::string> firstOfVersion;
  size_t left = updaters.size();
  for (size_t i = 0; i < updaters.size() && left > kMaxUpdaters; i++) {
    const std::string& id = updaters[i].second;
    Manager m = managers.at(id);
    Manager bucket;
    bucket.name = "ancient-changes";
    bucket.apiVersion = m.apiVersion;
    std::string bucketId = bucket.id();
    auto [first, isFirst] = firstOfVersion.emplace(m.apiVersion, id);
    // The first one of a version stays until a second one comes to share its bucket.
    if (isFirst) continue;
    if (managers.find(bucketId) == managers.end()) {
      bucket.set = std::move(managers.at(first->second).set);
      managers.erase(first->second);
      managers.emplace(bucketId, std::move(bucket));
    }
    Manager& b = managers.at(bucketId);
    if (id != bucketId) {
      b.set = m.set.unite(b.set);
      managers.erase(id);
    }
    b.time = m.time;
    left--;
  }
}

namespace {

// Lists that JSON always shows, named by the body and empty in both objects: upstream sees null become [].
void emptyListsBelow(const void* live, const void* o, const codec::TypeInfo& t, const Value& body,
                     FieldPath& path, FieldSet* out) {
  for (const codec::Field& f : t) {
    const Value* named = body.find(f.name);
    if (named == nullptr) continue;
    path.push_back(PathElement::field(f.name));
    bool plainMessage = f.kind == codec::Kind::kMessage && f.shape == codec::Shape::kPlain;
    if (f.shape == codec::Shape::kList && (f.flags & codec::kOmitEmpty) == 0 && named->isList() &&
        named->size() == 0 && codec::isEmptyField(o, f) && codec::isEmptyField(live, f)) {
      out->insert(path);
    } else if (plainMessage && f.type->form == codec::Form::kObject) {
      emptyListsBelow(codec::at(live, f), codec::at(o, f), *f.type, *named, path, out);
    }
    path.pop_back();
  }
}

void addEmptyLists(FieldSet& set, const api::Object* live, const api::Object& o, const FieldWriter& w) {
  auto body = Value::parse(w.body);
  if (!body.ok()) return;
  api::MutableObject none = live == nullptr ? api::Object::make(o.type()) : nullptr;
  FieldSet found;
  FieldPath path;
  emptyListsBelow(live != nullptr ? live->data() : none->data(), o.data(), o.type(), *body, path, &found);
  set = set.unite(found.subtractRecursively(FieldSet::ofNames(w.reset)));
}

}  // namespace

bool updateManagers(Managers& managers, const api::Object* live, const api::Object& o, const FieldWriter& w,
                    std::string_view managerName) {
  static const std::string kSelf = "current-operation";
  api::MutableObject none = live == nullptr ? api::Object::make(o.type()) : nullptr;
  Changes changes(live != nullptr ? *live : *none, o, FieldSet::ofNames(w.reset));
  std::string version(o.apiVersion());
  reconcileManagers(managers, o.type());
  takeOwnership(managers, kSelf, changes, nullptr);
  const Comparison* c = changes.in(version);
  if (c->broken) return false;
  Manager m;
  m.name = managerName.empty() ? "unknown" : managerName;
  m.apiVersion = version;
  m.subresource = w.subresource;
  m.set = c->modified.unite(c->added);
  if (!w.body.empty()) addEmptyLists(m.set, live, o, w);
  managers.emplace(kSelf, std::move(m));
  stripSystemFields(managers, kSelf);
  if (auto it = managers.find(kSelf); it != managers.end()) {
    Manager self = std::move(it->second);
    managers.erase(it);
    self.time = codec::Time(w.now);
    std::string id = self.id();
    if (auto previous = managers.find(id); previous != managers.end())
      self.set = self.set.unite(previous->second.set);
    managers[id] = std::move(self);
  }
  capManagers(managers);
  return true;
}

}  // namespace km::object
