// Server-side apply: structured-merge-diff's Updater.Apply with what the API server puts around it.
#include <fmt/format.h>

#include "base/strings.h"
#include "codec/ops.h"
#include "codec/yaml.h"
#include "object/convert.h"
#include "object/diff.h"
#include "object/go_print.h"
#include "object/managers.h"

namespace km::object {
namespace {

using codec::TypeInfo;
using codec::Value;

constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";
constexpr size_t kMaxAnnotations = 256 * 1024;

std::string kindText(std::string_view apiVersion, std::string_view kind) {
  auto gv = api::splitApiVersion(apiVersion);
  return fmt::format("{}/{}, Kind={}", gv.group, gv.version, kind);
}

std::string_view textOf(const Value& v, std::string_view key) {
  const Value* m = v.find(key);
  return m != nullptr ? m->asString() : std::string_view();
}

// Upstream answers such failures as internal ones without a reason.
Status plain(std::string message) {
  return Status(500, "", message);
}

std::string printManager(const Manager& m) {
  std::string out = quote(m.name);
  if (!m.subresource.empty()) out += fmt::format(" with subresource {}", quote(m.subresource));
  if (!m.apply) out += fmt::format(" using {}", m.apiVersion);
  return out;
}

Status conflictStatus(const Managers& conflicts) {
  StatusDetails details;
  std::string list;
  size_t count = 0;
  std::string only;
  for (const auto& [_, m] : conflicts) {
    std::string manager = printManager(m);
    if (!list.empty()) list += '\n';
    list += fmt::format("conflicts with {}:", manager);
    m.set.each([&](const FieldPath& path) {
      count++;
      std::string field = pathText(path);
      only = fmt::format("conflict with {}: {}", manager, field);
      list += "\n- " + field;
      details.causes.push_back({"FieldManagerConflict", "conflict with " + manager, field});
    });
  }
  std::string message = count == 1 ? fmt::format("Apply failed with 1 conflict: {}", only)
                                   : fmt::format("Apply failed with {} conflicts: {}", count, list);
  return Status(409, "Conflict", message, std::move(details));
}

// A document in one version of a kind.
struct Document {
  Value value;
  const TypeInfo* type;
};

Result<api::MutableObject> decode(const Document& d) {
  api::MutableObject o = api::Object::make(*d.type);
  std::string text;
  d.value.appendJson(text);
  KM_TRY(codec::decodeJson(text, o->data(), *d.type));
  return o;
}

// As decode; the error is worded as Go's converter words it.
Result<api::MutableObject> decodeApplied(const Document& d, std::string_view what) {
  auto o = decode(d);
  if (o.ok()) return o;
  std::string why = o.status().message();
  // "json: cannot unmarshal number 1.5 into ... of type int32"
  size_t number = why.find("cannot unmarshal number ");
  size_t type = why.rfind(" of type ");
  if (number != std::string::npos && type != std::string::npos)
    why = "cannot convert float64 to " + why.substr(type + 9);
  return plain(fmt::format(
      "failed to convert new object ({}) to proper version: unable to convert unstructured object to {}: {}",
      what, kindText(d.type->apiVersion, d.type->name), why));
}

// In another version; nullopt if the kind has none such or cannot become it.
std::optional<Document> inVersion(const Document& d, std::string_view apiVersion) {
  const TypeInfo* type = typeInVersion(*d.type, apiVersion);
  if (type == nullptr) return std::nullopt;
  if (type == d.type) return d;
  auto o = decode(d);
  if (!o.ok()) return std::nullopt;
  auto converted = convert(**o, *type);
  if (!converted.ok()) return std::nullopt;
  return Document{documentOf(**converted), type};
}

class Apply {
 public:
  Apply(const api::Object& live, const TypeInfo& type, const Value& patch, Managers managers,
        const FieldWriter& w, bool force)
      : live_(live),
        type_(type),
        schema_(Schema::of(type)),
        patch_(patch),
        managers_(std::move(managers)),
        w_(w),
        force_(force) {
    Manager m;
    m.name = w.manager.empty() ? "unknown" : w.manager;
    m.apply = true;
    m.apiVersion = type.apiVersion;
    m.subresource = w.subresource;
    id_ = m.id();
  }

  // `what` names the object in errors.
  Result<api::MutableObject> run(std::string_view what) {
    reconcileManagers(managers_, type_);
    Value liveDocument = documentOf(live_);
    Document merged{mergeDocuments(liveDocument, patch_, schema_), &type_};
    std::optional<Manager> last;
    if (auto it = managers_.find(id_); it != managers_.end()) last = std::move(it->second);
    Manager m;
    m.name = w_.manager.empty() ? "unknown" : w_.manager;
    m.apply = true;
    m.apiVersion = type_.apiVersion;
    m.subresource = w_.subresource;
    m.set = fieldSetOf(patch_, schema_).subtractRecursively(FieldSet::ofNames(w_.reset));
    if (last) m.time = last->time;
    managers_[id_] = std::move(m);
    if (last && !last->set.empty()) merged = prune(std::move(merged), *last);
    // Documents are compared, not objects: "1000m" is a change of "1", and conflicts come before what cannot
    // be decoded.
    auto decoded = decodeApplied(merged, what);
    Changes changes(live_, decoded.ok() ? **decoded : live_, FieldSet::ofNames(w_.reset));
    changes.preset(std::string(type_.apiVersion), compareDocuments(liveDocument, merged.value, schema_));
    KM_TRY(own(changes));
    if (!decoded.ok()) return decoded.status();
    api::MutableObject result = std::move(decoded).value();
    stripSystemFields(managers_, id_);
    if (liveDocument == merged.value) {
      result = live_.clone();
    } else {
      if (auto it = managers_.find(id_); it != managers_.end()) it->second.time = codec::Time(w_.now);
      if (w_.setDefaults) w_.setDefaults(*result);
    }
    if (w_.manager == "kubectl") setLastApplied(*result);
    result->meta().managedFields = encodeManagers(managers_);
    return result;
  }

 private:
  // Takes from the others what the apply changes, or tells the conflicts.
  Status own(Changes& changes) {
    if (force_) {
      takeOwnership(managers_, id_, changes, nullptr);
      return {};
    }
    Managers conflicts;
    takeOwnership(managers_, id_, changes, &conflicts);
    if (conflicts.empty()) return {};
    // kubectl that changes over to server-side apply owns what it applied from the client.
    if (w_.manager == "kubectl") {
      FieldSet allowed = lastAppliedSet();
      for (auto it = conflicts.begin(); it != conflicts.end();) {
        it->second.set = it->second.set.subtract(allowed);
        it = it->second.set.empty() ? conflicts.erase(it) : std::next(it);
      }
      if (conflicts.empty()) {
        takeOwnership(managers_, id_, changes, nullptr);
        return {};
      }
    }
    return conflictStatus(conflicts);
  }

  // Removes what the manager applied last time, does not apply now, and nobody else owns.
  Document prune(Document merged, const Manager& last) {
    auto base = inVersion(merged, last.apiVersion);
    if (!base) return merged;
    Schema schema = Schema::of(*base->type);
    Document pruned{removeFields(base->value, withNamedFields(last.set, schema), schema), base->type};
    pruned = addBackOwned(*base, std::move(pruned), last.apiVersion);
    auto back = inVersion(pruned, last.apiVersion);
    if (!back) return merged;
    FieldSet prunedSet = withNamedFields(fieldSetOf(back->value, schema), schema);
    FieldSet mergedSet = withNamedFields(fieldSetOf(base->value, schema), schema);
    FieldSet gone = mergedSet.subtract(prunedSet).intersect(withNamedFields(last.set, schema));
    Document out{removeFields(base->value, gone, schema), base->type};
    auto result = inVersion(out, type_.apiVersion);
    return result ? std::move(*result) : std::move(merged);
  }

  Document addBackOwned(Document merged, Document pruned, const std::string& first) {
    std::map<std::string, FieldSet> owned;
    for (const auto& [_, m] : managers_) {
      auto [it, added] = owned.emplace(m.apiVersion, m.set);
      if (!added) it->second = it->second.unite(m.set);
    }
    std::vector<std::string> versions;
    if (owned.count(first) != 0) versions.push_back(first);
    for (const auto& [version, _] : owned) {
      if (version != first) versions.push_back(version);
    }
    for (const std::string& version : versions) {
      auto m = inVersion(merged, version), p = inVersion(pruned, version);
      if (!m || !p) continue;
      Schema schema = Schema::of(*m->type);
      FieldSet keep = withNamedFields(fieldSetOf(p->value, schema), schema)
                          .unite(withNamedFields(owned[version], schema));
      FieldSet drop = withNamedFields(fieldSetOf(m->value, schema), schema).subtract(keep);
      pruned = {removeFields(m->value, drop, schema), m->type};
      merged = std::move(*m);
    }
    return pruned;
  }

  // The fields of the last applied configuration that the live object still has as they were applied.
  FieldSet lastAppliedSet() const {
    const auto* text = live_.meta().annotations.find(kLastApplied);
    if (text == nullptr) return {};
    auto applied = Value::parse(*text);
    if (!applied.ok() || textOf(*applied, "apiVersion") != type_.apiVersion) return {};
    if (!validate(*applied, schema_).empty()) return {};
    Comparison c = compareDocuments(*applied, documentOf(live_), schema_);
    return fieldSetOf(*applied, schema_).subtract(c.modified).subtract(c.added).subtract(c.removed);
  }

  // Keeps the annotation of client-side apply up to date where there is one.
  void setLastApplied(api::Object& o) const {
    auto* text = o.meta().annotations.find(kLastApplied);
    if (text == nullptr || text->empty()) return;
    Value applied = patch_;
    if (Value* metadata = applied.find("metadata"); metadata != nullptr) {
      metadata->erase("managedFields");
      if (Value* annotations = metadata->find("annotations"); annotations != nullptr)
        annotations->erase(kLastApplied);
    }
    *text = applied.json() + "\n";
    size_t size = 0;
    for (const auto& a : o.meta().annotations) size += a.key.size() + a.value.size();
    if (size > kMaxAnnotations) o.meta().annotations.erase(kLastApplied);
  }

  const api::Object& live_;
  const TypeInfo& type_;
  Schema schema_;
  const Value& patch_;
  Managers managers_;
  const FieldWriter& w_;
  bool force_;
  std::string id_;
};

Result<Value> parseBody(std::string_view body, std::vector<std::string>* duplicates) {
  auto parsed = codec::parseYaml(body, duplicates);
  if (!parsed.ok()) {
    return errors::badRequest(
        fmt::format("error decoding YAML: error converting YAML to JSON: {}", parsed.status().message()));
  }
  if (parsed->isNull()) return Value::object();
  if (!parsed->isObject()) {
    return errors::badRequest(
        fmt::format("error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot "
                    "unmarshal {} into Go value of type "
                    "map[string]interface {{}}",
                    parsed->isList()     ? "array"
                    : parsed->isString() ? "string"
                    : parsed->isBool()   ? "bool"
                                         : "number"));
  }
  return parsed;
}

}  // namespace

Result<api::MutableObject> serverSideApply(const api::Object* live, const TypeInfo& type,
                                           std::string_view body, bool force, const FieldWriter& w,
                                           codec::StrictErrors* strict) {
  std::vector<std::string> duplicates;
  KM_ASSIGN(Value patch, parseBody(body, strict != nullptr ? &duplicates : nullptr));
  Managers managers;
  if (live != nullptr) {
    auto decoded = decodeManagers(live->meta().managedFields);
    if (!decoded.ok())
      return plain(fmt::format("failed to decode managed fields: {}", decoded.status().message()));
    managers = std::move(decoded).value();
  }
  std::string_view apiVersion = textOf(patch, "apiVersion"), kind = textOf(patch, "kind");
  if (apiVersion != type.apiVersion || kind != type.name) {
    return errors::badRequest(fmt::format("invalid object type: {}", kindText(apiVersion, kind)));
  }
  api::MutableObject none = live == nullptr ? api::Object::make(type) : nullptr;
  const api::Object& base = live != nullptr ? *live : *none;
  // What was there before anybody applied belongs to a manager of its own.
  if (managers.empty()) updateManagers(managers, nullptr, base, w, "before-first-apply");
  const Value* metadata = patch.find("metadata");
  if (metadata != nullptr) {
    const Value* given = metadata->find("managedFields");
    if (given != nullptr && given->isList()) return errors::badRequest("metadata.managedFields must be nil");
  }
  std::string what =
      fmt::format("{}/{}; {}", metadata != nullptr ? textOf(*metadata, "namespace") : "",
                  metadata != nullptr ? textOf(*metadata, "name") : "", kindText(apiVersion, kind));
  if (auto wrong = validate(patch, Schema::of(type)); !wrong.empty()) {
    return plain(fmt::format("failed to create typed patch object ({}): {}", what, joinErrors(wrong)));
  }
  KM_ASSIGN(api::MutableObject result, Apply(base, type, patch, std::move(managers), w, force).run(what));
  if (!duplicates.empty()) {
    strict->errors.push_back("error converting YAML to JSON: " + codec::yamlUnmarshalErrors(duplicates));
  }
  return result;
}

}  // namespace km::object
