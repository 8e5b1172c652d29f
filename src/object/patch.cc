#include "object/patch.h"

#include <fmt/format.h>

#include <map>

#include "api/field_error.h"
#include "api/resource.h"
#include "codec/json_scan.h"
#include "codec/value.h"
#include "object/go_print.h"
#include "object/patch_kinds.h"

namespace km::object {
namespace {

using codec::StrictErrors;
using codec::Value;

// The patched document in the order in which upstream's lazy decoder prints it: what the patch touched with
// sorted keys, all else as it was in the object's own text.
void printPatched(std::string& out, const Value& v, const Value& touched, std::string_view original) {
  if (touched.isNull() && !original.empty()) {
    out += original;
    return;
  }
  if (!touched.isObject() || !v.isObject()) {
    v.appendExactJson(out);
    return;
  }
  std::map<std::string, std::string_view, std::less<>> texts;
  codec::JsonScan scan(original);
  std::string buffer;
  std::string_view key, text;
  if (scan.take('{')) {
    while (scan.readString(key, buffer) && scan.take(':')) {
      std::string name(key);
      if (!scan.skipValue(text)) break;
      texts[name] = text;
      if (!scan.take(',')) break;
    }
  }
  static const Value kUntouched;
  out += '{';
  for (const auto& m : v.members()) {
    if (out.back() != '{') out += ',';
    codec::appendJsonString(out, m.key);
    out += ':';
    const Value* t = touched.find(m.key);
    auto it = texts.find(m.key.view());
    printPatched(out, m.value, t != nullptr ? *t : kUntouched,
                 it != texts.end() ? it->second : std::string_view());
  }
  out += '}';
}

Status invalidPatch(std::string_view shown, std::string_view why) {
  api::FieldErrors errors;
  errors.invalid(api::Path("patch"), shown, why);
  return errors.toStatus("", "", "");
}

std::string joined(const std::vector<std::string>& errors) {
  std::string out = "strict decoding error: ";
  for (const std::string& e : errors) {
    if (&e != errors.data()) out += ", ";
    out += e;
  }
  return out;
}

// An empty list of managed fields asks for a reset; structs cannot tell it from none, so it becomes one empty
// entry.
void markReset(Value& document) {
  Value* metadata = document.find("metadata");
  Value* fields = metadata != nullptr ? metadata->find("managedFields") : nullptr;
  if (fields != nullptr && fields->isList() && fields->size() == 0) fields->push(Value::object());
}

// Why a document of another kind cannot become an object of the type.
std::string otherKind(const codec::TypeInfo& type, std::string_view apiVersion, std::string_view kind) {
  auto gv = api::splitApiVersion(apiVersion);
  if (api::findResourceByKind(gv.group, gv.version, kind) == nullptr) {
    return fmt::format(
        "no kind \"{}\" is registered for version \"{}\" in scheme "
        "\"k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30\"",
        kind, apiVersion);
  }
  // The package of the internal type is named for the first part of its group.
  std::string_view group = api::splitApiVersion(type.apiVersion).group;
  std::string_view package = group.empty() ? "core" : group.substr(0, group.find('.'));
  return fmt::format("converting ({}.{}) to ({}.{}): unknown conversion", gv.version, kind, package,
                     type.name);
}

struct Patched {
  Value document;
  std::string shown;  // what errors quote
};

Status decodePatchError(std::string_view why) {
  return errors::badRequest(fmt::format("error decoding patch: {}", why));
}

Result<Patched> patchJson(const std::string& current, Value document, std::string_view body,
                          StrictErrors* strict) {
  StrictErrors found;
  auto parsed = Value::parse(body, strict != nullptr ? &found : nullptr);
  if (!parsed.ok()) {
    const std::string& why = parsed.status().message();
    return strict != nullptr ? decodePatchError(why) : errors::badRequest(why);
  }
  if (!parsed->isList() && !parsed->isNull()) {
    return decodePatchError(
        fmt::format("json: cannot unmarshal {} into Go value of type []handlers.jsonPatchOp",
                    parsed->isObject()   ? "object"
                    : parsed->isString() ? "string"
                                         : "value"));
  }
  size_t index = 0;
  for (const Value& op : parsed->items()) {
    if (!op.isObject() && !op.isNull()) {
      return decodePatchError("json: cannot unmarshal value into Go value of type handlers.jsonPatchOp");
    }
    for (const auto& m : op.members()) {
      bool text = m.key == "op" || m.key == "path" || m.key == "from";
      if (strict == nullptr) continue;
      if (text && !m.value.isString() && !m.value.isNull()) {
        return decodePatchError(fmt::format(
            "json: cannot unmarshal value into Go struct field jsonPatchOp.{} of type string", m.key));
      }
      if (!text && m.key != "value")
        found.errors.push_back(fmt::format("unknown field \"[{}].{}\"", index, m.key));
    }
    index++;
  }
  if (parsed->size() > kMaxJsonPatchOperations) {
    return errors::requestEntityTooLarge(
        fmt::format("The allowed maximum operations in a JSON patch is {}, got {}", kMaxJsonPatchOperations,
                    parsed->size()));
  }
  for (std::string& e : found.errors) strict->errors.push_back("json patch " + e);
  Value touched = Value::object();
  if (Status s = applyJsonPatch(document, *parsed, touched); !s.ok()) {
    return Status(422, "Invalid", "the server rejected our request due to an error in our request",
                  StatusDetails{});
  }
  Patched p{std::move(document), {}};
  printPatched(p.shown, p.document, touched, current);
  return p;
}

Result<Patched> patchMerge(const std::string& current, Value document, std::string_view body,
                           StrictErrors* strict) {
  auto parsed = Value::parse(body, strict);
  if (!parsed.ok()) {
    return strict != nullptr ? decodePatchError(parsed.status().message())
                             : errors::badRequest("Invalid JSON Patch");
  }
  if (parsed->isNull()) return errors::badRequest("Invalid JSON Patch");
  if (!parsed->isObject()) {
    if (strict == nullptr) return errors::badRequest("Invalid JSON Patch");
    return decodePatchError(
        fmt::format("json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
                    parsed->isList()     ? "array"
                    : parsed->isString() ? "string"
                                         : "number"));
  }
  Value touched = Value::object();
  applyMergePatch(document, std::move(*parsed), touched);
  Patched p{std::move(document), {}};
  printPatched(p.shown, p.document, touched, current);
  return p;
}

Result<Patched> patchStrategic(const codec::TypeInfo& type, Value document, std::string_view body,
                               StrictErrors* strict) {
  auto parsed = Value::parse(body, strict);
  if (!parsed.ok()) return errors::badRequest(parsed.status().message());
  if (!parsed->isObject() && !parsed->isNull()) {
    return errors::badRequest(
        fmt::format("json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
                    parsed->isList()     ? "array"
                    : parsed->isString() ? "string"
                                         : "number"));
  }
  std::string shown = goPrint(*parsed);
  if (parsed->isObject()) KM_TRY(applyStrategicPatch(document, std::move(*parsed), type));
  return Patched{std::move(document), std::move(shown)};
}

}  // namespace

Result<api::MutableObject> applyPatch(PatchKind kind, const api::Object& current, std::string_view body,
                                      StrictErrors* strict, bool refuse) {
  const codec::TypeInfo& type = current.type();
  std::string text;
  codec::encodeJson(text, current.data(), type);
  KM_ASSIGN(Value document, Value::parse(text));
  Result<Patched> patched = kind == PatchKind::kJson ? patchJson(text, std::move(document), body, strict)
                            : kind == PatchKind::kMerge
                                ? patchMerge(text, std::move(document), body, strict)
                                : patchStrategic(type, std::move(document), body, strict);
  if (!patched.ok()) return patched.status();
  markReset(patched->document);
  std::string result;
  // A strategic patch goes through Go's numbers, in which 2.0 is 2; the others keep the text.
  if (kind == PatchKind::kStrategicMerge) {
    patched->document.appendJson(result);
  } else {
    patched->document.appendExactJson(result);
  }
  api::MutableObject o = api::Object::make(type);
  codec::TypeMeta meta;
  StrictErrors unknown;
  if (Status s = codec::decodeJson(result, o->data(), type, strict != nullptr ? &unknown : nullptr, &meta);
      !s.ok()) {
    return invalidPatch(patched->shown, s.message());
  }
  if (kind != PatchKind::kStrategicMerge) {
    std::string_view apiVersion =
        meta.apiVersion.empty() ? type.apiVersion : std::string_view(meta.apiVersion);
    std::string_view name = meta.kind.empty() ? type.name : std::string_view(meta.kind);
    if (apiVersion != type.apiVersion || name != type.name) {
      return invalidPatch(patched->shown, otherKind(type, apiVersion, name));
    }
  }
  if (strict != nullptr) {
    for (std::string& e : unknown.errors) strict->errors.push_back(std::move(e));
    if (refuse && !strict->errors.empty()) return invalidPatch(patched->shown, joined(strict->errors));
  }
  return o;
}

}  // namespace km::object
