// The operations of the built-in API, from which both OpenAPI documents are written.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/resource.h"

namespace km::object {

// What an operation answers with.
enum class Produces { kObject, kList, kAnything, kLog, kJson, kKeySet };
enum class Body { kNone, kObject, kPatch, kDeleteOptions };

struct QueryParameter {
  std::string_view name;
  std::string_view type = "string";
};

struct Operation {
  std::string_view method;
  std::string action;  // x-kubernetes-action; "" for the operations of discovery
  std::string group, version, kind;
  std::string id;
  std::string tag;
  std::vector<QueryParameter> query;  // besides those of the path
  Body body = Body::kNone;
  const codec::TypeInfo* bodyType = nullptr;
  std::string answer;                           // definition; "" for a text
  const codec::TypeInfo* answerType = nullptr;  // of that definition; null for the hand-written ones
  std::vector<int> codes;
  Produces produces = Produces::kObject;
};

struct ApiPath {
  std::string path;
  std::string kind;                          // of the object that {name} names
  std::vector<std::string_view> parameters;  // "name", "namespace", "path"
  bool pretty = false;
  std::vector<Operation> operations;
};

struct ApiDocument {
  std::string id;  // "apis/apps/v1"
  std::vector<ApiPath> paths;
};

// Sorted by id. Made once.
const std::vector<ApiDocument>& apiDocuments();

// "io.k8s.api.apps.v1.Deployment".
std::string definitionName(const codec::TypeInfo& t);

}  // namespace km::object
