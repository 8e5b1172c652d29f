// Rules of metadata that hold for every resource (k8s.io/apimachinery/pkg/api/validation/objectmeta.go, registry/rest/meta.go).
#pragma once

#include <functional>
#include <string_view>

#include "api/field_error.h"
#include "api/object.h"
#include "api/validation.h"
#include "base/clock.h"

namespace km::registry {

using NameCheck = std::function<api::Messages(std::string_view name, bool prefix)>;

// Clears what only the system sets, then gives the object its uid and time of creation, and a name if it asks for one.
void fillSystemFields(api::meta_v1::ObjectMeta& meta, WallTime now);

void validateMeta(const api::meta_v1::ObjectMeta& meta, bool namespaced, const NameCheck& checkName, const api::Path& path,
                  api::FieldErrors& errors);
void validateMetaUpdate(const api::meta_v1::ObjectMeta& meta, const api::meta_v1::ObjectMeta& old, const api::Path& path,
                        api::FieldErrors& errors);
// What the kinds of Kubernetes itself ask of finalizers beyond their form.
void validateFinalizerNames(const api::meta_v1::ObjectMeta& meta, const api::Path& path, api::FieldErrors& errors);
void validateAnnotations(const codec::Map<codec::String>& annotations, const api::Path& path, api::FieldErrors& errors);
void validateLabels(const codec::Map<codec::String>& labels, const api::Path& path, api::FieldErrors& errors);

// "name-" plus five random characters, cut to fit 63.
std::string generateName(std::string_view base);

// `finalizers` as Go prints a []string with %#v.
std::string goStrings(const std::vector<std::string>& values);

}  // namespace km::registry
