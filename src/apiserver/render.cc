#include "apiserver/render.h"

#include <fmt/format.h>

#include "api/field_error.h"
#include "api/types/meta_v1.h"
#include "codec/json.h"
#include "codec/proto.h"
#include "codec/yaml.h"

namespace km::apiserver {
namespace {

using async::Buffer;

const Buffer& newline() {
  static const Buffer b(std::string("\n"));
  return b;
}

api::meta_v1::Status statusObject(const Status& s) {
  api::meta_v1::Status out;
  out.status = "Failure";
  out.message = s.message();
  out.reason = s.reason();
  out.code = s.code();
  if (const StatusDetails* d = s.details()) {
    auto& details = out.details.emplace();
    details.name = d->name;
    details.group = d->group;
    details.kind = d->kind;
    details.uid = d->uid;
    details.retryAfterSeconds = d->retryAfterSeconds;
    for (const StatusCause& c : d->causes) {
      auto& cause = details.causes.add();
      cause.reason = c.reason;
      cause.message = c.message;
      cause.field = c.field;
    }
  }
  return out;
}

// JSON text in the format: as it is with a newline, pretty, or as YAML.
http::Body ofJson(std::string json, const OutputFormat& format) {
  if (format.encoding == Encoding::kYaml) {
    // Fails on what is no JSON only.
    auto yaml = codec::jsonToYaml(json);
    return http::Body(yaml.ok() ? std::move(*yaml) : std::move(json));
  }
  if (format.pretty) return http::Body(codec::prettyJson(json));
  json += '\n';
  return http::Body(std::move(json));
}

http::Body ofStruct(const void* p, const codec::TypeInfo& t, std::string_view apiVersion, const OutputFormat& format) {
  std::string out;
  if (format.encoding == Encoding::kProto) {
    codec::encodeEnveloped(out, p, t, apiVersion);
    return http::Body(std::move(out));
  }
  codec::encodeJson(out, p, t, apiVersion);
  return ofJson(std::move(out), format);
}

// `{"kind":"Pod","apiVersion":"v1",` : where an item of a typed list begins in the JSON of its object.
size_t typeMetaLength(const codec::TypeInfo& t) {
  constexpr std::string_view kFrame = R"({"kind":"","apiVersion":"",)";
  return kFrame.size() + t.name.size() + t.apiVersion.size();
}

void appendListMeta(std::string& out, const ListResult& list) {
  out += fmt::format("\"metadata\":{{\"resourceVersion\":\"{}\"", list.resourceVersion);
  if (!list.continueToken.empty()) {
    out += ",\"continue\":";
    codec::appendJsonString(out, list.continueToken);
  }
  if (list.remaining) out += fmt::format(",\"remainingItemCount\":{}", *list.remaining);
  out += '}';
}

// Upstream makes these views from its internal types, which hold two old annotations as fields of the spec.
api::meta_v1::PartialObjectMetadata partial(const api::Object& o) {
  api::meta_v1::PartialObjectMetadata p;
  p.metadata = o.meta();
  if (o.kind() == "DaemonSet") p.metadata.annotations.erase("deprecated.daemonset.template.generation");
  if (o.kind() == "Deployment") p.metadata.annotations.erase("deprecated.deployment.rollback.to");
  return p;
}

std::string partialJson(const api::Object& o, std::string_view version, bool typed) {
  std::string out;
  if (typed) out += fmt::format(R"({{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/{}",)", version);
  out += typed ? "\"metadata\":" : "{\"metadata\":";
  auto p = partial(o);
  codec::encodeJson(out, &p.metadata, api::meta_v1::ObjectMeta::kType);
  out += '}';
  return out;
}

std::string columnsJson(const api::Resource& r) {
  std::string out = "[";
  auto column = [&](std::string_view name, std::string_view type, std::string_view format, int priority) {
    if (out.size() > 1) out += ',';
    out += "{\"name\":";
    codec::appendJsonString(out, name);
    out += fmt::format(R"(,"type":"{}","format":"{}","description":"","priority":{}}})", type, format, priority);
  };
  for (const api::Column& c : r.columns) column(c.name, c.type, c.format, c.priority);
  if (r.columns.empty()) {
    column("Name", "string", "name", 0);
    column("Created At", "date", "", 0);
  }
  return out + "]";
}

// Rows are always of the resource's stored version: that is what strategies know.
void appendRow(std::string& out, const api::Object& o, const View& view) {
  out += "{\"cells\":[";
  std::vector<std::string> cells = view.served->registry->strategy().cells(view.served->registry->resource(), o, view.now);
  for (size_t i = 0; i < cells.size(); i++) {
    if (i != 0) out += ',';
    out += cells[i];
  }
  out += "],\"object\":";
  switch (view.include) {
    case View::Include::kNone: out += "null"; break;
    case View::Include::kMetadata: out += partialJson(o, view.format.transformVersion, true); break;
    case View::Include::kObject: out += *o.json(); break;
  }
  out += '}';
}

std::string tableJson(const std::vector<api::ObjectPtr>& rows, const std::string& listMeta, const View& view, bool columns) {
  std::string out = fmt::format(R"({{"kind":"Table","apiVersion":"meta.k8s.io/{}",{},"columnDefinitions":)", view.format.transformVersion, listMeta);
  const api::Resource& r = view.served->registry->resource();
  out += columns ? columnsJson(r) : "null";
  // Upstream's table of kinds without columns of their own leaves an empty list null.
  bool plain = r.columns.empty() || (r.columns.size() == 2 && r.columns[1].name == "Created At");
  if (rows.empty() && plain) return out + ",\"rows\":null}";
  out += ",\"rows\":[";
  for (size_t i = 0; i < rows.size(); i++) {
    if (i != 0) out += ',';
    appendRow(out, *rows[i], view);
  }
  return out + "]}";
}

std::string revisionMeta(const api::Object& o) {
  return fmt::format("\"metadata\":{{\"resourceVersion\":\"{}\"}}", o.meta().resourceVersion);
}

void appendVarint(std::string& out, uint64_t v) {
  while (v > 0x7F) {
    out += static_cast<char>(v | 0x80);
    v >>= 7;
  }
  out += static_cast<char>(v);
}

size_t varintSize(uint64_t v) {
  size_t n = 1;
  for (; v > 0x7F; v >>= 7) n++;
  return n;
}

http::Body protoList(const ListResult& list, std::string_view kind, std::string_view apiVersion) {
  api::meta_v1::ListMeta meta;
  meta.resourceVersion = std::to_string(list.resourceVersion);
  meta.continue_ = list.continueToken;
  meta.remainingItemCount = list.remaining;
  std::string metaBytes = codec::toProto(meta);
  // Each item is the message inside its object's envelope.
  std::vector<Buffer> items;
  size_t raw = 1 + varintSize(metaBytes.size()) + metaBytes.size();
  for (const api::ObjectPtr& o : list.items) {
    api::SharedBytes bytes = o->proto();
    std::string_view message = codec::openEnvelope(*bytes)->raw;
    items.emplace_back(bytes, static_cast<size_t>(message.data() - bytes->data()), message.size());
    raw += 1 + varintSize(message.size()) + message.size();
  }
  // The envelope, written by hand because its content is not in one place.
  std::string head(codec::kProtoMagic);
  std::string typeMeta;
  typeMeta += '\x0a';
  appendVarint(typeMeta, apiVersion.size());
  typeMeta += apiVersion;
  typeMeta += '\x12';
  appendVarint(typeMeta, kind.size());
  typeMeta += kind;
  head += '\x0a';
  appendVarint(head, typeMeta.size());
  head += typeMeta;
  head += '\x12';
  appendVarint(head, raw);
  head += '\x0a';
  appendVarint(head, metaBytes.size());
  head += metaBytes;
  // All the small pieces between items stand in one string.
  auto frames = std::make_shared<std::string>();
  std::vector<size_t> ends;
  for (const Buffer& b : items) {
    *frames += '\x12';
    appendVarint(*frames, b.size());
    ends.push_back(frames->size());
  }
  std::vector<Buffer> pieces;
  pieces.reserve(items.size() * 2 + 2);
  pieces.emplace_back(std::move(head));
  std::shared_ptr<const std::string> shared = frames;
  size_t from = 0;
  for (size_t i = 0; i < items.size(); i++) {
    pieces.emplace_back(shared, from, ends[i] - from);
    from = ends[i];
    pieces.push_back(std::move(items[i]));
  }
  pieces.emplace_back(std::string("\x1a\x00\x22\x00", 4));
  return http::Body(std::move(pieces));
}

http::Body jsonList(const ListResult& list, std::string_view kind, std::string_view apiVersion, const OutputFormat& format) {
  std::string head = fmt::format(R"({{"kind":"{}","apiVersion":"{}",)", kind, apiVersion);
  appendListMeta(head, list);
  head += ",\"items\":[";
  if (format.pretty || format.encoding == Encoding::kYaml) {
    for (size_t i = 0; i < list.items.size(); i++) {
      head += i == 0 ? "{" : ",{";
      head += std::string_view(*list.items[i]->json()).substr(typeMetaLength(list.items[i]->type()));
    }
    return ofJson(head + "]}", format);
  }
  static const Buffer first(std::string("{")), next(std::string(",{")), end(std::string("]}\n"));
  std::vector<Buffer> pieces;
  pieces.reserve(list.items.size() * 2 + 2);
  pieces.emplace_back(std::move(head));
  for (size_t i = 0; i < list.items.size(); i++) {
    pieces.push_back(i == 0 ? first : next);
    api::SharedBytes bytes = list.items[i]->json();
    size_t at = typeMetaLength(list.items[i]->type());
    size_t size = bytes->size() - at;
    pieces.emplace_back(std::move(bytes), at, size);
  }
  pieces.push_back(end);
  return http::Body(std::move(pieces));
}

http::Body partialList(const ListResult& list, const OutputFormat& f) {
  if (f.encoding == Encoding::kProto) {
    ListResult partials = list;
    for (api::ObjectPtr& o : partials.items) o = api::Object::of(partial(*o));
    return protoList(partials, "PartialObjectMetadataList", "meta.k8s.io/" + f.transformVersion);
  }
  std::string out = fmt::format(R"({{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/{}",)", f.transformVersion);
  appendListMeta(out, list);
  out += ",\"items\":";
  // No items are null, as upstream appends them one by one.
  if (list.items.empty()) return ofJson(out + "null}", f);
  for (size_t i = 0; i < list.items.size(); i++) {
    out += i == 0 ? '[' : ',';
    out += partialJson(*list.items[i], f.transformVersion, true);
  }
  return ofJson(out + "]}", f);
}

const char* eventName(cache::EventType t) {
  switch (t) {
    case cache::EventType::kAdded: return "ADDED";
    case cache::EventType::kModified: return "MODIFIED";
    case cache::EventType::kDeleted: return "DELETED";
  }
  return "";
}

constexpr std::string_view kFrameEnd = "}\n";  // of JSON

// What stands before an event's object of `size` bytes.
void appendFrameHead(std::string& out, std::string_view type, size_t size, bool proto) {
  if (!proto) {
    out += R"({"type":")";
    out += type;
    out += R"(","object":)";
    return;
  }
  // WatchEvent {1 type, 2 object RawExtension {1 raw}}, behind its length.
  size_t ext = 1 + varintSize(size) + size;
  size_t total = 2 + type.size() + 1 + varintSize(ext) + ext;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>((total >> shift) & 0xFF);
  out += '\x0a';
  appendVarint(out, type.size());
  out += type;
  out += '\x12';
  appendVarint(out, ext);
  out += '\x0a';
  appendVarint(out, size);
}

// `object` is JSON or an enveloped message, by the format.
http::Body frame(std::string_view type, Buffer object, const OutputFormat& format) {
  bool proto = format.encoding == Encoding::kProto;
  std::string head;
  appendFrameHead(head, type, object.size(), proto);
  std::vector<Buffer> pieces;
  pieces.reserve(3);
  pieces.emplace_back(std::move(head));
  pieces.push_back(std::move(object));
  static const Buffer end{std::string(kFrameEnd)};
  if (!proto) pieces.push_back(end);
  return http::Body(std::move(pieces));
}

Buffer eventObject(const api::ObjectPtr& o, const View& view, bool first) {
  switch (view.format.transform) {
    case OutputFormat::Transform::kTable:
      return Buffer(tableJson({o}, revisionMeta(*o), view, first));
    case OutputFormat::Transform::kPartial:
    case OutputFormat::Transform::kPartialList:
      if (view.format.encoding == Encoding::kProto) {
        std::string out;
        auto p = partial(*o);
        codec::encodeEnveloped(out, &p, api::meta_v1::PartialObjectMetadata::kType, "meta.k8s.io/" + view.format.transformVersion);
        return Buffer(std::move(out));
      }
      return Buffer(partialJson(*o, view.format.transformVersion, true));
    case OutputFormat::Transform::kNone:
      break;
  }
  return Buffer(view.format.encoding == Encoding::kProto ? o->proto() : o->json());
}

}  // namespace

std::string statusJson(const Status& s) {
  auto o = statusObject(s);
  return codec::toJson(o);
}

http::Body renderStatus(const Status& s, const OutputFormat& format) {
  auto o = statusObject(s);
  return ofStruct(&o, api::meta_v1::Status::kType, "v1", format);
}

http::Body renderSuccess(const api::Object& deleted, const api::Resource& resource, const OutputFormat& format) {
  api::meta_v1::Status out;
  out.status = "Success";
  auto& details = out.details.emplace();
  details.name = deleted.name();
  details.group = resource.group;
  details.kind = resource.name;
  details.uid = deleted.meta().uid;
  return ofStruct(&out, api::meta_v1::Status::kType, "v1", format);
}

namespace {

// Go's name of the internal type.
std::string goType(const api::Resource& r, std::string_view suffix) {
  std::string_view package = r.group.empty() || r.group == "events.k8s.io" ? "core" : r.group.substr(0, r.group.find('.'));
  return fmt::format("*{}.{}{}", package, r.kind, suffix);
}

Status protoTable() {
  return errors::notAcceptable("object *v1.Table does not implement the protobuf marshalling interface and cannot be encoded to a protobuf message");
}

}  // namespace

Result<http::Body> renderObject(const api::ObjectPtr& o, const View& view) {
  const OutputFormat& f = view.format;
  KM_TRY(view.invalid);
  bool plain = f.transform == OutputFormat::Transform::kNone || view.served == nullptr || view.served->registry == nullptr ||
               (!o->is(*view.served->resource->type) && !o->is(*view.served->registry->resource().type));
  if (plain) {
    if (f.encoding == Encoding::kProto) return http::Body(o->proto());
    if (f.encoding == Encoding::kYaml || f.pretty) return ofJson(*o->json(), f);
    std::vector<Buffer> pieces{Buffer(o->json()), newline()};
    return http::Body(std::move(pieces));
  }
  if (f.transform == OutputFormat::Transform::kTable) {
    if (f.encoding == Encoding::kProto) return protoTable();
    return ofJson(tableJson({o}, revisionMeta(*o), view, true), f);
  }
  if (f.transform == OutputFormat::Transform::kPartialList) {
    return errors::notAcceptable(fmt::format("you requested PartialObjectMetadataList, but the requested object is not a list ({})",
                                             goType(*view.served->resource, "")));
  }
  auto p = partial(*o);
  return ofStruct(&p, api::meta_v1::PartialObjectMetadata::kType, "meta.k8s.io/" + f.transformVersion, f);
}

Result<http::Body> renderList(const ListResult& list, const View& view) {
  const OutputFormat& f = view.format;
  const api::Resource& r = *view.served->resource;
  KM_TRY(view.invalid);
  switch (f.transform) {
    case OutputFormat::Transform::kTable: {
      if (f.encoding == Encoding::kProto) return protoTable();
      std::string meta;
      appendListMeta(meta, list);
      return ofJson(tableJson(list.items, meta, view, true), f);
    }
    case OutputFormat::Transform::kPartial:
      return errors::notAcceptable(
          fmt::format("you requested PartialObjectMetadata, but the requested object is a list ({})", goType(r, "List")));
    case OutputFormat::Transform::kPartialList:
      return partialList(list, f);
    case OutputFormat::Transform::kNone:
      break;
  }
  std::string kind = fmt::format("{}List", r.kind);
  if (f.encoding == Encoding::kProto) return protoList(list, kind, r.type->apiVersion);
  return jsonList(list, kind, r.type->apiVersion, f);
}

http::Body renderEvent(cache::EventType type, const api::ObjectPtr& o, const View& view, bool first) {
  return frame(eventName(type), eventObject(o, view, first), view.format);
}

std::string renderEvents(const cache::Batch& batch, bool proto) {
  std::string out;
  for (const cache::Delivery& d : batch.events()) {
    api::SharedBytes bytes = proto ? d.object->proto() : d.object->json();
    if (out.empty()) out.reserve((bytes->size() + 64) * batch.size());  // events of a batch are much alike
    appendFrameHead(out, eventName(d.type), bytes->size(), proto);
    out += *bytes;
    if (!proto) out += kFrameEnd;
  }
  return out;
}

http::Body renderBookmark(int64_t revision, bool initialEnd, const View& view, bool first) {
  api::MutableObject o = api::Object::make(*view.served->resource->type);
  o->meta().resourceVersion = std::to_string(revision);
  if (initialEnd) o->meta().annotations["k8s.io/initial-events-end"] = "true";
  return frame("BOOKMARK", eventObject(o, view, first), view.format);
}

http::Body renderErrorEvent(const Status& s, const View& view) {
  auto o = statusObject(s);
  std::string out;
  if (view.format.encoding == Encoding::kProto) {
    codec::encodeEnveloped(out, &o, api::meta_v1::Status::kType, "v1");
  } else {
    codec::encodeJson(out, &o, api::meta_v1::Status::kType);
  }
  return frame("ERROR", Buffer(std::move(out)), view.format);
}

}  // namespace km::apiserver
