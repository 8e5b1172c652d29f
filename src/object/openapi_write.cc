#include "object/openapi_write.h"

#include "api/types/meta_v1.h"
#include "object/openapi_schema.h"

namespace km::object {
namespace {

using codec::Value;

constexpr std::string_view kPatch = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
constexpr std::string_view kPatchTypes[] = {"application/json-patch+json", "application/merge-patch+json",
                                            "application/strategic-merge-patch+json",
                                            "application/apply-patch+yaml"};

std::vector<std::string_view> mediaTypes(Produces p) {
  switch (p) {
    case Produces::kObject:
      return {"application/json", "application/yaml", "application/vnd.kubernetes.protobuf"};
    case Produces::kList:
      return {"application/json", "application/yaml", "application/vnd.kubernetes.protobuf",
              "application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"};
    case Produces::kAnything:
      return {"*/*"};
    case Produces::kLog:
      return {"text/plain", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"};
    case Produces::kJson:
      return {"application/json"};
    case Produces::kKeySet:
      return {"application/jwk-set+json"};
  }
  return {};
}

std::string_view describe(int code) {
  return code == 201 ? "Created" : code == 202 ? "Accepted" : code == 401 ? "Unauthorized" : "OK";
}

Value text(std::string_view s) {
  return Value::string(s);
}

Value stringType() {
  Value v = Value::object();
  v.set("type", text("string"));
  return v;
}

Value info() {
  Value v = Value::object();
  v.set("title", text("Kubernetes"));
  v.set("version", text("1.36"));
  return v;
}

Value security() {
  Value v = Value::object();
  Value& token = v["BearerToken"];
  token.set("type", text("apiKey"));
  token.set("name", text("authorization"));
  token.set("in", text("header"));
  return v;
}

class Writer {
 public:
  explicit Writer(int version) : version_(version), definitions_(version) {}

  Value path(const ApiPath& p) {
    Value out = Value::object();
    Value parameters = Value::list();
    for (std::string_view name : p.parameters) parameters.push(parameter(name, "string", "path"));
    if (p.pretty) parameters.push(parameter("pretty", "string", "query"));
    if (parameters.size() != 0) out.set("parameters", std::move(parameters));
    for (const Operation& o : p.operations) out.set(o.method, operation(o));
    return out;
  }

  Value definitions() { return definitions_.all(); }

 private:
  Value parameter(std::string_view name, std::string_view type, std::string_view in) const {
    Value p = Value::object();
    p.set("name", text(name));
    p.set("in", text(in));
    if (in == "path") p.set("required", Value::boolean(true));
    Value schema = Value::object();
    schema.set("type", text(type));
    schema.set("uniqueItems", Value::boolean(true));
    if (version_ == 3) {
      p.set("schema", std::move(schema));
    } else {
      for (auto& m : schema.members()) p.set(m.key, std::move(m.value));
    }
    return p;
  }

  Value answerSchema(const Operation& o) {
    if (o.answerType != nullptr) return definitions_.refer(*o.answerType);
    return o.answer.empty() ? stringType() : definitions_.refer(o.answer);
  }

  Value bodySchema(const Operation& o) {
    if (o.body == Body::kPatch) return definitions_.refer(kPatch);
    if (o.body == Body::kDeleteOptions) return definitions_.refer(api::meta_v1::DeleteOptions::kType);
    return definitions_.refer(*o.bodyType);
  }

  void body(Value& out, const Operation& o, Value& parameters) {
    if (o.body == Body::kNone) return;
    Value schema = bodySchema(o);
    bool required = o.body != Body::kDeleteOptions;
    if (version_ == 2) {
      Value p = Value::object();
      p.set("name", text("body"));
      p.set("in", text("body"));
      p.set("schema", std::move(schema));
      if (required) p.set("required", Value::boolean(true));
      parameters.push(std::move(p));
      Value& consumes = out["consumes"];
      if (o.body == Body::kPatch) {
        for (std::string_view t : kPatchTypes) consumes.push(text(t));
      } else {
        consumes.push(text("*/*"));
      }
      return;
    }
    Value& content = out["requestBody"]["content"];
    if (o.body == Body::kPatch) {
      for (std::string_view t : kPatchTypes) content[t].set("schema", schema);
    } else {
      content["*/*"].set("schema", std::move(schema));
    }
    if (required) out["requestBody"].set("required", Value::boolean(true));
  }

  void responses(Value& out, const Operation& o) {
    Value& responses = out["responses"];
    Value schema = answerSchema(o);
    for (int code : o.codes) {
      Value& r = responses[std::to_string(code)];
      r.set("description", text(describe(code)));
      if (version_ == 2) {
        r.set("schema", schema);
        continue;
      }
      Value& content = r["content"];
      for (std::string_view t : mediaTypes(o.produces)) content[t].set("schema", schema);
    }
    responses["401"].set("description", text(describe(401)));
    if (version_ == 2) {
      for (std::string_view t : mediaTypes(o.produces)) out["produces"].push(text(t));
    }
  }

  Value operation(const Operation& o) {
    Value out = Value::object();
    out["tags"].push(text(o.tag));
    out.set("operationId", text(o.id));
    if (version_ == 2) {
      out["schemes"].push(text("https"));
      if (o.body == Body::kNone && !o.action.empty()) out["consumes"].push(text("*/*"));
      if (o.action.empty() && o.answerType != nullptr) {
        for (std::string_view t : mediaTypes(Produces::kObject)) out["consumes"].push(text(t));
      }
    }
    Value parameters = Value::list();
    body(out, o, parameters);
    for (const QueryParameter& q : o.query) parameters.push(parameter(q.name, q.type, "query"));
    if (parameters.size() != 0) out.set("parameters", std::move(parameters));
    responses(out, o);
    if (o.action.empty()) return out;
    out.set("x-kubernetes-action", text(o.action));
    Value& kind = out["x-kubernetes-group-version-kind"];
    kind.set("group", text(o.group));
    kind.set("version", text(o.version));
    kind.set("kind", text(o.kind));
    return out;
  }

  int version_;
  Definitions definitions_;
};

}  // namespace

Value openApiV2Document() {
  Writer w(2);
  Value out = Value::object();
  out.set("swagger", text("2.0"));
  out.set("info", info());
  Value paths = Value::object();
  for (const ApiDocument& d : apiDocuments()) {
    for (const ApiPath& p : d.paths) paths.set(p.path, w.path(p));
  }
  out.set("paths", std::move(paths));
  out.set("definitions", w.definitions());
  out.set("securityDefinitions", security());
  out["security"].push(Value::object())["BearerToken"] = Value::list();
  return out;
}

Value openApiV3Document(const ApiDocument& d) {
  Writer w(3);
  Value out = Value::object();
  out.set("openapi", text("3.0.0"));
  out.set("info", info());
  Value paths = Value::object();
  for (const ApiPath& p : d.paths) paths.set(p.path, w.path(p));
  out.set("paths", std::move(paths));
  Value schemas = w.definitions();
  if (schemas.size() != 0) out["components"].set("schemas", std::move(schemas));
  out["components"].set("securitySchemes", security());
  return out;
}

}  // namespace km::object
