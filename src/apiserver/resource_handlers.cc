#include "apiserver/resource_handlers.h"

#include <fmt/format.h>

#include "api/field_error.h"
#include "api/types/meta_v1.h"
#include "apiserver/decode.h"
#include "apiserver/routing.h"
#include "apiserver/watch_stream.h"
#include "object/managed_fields.h"
#include "object/patch.h"
#include "registry/defaults.h"

namespace km::apiserver {
namespace {

Result<PatchKind> patchKind(std::string_view contentType) {
  std::string_view type = contentType.substr(0, contentType.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  if (type == "application/json-patch+json") return PatchKind::kJson;
  if (type == "application/merge-patch+json") return PatchKind::kMerge;
  if (type == "application/strategic-merge-patch+json") return PatchKind::kStrategicMerge;
  if (type == "application/apply-patch+yaml") return PatchKind::kApply;
  return Status(415, "UnsupportedMediaType", "415: Unsupported Media Type", StatusDetails());
}

// What upstream says of every request for a resource that goes.
void warnOfDeprecation(HttpCall& http, const Served& served) {
  const api::Resource& r = *served.resource;
  if (r.group.empty() && r.name == "endpoints") {
    http.warnings.emplace_back("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice");
  } else if (r.group.empty() && r.name == "componentstatuses") {
    http.warnings.emplace_back("v1 ComponentStatus is deprecated in v1.19+");
  }
}

}  // namespace

ResourceHandlers::ResourceHandlers(Operations& operations) : operations_(operations) {}

void ResourceHandlers::handleSpecially(std::string_view group, std::string_view resource, std::string_view subresource, Special handler) {
  std::string key = fmt::format("{}/{}", group, resource);
  if (!subresource.empty()) key += fmt::format("/{}", subresource);
  special_[key] = std::move(handler);
}

bool ResourceHandlers::negotiateInto(const HttpCallPtr& http, Forms forms) {
  const auto& headers = http->request().headers;
  auto f = negotiate(headers.get("accept"), http->query.get("pretty"), http->query.has("pretty"), headers.get("user-agent"), forms);
  if (!f.ok()) {
    http->fail(f.status());
    return false;
  }
  http->format = *f;
  return true;
}

View ResourceHandlers::view(const HttpCall& http, const Call& call) const {
  View v;
  v.format = http.format;
  v.served = call.served;
  v.now = operations_.clock().now();
  std::string_view include = http.query.get("includeObject");
  if (v.format.transform == OutputFormat::Transform::kTable && include != "None" && include != "Object" && include != "Metadata" && !include.empty()) {
    v.invalid = errors::badRequest(fmt::format("Unable to convert to Table as requested: includeObject: Invalid value: {}: must be 'Metadata', "
                                               "'Object', 'None', or empty",
                                               api::goQuote(include)));
  }
  v.include = include == "None" ? View::Include::kNone : include == "Object" ? View::Include::kObject : View::Include::kMetadata;
  return v;
}

void ResourceHandlers::handle(HttpCallPtr http) {
  const RequestInfo& info = http->info;
  if (Status s = checkRoute(operations_.resources(), http->request(), info); !s.ok()) return http->fail(s);
  const Served* served = operations_.resources().find(info.group, info.version, info.resource);
  if (served == nullptr) return http->fail(routeNotFound());
  auto call = std::make_shared<Call>();
  call->user = http->user;
  call->served = served;
  call->verb = info.verb;
  call->ns = served->resource->namespaced ? info.ns : "";
  call->name = info.name;
  if ((info.verb == "list" || info.verb == "watch") && info.parts.size() < 2) call->name.clear();  // the name came from a selector
  call->subresource = info.subresource;
  call->userAgent = http->request().headers.get("user-agent");
  warnOfDeprecation(*http, *served);

  std::string key = fmt::format("{}/{}", info.group, info.resource);
  if (!info.subresource.empty()) key += "/" + info.subresource;
  // A stream that is asked for by a GET is made all the same.
  bool streams = info.subresource == "exec" || info.subresource == "attach" || info.subresource == "portforward";
  if (streams && info.verb == "get") {
    authz::Answer answer = operations_.ask(*call, "create");
    if (answer.decision != authz::Decision::kAllow) return http->fail(errors::forbidden(call->groupResource(), call->name, answer.reason));
  }
  // Subresources of the kind itself (status, ephemeralcontainers) are written as it is: the strategy knows them by name.
  if (auto it = special_.find(key); it != special_.end()) return it->second(http, call);
  if (served->registry == nullptr || !served->isOwn(info.subresource)) return http->fail(routeNotFound());
  if (info.verb == "get") return get(http, call);
  if (info.verb == "list") return list(http, call);
  if (info.verb == "watch") return watch(http, call);
  if (info.verb == "create") return create(http, call);
  if (info.verb == "update") return update(http, call);
  if (info.verb == "patch") return patch(http, call);
  if (info.verb == "delete") return remove(http, call);
  if (info.verb == "deletecollection") return removeCollection(http, call);
  http->fail(routeMethodNotAllowed());
}

void ResourceHandlers::answerObject(const HttpCallPtr& http, const CallPtr& call, int code, const Result<api::ObjectPtr>& r) {
  for (std::string& w : call->warnings) http->warnings.push_back(std::move(w));
  if (!r.ok()) return http->fail(r.status());
  auto served = operations_.toServed(*call, *r);
  if (!served.ok()) return http->fail(served.status());
  View v = view(*http, *call);
  // Table rows are made from the stored version.
  const api::ObjectPtr& shown = v.format.transform == OutputFormat::Transform::kNone || !call->served->converts() ? *served : *r;
  auto body = renderObject(shown, v);
  if (!body.ok()) return http->fail(body.status());
  http->answer(code, std::move(*body), http->format.contentType());
}

Result<api::MutableObject> ResourceHandlers::body(const HttpCallPtr& http, Call& call, const codec::TypeInfo& type) {
  KM_ASSIGN(Encoding encoding, bodyEncoding(http->request().headers.get("content-type")));
  return decodeBody(call, http->request().body, encoding, type);
}

void ResourceHandlers::subresource(HttpCallPtr http, CallPtr call, const SubresourceOps& ops) {
  // Of what is only done, a Binding or a review, there are no tables.
  if (!negotiateInto(http, ops.get ? Forms::kTables : Forms::kMetadata)) return;
  auto refuse = [&] { http->fail(routeMethodNotAllowed()); };
  auto answer = [this, http, call](int code) {
    return [this, http, call, code](Result<api::ObjectPtr> r) {
      http->onLoop([this, http, call, code, r = std::move(r)] { answerObject(http, call, code, r); });
    };
  };
  if (call->verb == "get") {
    if (!ops.get) return refuse();
    return ops.get(call, answer(200));
  }
  if (call->verb == "patch" && ops.patch) return patchSubresource(http, call, ops);
  bool create = call->verb == "create";
  if (create ? !ops.create : (call->verb != "update" || !ops.update)) return refuse();
  if (Status s = readWriteOptions(http->query, create ? "CreateOptions" : "UpdateOptions", *call); !s.ok()) return http->fail(s);
  auto o = body(http, *call, *ops.type);
  if (!o.ok()) return http->fail(o.status());
  auto& meta = (*o)->meta();
  std::string_view ns = call->served->resource->namespaced ? std::string_view(call->ns) : std::string_view();
  if (meta.namespace_.empty()) meta.namespace_ = ns;
  if (meta.namespace_ != ns) {
    return http->fail(errors::badRequest("the namespace of the provided object does not match the namespace sent on the request"));
  }
  if (!create && meta.name.empty()) {
    return http->fail(errors::badRequest(
        fmt::format("the name of the object ({} based on URL) was undeterminable: name must be provided", call->name)));
  }
  if (!create && meta.name != call->name) {
    return http->fail(errors::badRequest(
        fmt::format("the name of the object ({}) does not match the name on the URL ({})", meta.name, call->name)));
  }
  if (create) {
    registry::applyDefaults(**o);
    object::FieldWriter writer;
    writer.manager = call->manager();
    writer.subresource = call->subresource;
    writer.now = operations_.clock().now();
    if (call->body) writer.body = *call->body;
    object::updateManagedFields(nullptr, **o, writer);
    return ops.create(call, std::move(*o), answer(201));
  }
  ops.update(call, std::move(*o), answer(200));
}

void ResourceHandlers::patchSubresource(HttpCallPtr http, CallPtr call, const SubresourceOps& ops) {
  auto kind = patchKind(http->request().headers.get("content-type"));
  if (!kind.ok()) return http->fail(kind.status());
  if (Status s = readWriteOptions(http->query, "PatchOptions", *call, *kind == PatchKind::kApply); !s.ok()) return http->fail(s);
  ops.patch(call, *kind, http->request().body, [this, http, call](Result<api::ObjectPtr> r) {
    http->onLoop([this, http, call, r = std::move(r)] { answerObject(http, call, 200, r); });
  });
}

void ResourceHandlers::get(HttpCallPtr http, CallPtr call) {
  if (!negotiateInto(http)) return;
  if (Status s = readListOptions(http->query, *call); !s.ok()) return http->fail(s);
  operations_.get(call, [this, http, call](Result<api::ObjectPtr> r) {
    http->onLoop([this, http, call, r = std::move(r)] { answerObject(http, call, 200, r); });
  });
}

void ResourceHandlers::list(HttpCallPtr http, CallPtr call) {
  if (!negotiateInto(http)) return;
  if (Status s = readListOptions(http->query, *call); !s.ok()) return http->fail(s);
  operations_.list(call, [this, http, call](Result<ListResult> r) {
    http->onLoop([this, http, call, r = std::move(r)]() mutable {
      if (!r.ok()) return http->fail(r.status());
      View v = view(*http, *call);
      if (call->served->converts() && v.format.transform == OutputFormat::Transform::kNone) {
        for (api::ObjectPtr& o : r->items) {
          auto converted = operations_.toServed(*call, o);
          if (!converted.ok()) return http->fail(converted.status());
          o = std::move(*converted);
        }
      }
      if (v.format.transform == OutputFormat::Transform::kTable && call->served->registry != nullptr) {
        call->served->registry->strategy().orderRows(r->items);
      }
      auto body = renderList(*r, v);
      if (!body.ok()) return http->fail(body.status());
      http->answer(200, std::move(*body), http->format.contentType());
    });
  });
}

void ResourceHandlers::watch(HttpCallPtr http, CallPtr call) {
  if (!negotiateInto(http)) return;
  View v = view(*http, *call);
  if (!v.invalid.ok()) return http->fail(v.invalid);
  if (http->format.encoding == Encoding::kYaml) {
    return http->fail(errors::notAcceptable(
        "only the following media types are accepted: application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"));
  }
  if (Status s = readListOptions(http->query, *call); !s.ok()) return http->fail(s);
  startWatchStream(operations_, longRunning_, http, call, std::move(v));
}

void ResourceHandlers::create(HttpCallPtr http, CallPtr call) {
  if (!negotiateInto(http)) return;
  if (Status s = readWriteOptions(http->query, "CreateOptions", *call); !s.ok()) return http->fail(s);
  auto o = body(http, *call, *call->served->resource->type);
  if (!o.ok()) return http->fail(o.status());
  operations_.create(call, std::move(*o), [this, http, call](Result<api::ObjectPtr> r) {
    http->onLoop([this, http, call, r = std::move(r)] { answerObject(http, call, 201, r); });
  });
}

void ResourceHandlers::update(HttpCallPtr http, CallPtr call) {
  if (!negotiateInto(http)) return;
  if (Status s = readWriteOptions(http->query, "UpdateOptions", *call); !s.ok()) return http->fail(s);
  auto o = body(http, *call, *call->served->resource->type);
  if (!o.ok()) return http->fail(o.status());
  operations_.update(call, std::move(*o), [this, http, call](Result<registry::UpdateResult> r) {
    http->onLoop([this, http, call, r = std::move(r)] {
      if (!r.ok()) return answerObject(http, call, 200, r.status());
      answerObject(http, call, r->created ? 201 : 200, r->object);
    });
  });
}

void ResourceHandlers::patch(HttpCallPtr http, CallPtr call) {
  if (!negotiateInto(http)) return;
  auto kind = patchKind(http->request().headers.get("content-type"));
  if (!kind.ok()) return http->fail(kind.status());
  if (Status s = readWriteOptions(http->query, "PatchOptions", *call, *kind == PatchKind::kApply); !s.ok()) return http->fail(s);
  operations_.patch(call, *kind, http->request().body, [this, http, call](Result<registry::UpdateResult> r) {
    http->onLoop([this, http, call, r = std::move(r)] {
      if (!r.ok()) return answerObject(http, call, 200, r.status());
      answerObject(http, call, r->created ? 201 : 200, r->object);
    });
  });
}

void ResourceHandlers::remove(HttpCallPtr http, CallPtr call) {
  if (!negotiateInto(http)) return;
  auto encoding = bodyEncoding(http->request().headers.get("content-type"));
  if (!http->request().body.empty() && !encoding.ok()) return http->fail(encoding.status());
  auto options = readDeleteOptions(http->request().body, encoding.ok() ? *encoding : Encoding::kJson, http->query, *call);
  if (!options.ok()) return http->fail(options.status());
  registry::DeleteOptions wanted = *options;
  operations_.remove(call, std::move(*options), [this, http, call, wanted](Result<registry::Deleted> r) {
    http->onLoop([this, http, call, wanted, r = std::move(r)] {
      if (!r.ok()) return answerObject(http, call, 200, r.status());
      bool withObject = !r->immediately || call->served->registry->strategy().returnsDeletedObject();
      int code = !r->immediately && wanted.orphanDependents && !*wanted.orphanDependents ? 202 : 200;
      if (withObject) return answerObject(http, call, code, r->object);
      for (std::string& w : call->warnings) http->warnings.push_back(std::move(w));
      http->answer(code, renderSuccess(*r->object, *call->served->resource, http->format), http->format.contentType());
    });
  });
}

void ResourceHandlers::removeCollection(HttpCallPtr http, CallPtr call) {
  if (!negotiateInto(http)) return;
  if (Status s = readListOptions(http->query, *call); !s.ok()) return http->fail(s);
  auto encoding = bodyEncoding(http->request().headers.get("content-type"));
  if (!http->request().body.empty() && !encoding.ok()) return http->fail(encoding.status());
  auto options = readDeleteOptions(http->request().body, encoding.ok() ? *encoding : Encoding::kJson, http->query, *call);
  if (!options.ok()) return http->fail(options.status());
  operations_.removeCollection(call, std::move(*options), [this, http, call](Result<ListResult> r) {
    http->onLoop([this, http, call, r = std::move(r)]() mutable {
      if (!r.ok()) return http->fail(r.status());
      if (call->served->converts()) {
        for (api::ObjectPtr& o : r->items) {
          auto converted = operations_.toServed(*call, o);
          if (!converted.ok()) return http->fail(converted.status());
          o = std::move(*converted);
        }
      }
      for (std::string& w : call->warnings) http->warnings.push_back(std::move(w));
      auto body = renderList(*r, view(*http, *call));
      if (!body.ok()) return http->fail(body.status());
      http->answer(200, std::move(*body), http->format.contentType());
    });
  });
}

}  // namespace km::apiserver
