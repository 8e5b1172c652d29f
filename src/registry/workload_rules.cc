#include "registry/workload_rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/selector.h"
#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/strings.h"
#include "codec/json.h"
#include "registry/core/pod_validation.h"
#include "registry/core/pod_warnings.h"

namespace km::registry {

using Selector = codec::Box<api::meta_v1::LabelSelector>;

BadValue selectorValue(const Selector& s) { return BadValue::raw(s ? codec::toJson(*s) : "null"); }

BadValue labelsValue(const codec::Map<codec::String>& labels) {
  if (labels.empty()) return BadValue::raw("null");
  std::string out = "{";
  for (const auto& [key, value] : labels) {
    if (out.size() > 1) out += ',';
    codec::appendJsonString(out, key);
    out += ':';
    codec::appendJsonString(out, value);
  }
  return BadValue::raw(out + "}");
}

BadValue intOrStringValue(const codec::IntOrString& v) { return v.isString ? BadValue(v.text.view()) : BadValue(v.number); }

bool matchesSelector(const Selector& s, const codec::Map<codec::String>& labels) {
  if (!s) return false;
  auto parsed = api::LabelSelector::from(*s);
  return parsed.ok() && parsed->matches(labels);
}

void validateWorkloadSelector(const Selector& s, std::string_view kind, FieldErrors& errors) {
  Path p("spec.selector");
  if (!s) return errors.required(p, "");
  validateLabelSelector(*s, p, errors);
  if (isEmptySelector(*s)) errors.invalid(p, selectorValue(s), fmt::format("empty selector is invalid for {}", kind));
}

void validateRunningTemplate(const api::core_v1::PodTemplateSpec& t, const Selector& s, std::string_view kind, FieldErrors& errors) {
  Path p("spec.template");
  if (s && !api::LabelSelector::from(*s).ok()) {
    return errors.invalid(Path("spec.selector"), selectorValue(s), "invalid label selector");
  }
  bool empty = s && isEmptySelector(*s);
  if (!empty && !matchesSelector(s, t.metadata.labels)) {
    errors.invalid(p.child("metadata").child("labels"), labelsValue(t.metadata.labels), "`selector` does not match template `labels`");
  }
  validatePodTemplate(t, p, errors);
  if (t.spec.restartPolicy != "Always") {
    errors.notSupported(p.child("spec").child("restartPolicy"), t.spec.restartPolicy.view(), {"Always"});
  }
  if (t.spec.activeDeadlineSeconds) {
    errors.forbidden(p.child("spec").child("activeDeadlineSeconds"), fmt::format("activeDeadlineSeconds in {} is not Supported", kind));
  }
}

namespace {
bool isPercent(std::string_view s) {
  return s.size() > 1 && s.back() == '%' &&
         std::all_of(s.begin(), s.end() - 1, [](char c) { return c >= '0' && c <= '9'; });
}
}  // namespace

void validateIntOrPercent(const codec::IntOrString& v, const Path& p, FieldErrors& errors) {
  if (!v.isString) return nonNegative(v.number, p, errors);
  if (!isPercent(v.text)) {
    errors.invalid(p, v.text.view(),
                   "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
                   "validation is '[0-9]+%')");
  }
}

int intOrPercent(const codec::IntOrString& v) {
  if (!v.isString) return v.number;
  std::string_view s = v.text;
  if (isPercent(s)) s.remove_suffix(1);
  auto n = parseInt64(s);
  return n ? static_cast<int>(std::clamp<int64_t>(*n, INT32_MIN, INT32_MAX)) : 0;
}

void notMoreThan100Percent(const codec::IntOrString& v, const Path& p, FieldErrors& errors) {
  if (v.isString && isPercent(v.text) && intOrPercent(v) > 100) errors.invalid(p, v.text.view(), "must not be greater than 100%");
}

void warnName(const Context& c, const api::Object& o, const api::Object* old) {
  if (old != nullptr || c.subresource == "status") return;
  auto bad = api::isDns1123Label(o.name());
  if (bad.empty()) return;
  c.warn(fmt::format("metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is "
                     "recommended: [{}]",
                     join(bad, " ")));
}

void warnTemplate(const Context& c, const api::Object& o, const api::Object* old, const api::core_v1::PodTemplateSpec& t, const Path& p) {
  if (c.subresource == "status" || (old != nullptr && o.meta().generation == old->meta().generation)) return;
  for (std::string& w : podTemplateWarnings(t, p)) c.warn(std::move(w));
}

std::string selectorText(const Selector& s) {
  if (!s) return "<none>";
  auto parsed = api::LabelSelector::from(*s);
  if (!parsed.ok()) return "<error>";
  std::string text = parsed->str();
  return text.empty() ? "<none>" : text;
}

}  // namespace km::registry
