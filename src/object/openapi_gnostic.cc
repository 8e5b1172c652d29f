// Field numbers: openapiv2/OpenAPIv2.proto of github.com/google/gnostic-models.
#include "codec/yaml.h"
#include "object/openapi_write.h"

namespace km::object {
namespace {

using codec::Value;

void varint(std::string& out, uint64_t v) {
  while (v >= 0x80) {
    out += static_cast<char>(v | 0x80);
    v >>= 7;
  }
  out += static_cast<char>(v);
}

void bytes(std::string& out, int field, std::string_view s) {
  varint(out, static_cast<uint64_t>(field) << 3 | 2);
  varint(out, s.size());
  out += s;
}

void boolean(std::string& out, int field, bool v) {
  if (!v) return;
  varint(out, static_cast<uint64_t>(field) << 3);
  out += '\1';
}

// A text member, if there is one.
void member(std::string& out, int field, const Value& v, std::string_view name) {
  if (const Value* m = v.find(name); m != nullptr) bytes(out, field, m->asString());
}
void flag(std::string& out, int field, const Value& v, std::string_view name) {
  if (const Value* m = v.find(name); m != nullptr) boolean(out, field, m->asBool());
}
void list(std::string& out, int field, const Value& v, std::string_view name) {
  if (const Value* m = v.find(name); m != nullptr) {
    for (const Value& e : m->items()) bytes(out, field, e.asString());
  }
}

// Named{name = 1, value = 2}
std::string named(std::string_view name, std::string_view value) {
  std::string out;
  bytes(out, 1, name);
  bytes(out, 2, value);
  return out;
}

std::string any(const Value& v) {
  std::string out;
  bytes(out, 2, codec::toYaml(v));
  return out;
}

void extensions(std::string& out, int field, const Value& v) {
  for (const auto& m : v.members()) {
    if (m.key.view().starts_with("x-")) bytes(out, field, named(m.key, any(m.value)));
  }
}

std::string schema(const Value& v) {
  std::string out;
  member(out, 1, v, "$ref");
  member(out, 2, v, "format");
  if (const Value* d = v.find("default")) bytes(out, 5, any(*d));
  list(out, 19, v, "required");
  if (const Value* a = v.find("additionalProperties")) {
    std::string item;
    bytes(item, 1, schema(*a));
    bytes(out, 21, item);
  }
  if (const Value* t = v.find("type")) {
    std::string item;
    bytes(item, 1, t->asString());
    bytes(out, 22, item);
  }
  if (const Value* i = v.find("items")) {
    std::string item;
    bytes(item, 1, schema(*i));
    bytes(out, 23, item);
  }
  if (const Value* p = v.find("properties")) {
    std::string properties;
    for (const auto& m : p->members()) bytes(properties, 1, named(m.key, schema(m.value)));
    bytes(out, 25, properties);
  }
  extensions(out, 31, v);
  return out;
}

std::string parameter(const Value& v) {
  std::string one, choice;
  std::string_view in = v.find("in")->asString();
  if (in == "body") {
    member(one, 2, v, "name");
    member(one, 3, v, "in");
    flag(one, 4, v, "required");
    bytes(one, 5, schema(*v.find("schema")));
    bytes(choice, 1, one);
  } else {
    bool query = in == "query";
    flag(one, 1, v, "required");
    member(one, 2, v, "in");
    member(one, 4, v, "name");
    member(one, query ? 6 : 5, v, "type");
    flag(one, query ? 20 : 19, v, "uniqueItems");
    std::string nonBody;
    bytes(nonBody, query ? 3 : 4, one);
    bytes(choice, 2, nonBody);
  }
  std::string item;
  bytes(item, 1, choice);
  return item;
}

std::string response(const Value& v) {
  std::string r;
  member(r, 1, v, "description");
  if (const Value* s = v.find("schema")) {
    std::string item;
    bytes(item, 1, schema(*s));
    bytes(r, 2, item);
  }
  std::string out;
  bytes(out, 1, r);
  return out;
}

std::string operation(const Value& v) {
  std::string out;
  list(out, 1, v, "tags");
  member(out, 5, v, "operationId");
  list(out, 6, v, "produces");
  list(out, 7, v, "consumes");
  if (const Value* ps = v.find("parameters")) {
    for (const Value& p : ps->items()) bytes(out, 8, parameter(p));
  }
  std::string responses;
  for (const auto& m : v.find("responses")->members()) bytes(responses, 1, named(m.key, response(m.value)));
  bytes(out, 9, responses);
  list(out, 10, v, "schemes");
  extensions(out, 13, v);
  return out;
}

std::string pathItem(const Value& v) {
  static constexpr std::string_view kMethods[] = {"get", "put", "post", "delete", "options", "head", "patch"};
  std::string out;
  int field = 2;
  for (std::string_view method : kMethods) {
    if (const Value* o = v.find(method)) bytes(out, field, operation(*o));
    field++;
  }
  if (const Value* ps = v.find("parameters")) {
    for (const Value& p : ps->items()) bytes(out, 9, parameter(p));
  }
  return out;
}

}  // namespace

std::string encodeGnostic(const Value& v) {
  std::string out;
  member(out, 1, v, "swagger");
  std::string info;
  member(info, 1, *v.find("info"), "title");
  member(info, 2, *v.find("info"), "version");
  bytes(out, 2, info);
  std::string paths;
  for (const auto& m : v.find("paths")->members()) bytes(paths, 2, named(m.key, pathItem(m.value)));
  bytes(out, 8, paths);
  std::string definitions;
  for (const auto& m : v.find("definitions")->members()) bytes(definitions, 1, named(m.key, schema(m.value)));
  bytes(out, 9, definitions);
  for (const Value& s : v.find("security")->items()) {
    std::string requirement;
    for (const auto& m : s.members()) bytes(requirement, 1, named(m.key, ""));
    bytes(out, 12, requirement);
  }
  std::string security;
  for (const auto& m : v.find("securityDefinitions")->members()) {
    std::string key, item;
    member(key, 1, m.value, "type");
    member(key, 2, m.value, "name");
    member(key, 3, m.value, "in");
    bytes(item, 2, key);
    bytes(security, 1, named(m.key, item));
  }
  bytes(out, 13, security);
  return out;
}

}  // namespace km::object
