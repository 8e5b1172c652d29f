// The built-in resources as data: what discovery, routing and printing know of each.
#pragma once

#include <span>
#include <string_view>

#include "codec/type.h"

namespace km::api {

// A column of the Table form of a resource.
struct Column {
  std::string_view name;
  std::string_view type;    // "string", "integer", ...
  std::string_view format;  // "name" or ""
  int priority;             // 1: only with -o wide
};

struct Subresource {
  std::string_view name;     // "status", "scale", "token"
  std::string_view group;    // of the kind that it takes and answers
  std::string_view version;
  std::string_view kind;
  std::span<const std::string_view> verbs;
  bool foreignKind;          // the kind belongs to another group-version than the resource
};

// One resource of one served version.
struct Resource {
  std::string_view group;     // "" for core
  std::string_view version;
  std::string_view name;      // plural: "deployments"
  std::string_view singular;
  std::string_view kind;
  const codec::TypeInfo* type;
  const codec::TypeInfo* listType;  // null where there is no list
  bool namespaced;
  std::span<const std::string_view> verbs;
  std::span<const std::string_view> shortNames;
  std::span<const std::string_view> categories;
  std::span<const std::string_view> selectableFields;  // besides metadata.name and metadata.namespace
  std::span<const Subresource> subresources;
  std::span<const Column> columns;
};

// In the order of the schema: by group-version name, then as served.
std::span<const Resource> builtinResources();
const Resource* findResource(std::string_view group, std::string_view version, std::string_view name);
const Resource* findResourceByKind(std::string_view group, std::string_view version, std::string_view kind);

}  // namespace km::api
