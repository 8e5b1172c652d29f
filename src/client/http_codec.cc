#include "client/http_codec.h"

#include <cstring>

#include "api/types/meta_v1.h"
#include "base/strings.h"
#include "codec/json.h"
#include "codec/ops.h"
#include "codec/proto.h"
#include "codec/value.h"

namespace km::client {
namespace {

constexpr size_t kMaxFrame = 256 << 20;

bool isProtobuf(std::string_view contentType) { return contentType.starts_with(kProtobufType); }

void escape(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  for (unsigned char c : text) {
    if (isalnum(c) || c == '-' || c == '_' || c == '.' || c == '~') {
      out += static_cast<char>(c);
    } else {
      out += '%';
      out += kHex[c >> 4];
      out += kHex[c & 15];
    }
  }
}

// A message of a type, owned.
class Message {
 public:
  explicit Message(const codec::TypeInfo& t) : type_(t), data_(calloc(1, t.size)) {}
  ~Message() {
    codec::destroy(data_, type_);
    free(data_);
  }
  Message(const Message&) = delete;
  void* data() { return data_; }

 private:
  const codec::TypeInfo& type_;
  void* data_;
};

struct Kind {
  std::string apiVersion, kind;
  bool is(const codec::TypeInfo& t) const { return kind == t.name && apiVersion == t.apiVersion; }
  bool isStatus() const { return kind == "Status" && apiVersion == "v1"; }
};

Result<Kind> peek(std::string_view body, bool protobuf) {
  if (protobuf) {
    KM_ASSIGN(auto e, codec::openEnvelope(body));
    return Kind{std::string(e.apiVersion), std::string(e.kind)};
  }
  KM_ASSIGN(auto m, codec::peekTypeMeta(body));
  return Kind{m.apiVersion, m.kind};
}

Status decodeInto(std::string_view body, bool protobuf, void* to, const codec::TypeInfo& t) {
  if (!protobuf) return codec::decodeJson(body, to, t);
  KM_ASSIGN(auto e, codec::openEnvelope(body));
  return codec::decodeProto(e.raw, to, t);
}

Status toStatus(const api::meta_v1::Status& s, int code) {
  StatusDetails d;
  if (s.details) {
    d.name = s.details->name;
    d.group = s.details->group;
    d.kind = s.details->kind;
    d.uid = s.details->uid;
    d.retryAfterSeconds = s.details->retryAfterSeconds;
    for (const auto& c : s.details->causes) d.causes.push_back({c.reason.str(), c.message.str(), c.field.str()});
  }
  return Status(s.code != 0 ? s.code : code, s.reason, s.message, std::move(d));
}

std::string_view reasonOf(int code) {
  switch (code) {
    case 400: return "BadRequest";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "NotFound";
    case 405: return "MethodNotAllowed";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 422: return "Invalid";
    case 429: return "TooManyRequests";
    case 503: return "ServiceUnavailable";
    case 504: return "Timeout";
    default: return "InternalError";
  }
}

// Reads a varint; false at the end of the bytes.
bool readVarint(std::string_view& in, uint64_t& v) {
  v = 0;
  for (int shift = 0; shift < 64 && !in.empty(); shift += 7) {
    auto b = static_cast<uint8_t>(in[0]);
    in.remove_prefix(1);
    v |= static_cast<uint64_t>(b & 0x7f) << shift;
    if ((b & 0x80) == 0) return true;
  }
  return false;
}

// The bytes of field `number` of a message whose fields are all length-delimited.
bool bytesField(std::string_view in, uint32_t number, std::string_view& out) {
  while (!in.empty()) {
    uint64_t tag, size;
    if (!readVarint(in, tag) || (tag & 7) != 2 || !readVarint(in, size) || size > in.size()) return false;
    if (tag >> 3 == number) {
      out = in.substr(0, size);
      return true;
    }
    in.remove_prefix(size);
  }
  return false;
}

}  // namespace

std::string resourcePath(const Target& t) {
  std::string path = t.resource->group.empty() ? "/api/" : "/apis/" + std::string(t.resource->group) + "/";
  path += t.resource->version;
  if (t.resource->namespaced && !t.ns.empty()) {
    path += "/namespaces/";
    escape(path, t.ns);
  }
  path += '/';
  path += t.resource->name;
  if (!t.name.empty()) {
    path += '/';
    escape(path, t.name);
  }
  if (!t.subresource.empty()) {
    path += '/';
    path += t.subresource;
  }
  return path;
}

void appendQuery(std::string& path, std::vector<std::pair<std::string_view, std::string>> parameters) {
  char separator = '?';
  for (const auto& [name, value] : parameters) {
    if (value.empty()) continue;
    path += separator;
    path += name;
    path += '=';
    escape(path, value);
    separator = '&';
  }
}

std::vector<std::pair<std::string_view, std::string>> listParameters(const ListOptions& o) {
  return {{"labelSelector", o.labelSelector},
          {"fieldSelector", o.fieldSelector},
          {"resourceVersion", o.resourceVersion},
          {"resourceVersionMatch", o.resourceVersionMatch},
          {"limit", o.limit > 0 ? std::to_string(o.limit) : ""},
          {"continue", o.continueToken}};
}

std::vector<std::pair<std::string_view, std::string>> writeParameters(const WriteOptions& o) {
  return {{"fieldManager", o.fieldManager}, {"dryRun", o.dryRun ? "All" : ""}, {"force", o.force ? "true" : ""}};
}

std::string deleteOptionsJson(const DeleteOptions& o) {
  codec::Value v;
  v.set("kind", codec::Value::string("DeleteOptions"));
  v.set("apiVersion", codec::Value::string("v1"));
  if (o.gracePeriodSeconds) v.set("gracePeriodSeconds", codec::Value::integer(*o.gracePeriodSeconds));
  if (!o.propagationPolicy.empty()) v.set("propagationPolicy", codec::Value::string(o.propagationPolicy));
  if (!o.uid.empty()) v["preconditions"].set("uid", codec::Value::string(o.uid));
  if (!o.resourceVersion.empty()) {
    v["preconditions"].set("resourceVersion", codec::Value::string(o.resourceVersion));
  }
  if (o.dryRun) v["dryRun"].push(codec::Value::string("All"));
  return v.json();
}

Result<ObjectPtr> decodeObject(std::string_view body, std::string_view contentType, const api::Resource& resource,
                               const codec::TypeInfo* given) {
  bool protobuf = isProtobuf(contentType);
  KM_ASSIGN(auto kind, peek(body, protobuf));
  const codec::TypeInfo* type = nullptr;
  if (kind.is(*resource.type)) {
    type = resource.type;
  } else if (given != nullptr && kind.is(*given)) {
    type = given;
  } else if (kind.isStatus()) {
    type = &api::meta_v1::Status::kType;
  } else {
    auto [group, version] = api::splitApiVersion(kind.apiVersion);
    if (const api::Resource* r = api::findResourceByKind(group, version, kind.kind)) type = r->type;
  }
  if (type == nullptr) return errors::failed("unexpected object in the answer: " + kind.apiVersion + ", " + kind.kind);
  auto o = api::Object::make(*type);
  KM_TRY(decodeInto(body, protobuf, o->data(), *type));
  return ObjectPtr(o);
}

Result<ObjectList> decodeList(std::string_view body, std::string_view contentType, const api::Resource& resource) {
  if (resource.listType == nullptr) return errors::failed("the resource has no list");
  const codec::TypeInfo& type = *resource.listType;
  Message list(type);
  KM_TRY(decodeInto(body, isProtobuf(contentType), list.data(), type));
  ObjectList out;
  const auto& meta = *static_cast<const api::meta_v1::ListMeta*>(codec::at(list.data(), *type.find("metadata")));
  out.resourceVersion = parseInt64(meta.resourceVersion).value_or(0);
  out.continueToken = meta.continue_;
  out.remainingItemCount = meta.remainingItemCount;
  auto& items = *static_cast<codec::ListBase*>(codec::at(list.data(), *type.find("items")));
  uint32_t size = resource.type->size;
  out.items.reserve(items.size_);
  for (uint32_t i = 0; i < items.size_; i++) {
    // Moved as type.h allows: the bytes are taken, the source is forgotten.
    void* from = static_cast<char*>(items.data_) + static_cast<size_t>(i) * size;
    auto o = api::Object::make(*resource.type);
    std::memcpy(o->data(), from, size);
    std::memset(from, 0, size);
    out.items.push_back(std::move(o));
  }
  return out;
}

Status decodeError(int code, std::string_view body, std::string_view contentType) {
  bool protobuf = isProtobuf(contentType);
  auto kind = peek(body, protobuf);
  if (kind.ok() && kind->isStatus()) {
    api::meta_v1::Status s;
    if (decodeInto(body, protobuf, &s, api::meta_v1::Status::kType).ok()) return toStatus(s, code);
  }
  std::string text(trimSpace(body.substr(0, 2048)));
  return Status(code, reasonOf(code), text.empty() ? "the server answered " + std::to_string(code) : text);
}

Status WatchDecoder::feed(std::string_view bytes, std::vector<WatchEvent>& out) {
  rest_.append(bytes);
  std::string_view in = rest_;
  while (true) {
    size_t size, skip;
    if (json_) {
      size_t end = in.find('\n');
      if (end == std::string_view::npos) break;
      size = end;
      skip = end + 1;
      if (trimSpace(in.substr(0, size)).empty()) {
        in.remove_prefix(skip);
        continue;
      }
    } else {
      if (in.size() < 4) break;
      auto b = [&](int i) { return static_cast<size_t>(static_cast<uint8_t>(in[i])); };
      size = b(0) << 24 | b(1) << 16 | b(2) << 8 | b(3);
      if (size > kMaxFrame) return errors::failed("a watch frame is too large");
      if (in.size() < 4 + size) break;
      in.remove_prefix(4);
      skip = size;
    }
    KM_TRY(frame(in.substr(0, size), out));
    in.remove_prefix(skip);
  }
  rest_.erase(0, rest_.size() - in.size());
  return {};
}

Status WatchDecoder::frame(std::string_view frame, std::vector<WatchEvent>& out) {
  std::string type, document;
  if (json_) {
    KM_ASSIGN(auto v, codec::Value::parse(frame));
    type = v["type"].asString();
    document = v["object"].json();
  } else {
    std::string_view t, extension, raw;
    if (!bytesField(frame, 1, t) || !bytesField(frame, 2, extension) || !bytesField(extension, 1, raw)) {
      return errors::failed("unreadable watch frame");
    }
    type = t;
    document = raw;
  }
  std::string_view contentType = json_ ? "application/json" : kProtobufType;
  WatchEvent e{};
  if (type == "ERROR") {
    e.type = EventType::kError;
    e.error = decodeError(500, document, contentType);
  } else {
    e.type = type == "ADDED"      ? EventType::kAdded
             : type == "MODIFIED" ? EventType::kModified
             : type == "DELETED"  ? EventType::kDeleted
                                  : EventType::kBookmark;
    KM_ASSIGN(e.object, decodeObject(document, contentType, resource_, nullptr));
  }
  out.push_back(std::move(e));
  return {};
}

}  // namespace km::client
