// Label and field selectors: parsing, matching, printing, with upstream's rules and error texts.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api/types/fwd.h"
#include "base/result.h"
#include "codec/list.h"

namespace km::api {

// k8s.io/apimachinery/pkg/labels.Selector: a conjunction of requirements. Empty: matches everything.
class LabelSelector {
 public:
  enum class Op { kIn, kNotIn, kExists, kDoesNotExist, kGreaterThan, kLessThan };
  struct Requirement {
    std::string key;
    Op op;
    std::vector<std::string> values;  // sorted
    bool equals = false;              // written with = or ==: prints as such
    bool matches(const codec::Map<codec::String>& labels) const;
  };

  // "app=web,tier in (a,b),!canary". Errors as upstream: "unable to parse requirement: ...".
  static Result<LabelSelector> parse(std::string_view text);
  // metav1.LabelSelectorAsSelector: invalid operators and values are errors.
  static Result<LabelSelector> from(const meta_v1::LabelSelector& selector);
  // Every pair must be there (a Service's or ReplicationController's selector).
  static LabelSelector ofSet(const codec::Map<codec::String>& set);
  // Matches no object.
  static LabelSelector nothing();

  bool matches(const codec::Map<codec::String>& labels) const;
  bool empty() const { return requirements_.empty() && !nothing_; }
  const std::vector<Requirement>& requirements() const { return requirements_; }
  std::string str() const;

 private:
  std::vector<Requirement> requirements_;  // sorted by key
  bool nothing_ = false;
};

// "spec.nodeName=a,status.phase!=Running".
class FieldSelector {
 public:
  struct Term {
    std::string field;
    std::string value;
    bool notEqual = false;
  };
  // Errors as upstream: "invalid selector: 'x'; can't understand 'x'".
  static Result<FieldSelector> parse(std::string_view text);

  bool empty() const { return terms_.empty(); }
  const std::vector<Term>& terms() const { return terms_; }
  // `value` gives an object's text of a field.
  bool matches(const std::function<std::string(std::string_view field)>& value) const;
  // The value that the field must equal, or null.
  const std::string* exact(std::string_view field) const;
  std::string str() const;

 private:
  std::vector<Term> terms_;
};

// Text of a field of an object by its path ("spec.nodeName", "status.phase"): "" where absent, "true"/"false", numbers in
// decimal. Follows structs only, not lists or maps.
std::string fieldText(const void* object, const codec::TypeInfo& type, std::string_view path);

}  // namespace km::api
