#include "apiserver/decode.h"

#include <fmt/format.h>

#include <charconv>

#include "api/field_error.h"
#include "api/types/meta_v1.h"
#include "codec/json.h"
#include "codec/proto.h"
#include "codec/yaml.h"

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
  if (group.empty()) return "core";
  return std::string(group.substr(0, group.find('.')));
}

// Whether the type named by the body can be taken for `type`.
Status checkKind(std::string_view apiVersion, std::string_view kind, const codec::TypeInfo& type, std::string_view body) {
  if (apiVersion == type.apiVersion && kind == type.name) return {};
  bool optionsLike = type.apiVersion == "v1" && kind == type.name && (type.name == "DeleteOptions" || type.name == "Status");
  if (optionsLike) return {};
  // The one version that upstream's API lost and still takes: its fields are the same.
  if (kind == "Eviction" && type.name == kind && apiVersion == "policy/v1beta1") return {};
  auto [group, version] = api::splitApiVersion(apiVersion);
  std::string_view base = kind;
  if (base.ends_with("List")) base.remove_suffix(4);
  bool known = api::findResourceByKind(group, version, base) != nullptr || kind == "Status" || kind == "DeleteOptions";
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
    auto text = codec::yamlToJson(body);
    if (!text.ok()) return unrecognized(type, text.status().message(), body);
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
  return o;
}

Status readWriteOptions(const Query& query, std::string_view kind, Call& call) {
  api::FieldErrors bad;
  for (std::string_view d : query.all("dryRun")) {
    if (d == "All") {
      call.dryRun = true;
    } else if (!d.empty() || query.has("dryRun")) {
      std::string list = "[]string{";
      bool first = true;
      for (std::string_view each : query.all("dryRun")) {
        list += (first ? "" : ", ") + api::goQuote(each);
        first = false;
      }
      bad.notSupported(api::Path("dryRun"), api::BadValue::raw(list + "}"), {"All"});
      break;
    }
  }
  call.fieldManager = query.get("fieldManager");
  if (call.fieldManager.size() > 128) bad.tooLong(api::Path("fieldManager"), 128);
  for (size_t i = 0; i < call.fieldManager.size(); i++) {
    auto c = static_cast<unsigned char>(call.fieldManager[i]);
    if (c < 0x20 || c == 0x7f) {
      bad.invalid(api::Path("fieldManager"), call.fieldManager, "should only contain printable characters");
      break;
    }
  }
  std::string_view validation = query.get("fieldValidation");
  if (validation == "Ignore") {
    call.fieldValidation = FieldValidation::kIgnore;
  } else if (validation == "Strict") {
    call.fieldValidation = FieldValidation::kStrict;
  } else if (validation.empty() || validation == "Warn") {
    call.fieldValidation = FieldValidation::kWarn;
  } else {
    bad.notSupported(api::Path("fieldValidation"), validation, {"Ignore", "Strict", "Warn"});
  }
  std::string_view force = query.get("force");
  call.force = force == "true" || force == "1";
  return bad.toStatus("meta.k8s.io", kind, "");
}

Status readListOptions(const Query& query, Call& call) {
  auto integer = [&](std::string_view key, auto& out) -> Status {
    std::string_view text = query.get(key);
    if (text.empty()) return {};
    int64_t v = 0;
    auto r = std::from_chars(text.data(), text.data() + text.size(), v);
    if (r.ec != std::errc() || r.ptr != text.data() + text.size()) {
      return errors::badRequest(fmt::format("strconv.ParseInt: parsing {}: invalid syntax", api::goQuote(text)));
    }
    out = v;
    return {};
  };
  auto boolean = [&](std::string_view key) { return query.has(key) && query.get(key) != "false" && query.get(key) != "0"; };
  KM_TRY(integer("limit", call.limit));
  KM_TRY(integer("timeoutSeconds", call.timeoutSeconds));
  call.labelSelector = query.get("labelSelector");
  call.fieldSelector = query.get("fieldSelector");
  call.resourceVersion = query.get("resourceVersion");
  call.resourceVersionMatch = query.get("resourceVersionMatch");
  call.continueToken = query.get("continue");
  call.bookmarks = boolean("allowWatchBookmarks");
  if (query.has("sendInitialEvents")) call.sendInitialEvents = boolean("sendInitialEvents");
  bool watch = call.verb == "watch";
  // metav1 validation of ListOptions.
  api::FieldErrors bad;
  const std::string& match = call.resourceVersionMatch;
  api::Path matchPath("resourceVersionMatch");
  if (watch && call.sendInitialEvents.has_value() && match.empty()) {
    bad.forbidden(matchPath, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
  }
  if (!watch && call.sendInitialEvents.has_value()) {
    bad.forbidden(api::Path("sendInitialEvents"), "sendInitialEvents is forbidden for list");
  }
  if (!match.empty()) {
    if (watch && !call.sendInitialEvents.has_value()) bad.forbidden(matchPath, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    if (watch && call.sendInitialEvents.has_value() && match != "NotOlderThan") bad.forbidden(matchPath, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    if (!watch) {
      if (call.resourceVersion.empty()) bad.forbidden(matchPath, "resourceVersionMatch is forbidden unless resourceVersion is provided");
      if (!call.continueToken.empty()) bad.forbidden(matchPath, "resourceVersionMatch is forbidden when continue is provided");
      if (match != "Exact" && match != "NotOlderThan") bad.notSupported(matchPath, match, {"Exact", "NotOlderThan", ""});
      if (match == "Exact" && call.resourceVersion == "0") bad.forbidden(matchPath, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
    }
  }
  return bad.toStatus("meta.k8s.io", "ListOptions", "");
}

Result<registry::DeleteOptions> readDeleteOptions(std::string_view body, Encoding encoding, const Query& query, Call& call) {
  api::meta_v1::DeleteOptions given;
  if (!body.empty()) {
    KM_ASSIGN(api::MutableObject o, decodeBody(call, body, encoding, api::meta_v1::DeleteOptions::kType));
    given = o->as<api::meta_v1::DeleteOptions>();
  } else {
    std::string_view grace = query.get("gracePeriodSeconds");
    if (!grace.empty()) {
      int64_t v = 0;
      auto r = std::from_chars(grace.data(), grace.data() + grace.size(), v);
      if (r.ec != std::errc() || r.ptr != grace.data() + grace.size()) {
        return errors::badRequest(fmt::format("strconv.ParseInt: parsing {}: invalid syntax", api::goQuote(grace)));
      }
      given.gracePeriodSeconds = v;
    }
    if (query.has("orphanDependents")) given.orphanDependents = query.get("orphanDependents") == "true";
    if (query.has("propagationPolicy")) given.propagationPolicy = std::string_view(query.get("propagationPolicy"));
  }
  for (std::string_view d : query.all("dryRun")) given.dryRun.push_back(d);
  api::FieldErrors bad;
  if (given.orphanDependents && given.propagationPolicy) {
    bad.invalid(api::Path("propagationPolicy"), given.propagationPolicy->view(), "orphanDependents and deletionPropagation cannot be both set");
  }
  registry::DeleteOptions out;
  if (given.propagationPolicy) {
    std::string_view p = *given.propagationPolicy;
    if (p != "Foreground" && p != "Background" && p != "Orphan") {
      // Upstream gives this list unsorted.
      StatusDetails d;
      d.group = "meta.k8s.io";
      d.kind = "DeleteOptions";
      std::string m = fmt::format("Unsupported value: {}: supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"", api::goQuote(p));
      d.causes.push_back({"FieldValueNotSupported", m, "propagationPolicy"});
      return Status(422, "Invalid", "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: " + m, std::move(d));
    }
    out.propagationPolicy = p;
  }
  for (const auto& d : given.dryRun) {
    if (d != "All") {
      bad.notSupported(api::Path("dryRun"), api::BadValue::raw(fmt::format("[]string{{{}}}", api::goQuote(d))), {"All"});
    } else {
      call.dryRun = true;
    }
  }
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
