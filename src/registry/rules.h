// Rules that many kinds share (upstream's apimachinery and core validation helpers), in upstream's words.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/field_error.h"
#include "api/types/fwd.h"
#include "api/validation.h"
#include "codec/list.h"
#include "resources/amounts.h"

namespace km::registry {

using api::BadValue;
using api::FieldErrors;
using api::Path;

inline constexpr std::string_view kImmutable = "field is immutable";
inline constexpr std::string_view kNotNegative = "must be greater than or equal to 0";
inline constexpr std::string_view kPositive = "must be greater than zero";

void immutable(bool same, const Path& p, const BadValue& value, FieldErrors& errors);
void nonNegative(int64_t value, const Path& p, FieldErrors& errors);
void positive(int64_t value, const Path& p, FieldErrors& errors);
// Required if empty, else one of the values.
void oneOf(std::string_view value, std::initializer_list<std::string_view> values, const Path& p, FieldErrors& errors,
           std::string_view requiredDetail = "");
bool isIn(std::string_view value, std::initializer_list<std::string_view> values);

void dnsLabel(std::string_view value, const Path& p, FieldErrors& errors);
void dnsSubdomain(std::string_view value, const Path& p, FieldErrors& errors);
void qualifiedName(std::string_view value, const Path& p, FieldErrors& errors);
void labelName(std::string_view value, const Path& p, FieldErrors& errors);
void domainPrefixedPath(std::string_view value, const Path& p, FieldErrors& errors);  // "acme.io/foo"
// A port that may be called, told as webhooks and APIServices tell it; none is 0.
void servicePort(const std::optional<int32_t>& port, const Path& p, FieldErrors& errors);
void signerName(std::string_view value, const Path& p, FieldErrors& errors);          // "example.com/signer-name"

void validateLabelSelector(const api::meta_v1::LabelSelector& s, const Path& p, FieldErrors& errors,
                           bool allowInvalidValues = false);
bool isEmptySelector(const api::meta_v1::LabelSelector& s);
void validateConditions(const codec::List<api::meta_v1::Condition>& conditions, const Path& p, FieldErrors& errors);

// Resource names and quantities.
bool isStandardContainerResource(std::string_view name);
bool isStandardResource(std::string_view name);
bool isStandardQuotaResource(std::string_view name);
bool isHugePages(std::string_view name);
using resources::isExtendedResource;
using resources::isNativeResource;
bool isIntegerResource(std::string_view name);
bool isOvercommitAllowed(std::string_view name);
void validateResourceName(std::string_view name, const Path& p, FieldErrors& errors);
void validateContainerResourceName(std::string_view name, const Path& p, FieldErrors& errors);
void nonNegativeQuantity(const codec::Quantity& q, const Path& p, FieldErrors& errors);
void validateQuantityOf(std::string_view resource, const codec::Quantity& q, const Path& p, FieldErrors& errors);

// Texts of rejected values.
BadValue listValue(const codec::List<codec::String>& values);
// JSON of a struct as Go prints its internal types: names of fields with a capital, nothing left out.
BadValue structValue(const void* value, const codec::TypeInfo& t);
template <typename T>
BadValue structValue(const T& value) {
  return structValue(&value, T::kType);
}
std::vector<std::string> strings(const codec::List<codec::String>& list);

}  // namespace km::registry
