// What workloads share: templates that their selector must match, percentages, statuses that count replicas.
#pragma once

#include <string_view>

#include "registry/rules.h"
#include "registry/strategy.h"

namespace km::registry {

// The selector is there, not empty, and well-formed; `kind` is for the message.
void validateWorkloadSelector(const codec::Box<api::meta_v1::LabelSelector>& s, std::string_view kind, FieldErrors& errors);
// The template of a kind whose pods run for ever: labels match, restartPolicy is Always, no deadline.
void validateRunningTemplate(const api::core_v1::PodTemplateSpec& t, const codec::Box<api::meta_v1::LabelSelector>& s,
                             std::string_view kind, FieldErrors& errors);
bool matchesSelector(const codec::Box<api::meta_v1::LabelSelector>& s, const codec::Map<codec::String>& labels);

void validateIntOrPercent(const codec::IntOrString& v, const Path& p, FieldErrors& errors);
void notMoreThan100Percent(const codec::IntOrString& v, const Path& p, FieldErrors& errors);
int intOrPercent(const codec::IntOrString& v);  // 25 for "25%"
BadValue intOrStringValue(const codec::IntOrString& v);
BadValue labelsValue(const codec::Map<codec::String>& labels);
BadValue selectorValue(const codec::Box<api::meta_v1::LabelSelector>& s);
// "a=b,c in (d)", "<none>"
std::string selectorText(const codec::Box<api::meta_v1::LabelSelector>& s);

// The name of a workload is part of its pods' names; told of new ones.
void warnName(const Context& c, const api::Object& o, const api::Object* old);
// What the template says that surprises; told when a new generation of it comes (upstream's GetWarningsForPodTemplate).
void warnTemplate(const Context& c, const api::Object& o, const api::Object* old, const api::core_v1::PodTemplateSpec& t, const Path& p);

struct Counts {
  int64_t observed, total, ready, available;
  std::string_view totalField = "replicas";
};

}  // namespace km::registry
