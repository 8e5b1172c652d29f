// For tests of kinds: a manifest goes in as a client writes it; out come the errors, or the object as it would be stored.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/types/meta_v1.h"
#include "base/clock.h"
#include "codec/json.h"
#include "registry/catalog.h"
#include "registry/metadata.h"

namespace km::registry {

struct Kind {
  const api::Resource* resource;
  std::unique_ptr<Strategy> strategy;
  Context context;
  std::vector<std::string> warnings;

  Kind(std::string_view group, std::string_view version, std::string_view name)
      : resource(api::findResource(group, version, name)) {
    strategy = makeStrategy(*resource);
    context.ns = resource->namespaced ? "default" : "";
    context.now = Clock::system().now();
    context.warnings = &warnings;
  }

  api::MutableObject decode(std::string_view json) {
    auto o = api::Object::make(*resource->type);
    EXPECT_TRUE(codec::decodeJson(json, o->data(), *resource->type).ok()) << json;
    strategy->setDefaults(*o);
    return o;
  }
  api::MutableObject created(std::string_view json, std::string* errors = nullptr) {
    auto o = decode(json);
    fillSystemFields(o->meta(), context.now);
    auto& meta = o->meta();
    if (!meta.generateName.empty() && meta.name.empty()) meta.name = strategy->generateName(meta.generateName);
    o->meta().namespace_ = context.ns;
    strategy->prepareForCreate(context, *o);
    api::FieldErrors bad;
    validateMeta(
        o->meta(), resource->namespaced, [&](auto n, bool p) { return strategy->validateName(n, p); },
        api::Path("metadata"), bad);
    strategy->validateCreate(context, *o, bad);
    if (errors != nullptr) *errors = bad.empty() ? "" : bad.aggregate();
    if (errors == nullptr) {
      EXPECT_TRUE(bad.empty()) << bad.aggregate();
    }
    strategy->warnings(context, *o, nullptr);
    strategy->canonicalize(*o);
    return o;
  }
  std::string createErrors(std::string_view json) {
    std::string errors;
    created(json, &errors);
    return errors;
  }
  std::string updateErrors(const api::Object& old, const std::function<void(api::Object&)>& change) {
    auto o = old.clone();
    change(*o);
    strategy->setDefaults(*o);
    strategy->prepareForUpdate(context, *o, old);
    api::FieldErrors bad;
    strategy->validateUpdate(context, *o, old, bad);
    return bad.empty() ? "" : bad.aggregate();
  }
};

}  // namespace km::registry
