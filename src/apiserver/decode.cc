#include "apiserver/decode.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "api/field_error.h"
#include "api/types/meta_v1.h"
#include "codec/json.h"
#include "codec/proto.h"
#include "codec/value.h"
#include "codec/yaml.h"
#include "object/managed_fields.h"

namespace km::apiserver {
namespace {

std::string_view versionOf(std::string_view apiVersion) { return api::splitApiVersion(apiVersion).version; }

// How upstream shows the beginning of a body that it could not recognize.
std::string summarize(std::string_view data) {
  constexpr size_t kMax = 30;
  if (data.empty()) return "<empty>";
  std::string_view head = data.substr(0, kMax);
  std::string text;
  if (data[0] == '{') {
    text = head;
  } else {
    for (unsigned char c : head) text += fmt::format("{:02x}", c);
  }
  if (data.size() > kMax) text += " ...";
  return text;
}

Status unrecognized(const codec::TypeInfo& type, std::string_view why, std::string_view body) {
  return errors::badRequest(
      fmt::format("the object provided is unrecognized (must be of type {}): {} ({})", type.name, why, summarize(body)));
}

Status cannotBeHandled(std::string_view kind, std::string_view version, const codec::TypeInfo& type, std::string_view why) {
  return errors::badRequest(fmt::format("{} in version {} cannot be handled as a {}: {}", kind, api::goQuote(version), type.name, why));
}

// The name that Go gives the internal package of a group.
std::string internalPackage(std::string_view group) {
  if (group.empty() || group == "events.k8s.io") return "core";
  if (group == "internal.apiserver.k8s.io") return "apiserverinternal";
  return std::string(group.substr(0, group.find('.')));
}

// Kinds of the core group that are no resources.
bool isCommonKind(std::string_view kind) {
  constexpr std::string_view kKinds[] = {"APIGroup",      "APIGroupList",  "APIResourceList", "APIVersions",   "CreateOptions", "DeleteOptions", "GetOptions",
                                         "List",          "ListOptions",   "PatchOptions",    "PodLogOptions", "RangeAllocation", "SerializedReference",
                                         "Status",        "UpdateOptions", "WatchEvent"};
  return std::find(std::begin(kKinds), std::end(kKinds), kind) != std::end(kKinds);
}

// Whether the type named by the body can be taken for `type`.
Status checkKind(std::string_view apiVersion, std::string_view kind, const codec::TypeInfo& type, std::string_view body) {
  if (apiVersion == type.apiVersion && kind == type.name) return {};
  // The one version that upstream's API lost and still takes: its fields are the same.
  if (kind == "Eviction" && type.name == kind && apiVersion == "policy/v1beta1") return {};
  auto [group, version] = api::splitApiVersion(apiVersion);
  std::string_view base = kind;
  if (base.ends_with("List")) base.remove_suffix(4);
  bool known = api::findResourceByKind(group, version, base) != nullptr || (group.empty() && version == "v1" && isCommonKind(kind));
  if (!known) {
    return cannotBeHandled(kind, version, type,
                           fmt::format("no kind {} is registered for version {} in scheme", api::goQuote(kind), api::goQuote(apiVersion)));
  }
  if (kind == type.name && group == api::splitApiVersion(type.apiVersion).group) {
    return errors::badRequest(fmt::format("the API version in the data ({}) does not match the expected API version ({})", apiVersion, type.apiVersion));
  }
  return cannotBeHandled(kind, version, type,
                         fmt::format("converting ({}.{}) to ({}.{}): unknown conversion", version, kind,
                                     internalPackage(api::splitApiVersion(type.apiVersion).group), type.name));
}

Status strictResult(Call& call, codec::StrictErrors& strict, std::string_view kind, const codec::TypeInfo& type) {
  if (strict.errors.empty()) return {};
  if (call.fieldValidation == FieldValidation::kStrict) {
    return cannotBeHandled(kind, versionOf(type.apiVersion), type, fmt::format("strict decoding error: {}", fmt::join(strict.errors, ", ")));
  }
  for (std::string& e : strict.errors) call.warnings.push_back(std::move(e));
  return {};
}

// Whether JSON text has an empty list somewhere.
bool hasEmptyList(std::string_view json) {
  for (size_t at = json.find('['); at != std::string_view::npos; at = json.find('[', at + 1)) {
    size_t next = json.find_first_not_of(" \t\r\n", at + 1);
    if (next != std::string_view::npos && json[next] == ']') return true;
  }
  return false;
}

// What structs cannot tell: that a list was named, though it is empty. It counts as set, and emptied managed fields ask for a reset,
// which one empty entry stands for.
void noteEmptyLists(Call& call, std::string_view json, api::Object& o) {
  if (!hasEmptyList(json)) return;
  call.body = std::make_shared<const std::string>(json);
  auto document = codec::Value::parse(json);
  const codec::Value* metadata = document.ok() ? document->find("metadata") : nullptr;
  const codec::Value* fields = metadata != nullptr ? metadata->find("managedFields") : nullptr;
  if (fields != nullptr && fields->isList() && fields->size() == 0) o.meta().managedFields.add();
}

Result<api::MutableObject> decodeProtoBody(std::string_view body, const codec::TypeInfo& type) {
  auto envelope = codec::openEnvelope(body);
  if (!envelope.ok()) return unrecognized(type, envelope.status().message(), body);
  std::string_view apiVersion = envelope->apiVersion.empty() ? type.apiVersion : envelope->apiVersion;
  std::string_view kind = envelope->kind.empty() ? type.name : envelope->kind;
  KM_TRY(checkKind(apiVersion, kind, type, body));
  api::MutableObject o = api::Object::make(type);
  Status s = codec::decodeProto(envelope->raw, o->data(), type);
  if (!s.ok()) return cannotBeHandled(kind, versionOf(apiVersion), type, s.message());
  return o;
}

}  // namespace

Result<api::MutableObject> decodeBody(Call& call, std::string_view body, Encoding encoding, const codec::TypeInfo& type) {
  if (encoding == Encoding::kProto) return decodeProtoBody(body, type);
  std::string converted;
  codec::StrictErrors strict;
  codec::StrictErrors* wanted = call.fieldValidation == FieldValidation::kIgnore ? nullptr : &strict;
  std::string_view json = body;
  if (encoding == Encoding::kYaml) {
    std::vector<std::string> repeated;
    auto text = codec::yamlToJson(body, wanted != nullptr ? &repeated : nullptr);
    if (!text.ok()) return unrecognized(type, text.status().message(), body);
    if (!repeated.empty()) strict.errors.push_back(codec::yamlUnmarshalErrors(repeated));
    converted = std::move(*text);
    json = converted;
  }
  auto meta = codec::peekTypeMeta(json);
  if (!meta.ok()) {
    return unrecognized(type, fmt::format("couldn't get version/kind; json parse error: {}", meta.status().message()), body);
  }
  if (meta->kind.empty()) meta->kind = type.name;
  if (meta->apiVersion.empty()) meta->apiVersion = type.apiVersion;
  KM_TRY(checkKind(meta->apiVersion, meta->kind, type, body));
  api::MutableObject o = api::Object::make(type);
  if (Status s = codec::decodeJson(json, o->data(), type, wanted); !s.ok()) {
    return cannotBeHandled(meta->kind, versionOf(meta->apiVersion), type, s.message());
  }
  KM_TRY(strictResult(call, strict, meta->kind, type));
  noteEmptyLists(call, json, *o);
  return o;
}

namespace {

// Reads leniently, and in whatever group they say they are.
Status decodeDeleteOptions(std::string_view body, Encoding encoding, api::meta_v1::DeleteOptions& out) {
  const codec::TypeInfo& type = api::meta_v1::DeleteOptions::kType;
  if (encoding == Encoding::kProto) {
    KM_ASSIGN(auto envelope, codec::openEnvelope(body));
    return codec::decodeProto(envelope.raw, &out, type);
  }
  std::string json(body);
  if (encoding == Encoding::kYaml) {
    auto text = codec::yamlToJson(body);
    if (!text.ok()) return errors::badRequest(text.status().message());
    json = std::move(*text);
  }
  auto meta = codec::peekTypeMeta(json);
  if (!meta.ok()) return errors::badRequest(fmt::format("couldn't get version/kind; json parse error: {}", meta.status().message()));
  if (!meta->kind.empty() && meta->kind != type.name) return errors::badRequest("decoded object cannot be converted to DeleteOptions");
  if (Status s = codec::decodeJson(json, &out, type); !s.ok()) return errors::badRequest(s.message());
  return {};
}

}  // namespace

namespace {

// As Go's strconv says what is wrong with a number.
template <typename T>
Status readInteger(const Query& query, std::string_view key, T& out) {
  std::string_view text = query.get(key);
  if (text.empty()) return {};
  std::string_view digits = text.front() == '+' ? text.substr(1) : text;
  int64_t v = 0;
  auto r = std::from_chars(digits.data(), digits.data() + digits.size(), v);
  if (r.ec == std::errc() && r.ptr == digits.data() + digits.size()) {
    out = v;
    return {};
  }
  bool range = r.ec == std::errc::result_out_of_range && r.ptr == digits.data() + digits.size();
  return errors::badRequest(
      fmt::format("strconv.ParseInt: parsing {}: {}", api::goQuote(text), range ? "value out of range" : "invalid syntax"));
}

template <typename List>
void checkDryRun(const List& values, api::FieldErrors& bad) {
  if (std::all_of(values.begin(), values.end(), [](const auto& v) { return v == "All"; })) return;
  std::string text = "[";
  for (const auto& v : values) {
    if (text.size() > 1) text += ',';
    codec::appendJsonString(text, v);
  }
  bad.notSupported(api::Path("dryRun"), api::BadValue::raw(text + "]"), {"All"});
}

}  // namespace

Status readWriteOptions(const Query& query, std::string_view kind, Call& call, bool apply) {
  api::FieldErrors bad;
  call.fieldManager = query.get("fieldManager");
  call.force = query.flag("force");
  if (kind == "PatchOptions") {
    if (apply && call.fieldManager.empty()) bad.required(api::Path("fieldManager"), "is required for apply patch");
    if (!apply && query.has("force")) bad.forbidden(api::Path("force"), "may not be specified for non-apply patch");
  }
  object::validateManagerName(call.fieldManager, api::Path("fieldManager"), bad);
  std::vector<std::string_view> dryRun = query.all("dryRun");
  checkDryRun(dryRun, bad);
  call.dryRun = !dryRun.empty();
  std::string_view validation = query.get("fieldValidation");
  if (validation == "Ignore") {
    call.fieldValidation = FieldValidation::kIgnore;
  } else if (validation == "Strict") {
    call.fieldValidation = FieldValidation::kStrict;
  } else if (validation.empty() || validation == "Warn") {
    call.fieldValidation = FieldValidation::kWarn;
  } else {
    bad.notSupported(api::Path("fieldValidation"), validation, {"", "Ignore", "Strict", "Warn"});
  }
  return bad.toStatus("meta.k8s.io", kind, "");
}

namespace {

// metav1's validation of ListOptions.
void checkListOptions(const Call& call, bool watch, api::FieldErrors& bad) {
  const std::string& match = call.resourceVersionMatch;
  api::Path path("resourceVersionMatch");
  if (watch) {
    bool initial = call.sendInitialEvents.has_value();
    if (initial && match != "NotOlderThan") bad.forbidden(path, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    if (match.empty()) return;
    if (!initial) bad.forbidden(path, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    if (match != "NotOlderThan") bad.notSupported(path, match, {"NotOlderThan"});
    if (!call.continueToken.empty()) bad.forbidden(path, "resourceVersionMatch is forbidden when continue is provided");
    return;
  }
  if (!match.empty()) {
    if (call.resourceVersion.empty()) bad.forbidden(path, "resourceVersionMatch is forbidden unless resourceVersion is provided");
    if (!call.continueToken.empty()) bad.forbidden(path, "resourceVersionMatch is forbidden when continue is provided");
    if (match != "Exact" && match != "NotOlderThan") bad.notSupported(path, match, {"Exact", "NotOlderThan", ""});
    if (match == "Exact" && call.resourceVersion == "0") bad.forbidden(path, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
  }
  if (call.sendInitialEvents) bad.forbidden(api::Path("sendInitialEvents"), "sendInitialEvents is forbidden for list");
}

}  // namespace

Status readListOptions(const Query& query, Call& call) {
  KM_TRY(readInteger(query, "limit", call.limit));
  KM_TRY(readInteger(query, "timeoutSeconds", call.timeoutSeconds));
  call.labelSelector = query.get("labelSelector");
  call.fieldSelector = query.get("fieldSelector");
  call.resourceVersion = query.get("resourceVersion");
  call.resourceVersionMatch = query.get("resourceVersionMatch");
  call.continueToken = query.get("continue");
  call.bookmarks = query.flag("allowWatchBookmarks");
  if (query.has("sendInitialEvents")) call.sendInitialEvents = query.flag("sendInitialEvents");
  bool watch = call.verb == "watch" || (call.verb == "deletecollection" && query.flag("watch"));
  api::FieldErrors bad;
  checkListOptions(call, watch, bad);
  return bad.toStatus("meta.k8s.io", "ListOptions", "");
}

Result<registry::DeleteOptions> readDeleteOptions(std::string_view body, Encoding encoding, const Query& query, Call& call) {
  api::meta_v1::DeleteOptions given;
  if (!body.empty()) {
    // Upstream reads them leniently, and in whatever group they say they are.
    KM_TRY(decodeDeleteOptions(body, encoding, given));
  } else {
    std::optional<int64_t> grace;
    KM_TRY(readInteger(query, "gracePeriodSeconds", grace));
    given.gracePeriodSeconds = grace;
    if (query.has("orphanDependents")) given.orphanDependents = query.flag("orphanDependents");
    if (query.has("propagationPolicy")) given.propagationPolicy = std::string_view(query.get("propagationPolicy"));
    for (std::string_view d : query.all("dryRun")) given.dryRun.push_back(d);
  }
  api::FieldErrors bad;
  if (given.orphanDependents && given.propagationPolicy) {
    bad.invalid(api::Path("propagationPolicy"), given.propagationPolicy->view(), "orphanDependents and deletionPropagation cannot be both set");
  }
  registry::DeleteOptions out;
  if (given.propagationPolicy) {
    std::string_view p = *given.propagationPolicy;
    if (p != "Foreground" && p != "Background" && p != "Orphan") {
      bad.notSupported(api::Path("propagationPolicy"), p, {"Foreground", "Background", "Orphan", "nil"});
    }
    out.propagationPolicy = p;
  }
  checkDryRun(given.dryRun, bad);
  call.dryRun = !given.dryRun.empty();
  KM_TRY(bad.toStatus("meta.k8s.io", "DeleteOptions", ""));
  out.gracePeriodSeconds = given.gracePeriodSeconds;
  out.orphanDependents = given.orphanDependents;
  if (given.preconditions) {
    if (given.preconditions->uid) out.uid = given.preconditions->uid->str();
    if (given.preconditions->resourceVersion) out.resourceVersion = given.preconditions->resourceVersion->str();
  }
  return out;
}

}  // namespace km::apiserver
