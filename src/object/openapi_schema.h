// Definitions of OpenAPI, from field tables.
#pragma once

#include <map>
#include <string>

#include "codec/type.h"
#include "codec/value.h"

namespace km::object {

// Collects definitions, each with what it refers to, in the dialect of v2 or v3.
class Definitions {
 public:
  explicit Definitions(int version) : version_(version) {}

  // A reference; the definition and all that it needs are collected.
  codec::Value refer(const codec::TypeInfo& t);
  // One of those that have no table: Patch, WatchEvent, Info, Time, Quantity, ...
  codec::Value refer(std::string_view name);
  // All that were referred to, by name.
  codec::Value all();

 private:
  void define(const codec::TypeInfo& t);
  codec::Value reference(std::string_view name) const;
  codec::Value field(const codec::TypeInfo& owner, const codec::Field& f);
  codec::Value element(const codec::TypeInfo& owner, const codec::Field& f, bool* isStruct);
  void marks(codec::Value& v, const codec::Field& f) const;

  int version_;
  codec::Value definitions_ = codec::Value::object();
};

}  // namespace km::object
