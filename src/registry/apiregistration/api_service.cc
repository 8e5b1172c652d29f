// APIServices: groups and versions, and who serves them.
#include <fmt/format.h>

#include "api/types/apiregistration_v1.h"
#include "api/types/meta_v1.h"
#include "registry/kinds.h"
#include "registry/other_columns.h"
#include "registry/rules.h"

namespace km::registry {

namespace v1 = api::apiregistration_v1;
using v1::APIService;

namespace {

constexpr int kMostGroupPriority = 20000;
constexpr int kMostVersionPriority = 1000;

void validateName(const APIService& a, FieldErrors& errors) {
  std::string wanted = fmt::format("{}.{}", a.spec.version, a.spec.group);
  if (!api::isValidPathSegmentName(a.metadata.name).empty() || a.metadata.name == wanted) return;
  errors.invalid(Path("metadata.name"), a.metadata.name.view(), fmt::format("must be `spec.version+\".\"+spec.group`: {}", api::goQuote(wanted)));
}

void validateService(const v1::APIServiceSpec& s, const Path& p, FieldErrors& errors) {
  const v1::ServiceReference& service = *s.service;
  Path at = p.child("service");
  if (service.namespace_.empty()) errors.required(at.child("namespace"), "");
  if (service.name.empty()) errors.required(at.child("name"), "");
  servicePort(service.port, at.child("port"), errors);
  if (s.insecureSkipTLSVerify && !s.caBundle.empty()) {
    errors.invalid(p.child("insecureSkipTLSVerify"), true, "may not be true if caBundle is present");
  }
}

void validateAll(const APIService& a, FieldErrors& errors) {
  validateName(a, errors);
  const auto& s = a.spec;
  Path p("spec");
  if (s.group.empty() && s.version != "v1") {
    errors.required(p.child("group"), "only v1 may have an empty group and it better be legacy kube");
  } else if (!s.group.empty()) {
    dnsSubdomain(s.group, p.child("group"), errors);
  }
  errors.each(p.child("version"), s.version.view(), api::isDns1035Label(s.version));
  if (s.groupPriorityMinimum <= 0 || s.groupPriorityMinimum > kMostGroupPriority) {
    errors.invalid(p.child("groupPriorityMinimum"), s.groupPriorityMinimum, "must be positive and less than 20000");
  }
  if (s.versionPriority <= 0 || s.versionPriority > kMostVersionPriority) {
    errors.invalid(p.child("versionPriority"), s.versionPriority, "must be positive and less than 1000");
  }
  if (s.service) return validateService(s, p, errors);
  if (!s.caBundle.empty()) {
    errors.invalid(p.child("caBundle"), fmt::format("{} bytes", s.caBundle.size()), "local APIServices may not have a caBundle");
  }
  if (s.insecureSkipTLSVerify) errors.invalid(p.child("insecureSkipTLSVerify"), true, "local APIServices may not have insecureSkipTLSVerify");
}

class ApiServiceStrategy : public OtherStrategy {
 public:
  // The name says group and version: validateAll compares them.
  api::Messages validateName(std::string_view name, bool) const override { return api::isValidPathSegmentName(name); }
  void prepareForCreate(const Context& c, api::Object& o) const override {
    OtherStrategy::prepareForCreate(c, o);
    auto& a = o.as<APIService>();
    if (a.spec.service) return;
    // What the server itself answers is there at once.
    v1::APIServiceCondition available;
    available.type = "Available";
    available.status = "True";
    available.reason = "Local";
    available.message = "Local APIServices are always available";
    available.lastTransitionTime = codec::Time(c.now);
    available.lastTransitionTime.nanos = 0;
    a.status.conditions.push_back(std::move(available));
  }
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    validateAll(o.as<APIService>(), errors);
  }
  void validateUpdate(const Context&, const api::Object& o, const api::Object&, FieldErrors& errors) const override {
    validateAll(o.as<APIService>(), errors);
  }
  void validateStatusUpdate(const Context&, const api::Object& o, const api::Object&, FieldErrors& errors) const override {
    Path p("status.conditions");
    const auto& list = o.as<APIService>().status.conditions;
    for (size_t i = 0; i < list.size(); i++) {
      if (isIn(list[i].status, {"True", "False", "Unknown"})) continue;
      errors.notSupported(p.index(i).child("status"), list[i].status.view(), {"True", "False", "Unknown"});
    }
  }
};

}  // namespace

std::unique_ptr<Strategy> makeApiService() {
  return std::make_unique<ApiServiceStrategy>();
}

}  // namespace km::registry
