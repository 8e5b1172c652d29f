// HorizontalPodAutoscaler between autoscaling/v1 and v2 (pkg/apis/autoscaling/v1/conversion.go upstream).
#include "api/types/autoscaling_v1.h"
#include "api/types/autoscaling_v2.h"
#include "codec/ops.h"
#include "object/convert_rules.h"

namespace km::object {
namespace {

using codec::Value;

constexpr std::string_view kMetrics = "autoscaling.alpha.kubernetes.io/metrics";
constexpr std::string_view kCurrentMetrics = "autoscaling.alpha.kubernetes.io/current-metrics";
constexpr std::string_view kConditions = "autoscaling.alpha.kubernetes.io/conditions";
constexpr std::string_view kBehavior = "autoscaling.alpha.kubernetes.io/behavior";
constexpr std::string_view kRoundTrip[] = {kMetrics,
                                           kCurrentMetrics,
                                           kConditions,
                                           kBehavior,
                                           "autoscaling.alpha.kubernetes.io/scale-down-tolerance",
                                           "autoscaling.alpha.kubernetes.io/scale-up-tolerance"};

const Value* get(const Value& v, std::string_view a, std::string_view b = {}) {
  const Value* p = v.find(a);
  return p == nullptr || b.empty() ? p : p->find(b);
}

void put(Value& to, std::string_view key, const Value* v) {
  if (v != nullptr) to.set(key, *v);
}

// A list of v2 documents in the text of the v1 type, fields in Go's order.
template <typename T>
std::string listText(const Value& list) {
  std::string out = "[";
  for (const Value& v : list.items()) {
    T item;
    (void)codec::decodeJson(v.json(), &item, T::kType).ok();
    if (out.size() > 1) out += ',';
    codec::encodeJson(out, &item, T::kType, "");
  }
  return out + "]";
}

bool isCpuUtilization(const Value& metric) {
  const Value* resource = metric.find("resource");
  const Value* name = resource != nullptr ? resource->find("name") : nullptr;
  return name != nullptr && name->asString() == "cpu" &&
         get(*resource, "target", "averageUtilization") != nullptr &&
         metric.find("type")->asString() == "Resource";
}

// `target` is "target" of a specification, "current" of a status; `prefix` begins the names of v1's values.
Value metricToV1(const Value& m, std::string_view target, std::string prefix) {
  Value out = Value::object();
  put(out, "type", m.find("type"));
  if (const Value* s = m.find("object"); s != nullptr) {
    Value& o = out["object"];
    put(o, "target", s->find("describedObject"));
    put(o, "metricName", get(*s, "metric", "name"));
    put(o, "selector", get(*s, "metric", "selector"));
    put(o, prefix + "Value", get(*s, target, "value"));
    put(o, "averageValue", get(*s, target, "averageValue"));
  }
  if (const Value* s = m.find("pods"); s != nullptr) {
    Value& o = out["pods"];
    put(o, "metricName", get(*s, "metric", "name"));
    put(o, "selector", get(*s, "metric", "selector"));
    put(o, prefix + "AverageValue", get(*s, target, "averageValue"));
  }
  for (std::string_view kind : {"resource", "containerResource"}) {
    const Value* s = m.find(kind);
    if (s == nullptr) continue;
    Value& o = out[kind];
    put(o, "name", s->find("name"));
    put(o, "container", s->find("container"));
    put(o, prefix + "AverageUtilization", get(*s, target, "averageUtilization"));
    put(o, prefix + "AverageValue", get(*s, target, "averageValue"));
  }
  if (const Value* s = m.find("external"); s != nullptr) {
    Value& o = out["external"];
    put(o, "metricName", get(*s, "metric", "name"));
    put(o, "metricSelector", get(*s, "metric", "selector"));
    put(o, prefix + "Value", get(*s, target, "value"));
    put(o, prefix + "AverageValue", get(*s, target, "averageValue"));
  }
  return out;
}

bool isZeroQuantity(const Value* v) {
  return v == nullptr || v->asString() == "0" || (v->isInt() && v->asInt() == 0);
}

Value metricToV2(const Value& m, std::string_view target, std::string prefix) {
  bool spec = target == "target";
  Value out = Value::object();
  put(out, "type", m.find("type"));
  auto type = [&](Value& t, const char* name) {
    if (spec) t.set("type", Value::string(name));
  };
  if (const Value* s = m.find("object"); s != nullptr) {
    Value& o = out["object"];
    put(o, "describedObject", s->find("target"));
    put(o["metric"], "name", s->find("metricName"));
    put(o["metric"], "selector", s->find("selector"));
    Value& t = o[target];
    bool average = s->find("averageValue") != nullptr;
    type(t, average ? "AverageValue" : "Value");
    const Value* value = s->find(prefix + "Value");
    if (!average || !isZeroQuantity(value)) put(t, "value", value);
    put(t, "averageValue", s->find("averageValue"));
  }
  if (const Value* s = m.find("pods"); s != nullptr) {
    Value& o = out["pods"];
    put(o["metric"], "name", s->find("metricName"));
    put(o["metric"], "selector", s->find("selector"));
    type(o[target], "AverageValue");
    put(o[target], "averageValue", s->find(prefix + "AverageValue"));
  }
  for (std::string_view kind : {"resource", "containerResource"}) {
    const Value* s = m.find(kind);
    if (s == nullptr) continue;
    Value& o = out[kind];
    put(o, "name", s->find("name"));
    put(o, "container", s->find("container"));
    Value& t = o[target];
    const Value* utilization = s->find(prefix + "AverageUtilization");
    type(t, utilization != nullptr ? "Utilization" : "AverageValue");
    put(t, "averageUtilization", utilization);
    put(t, "averageValue", s->find(prefix + "AverageValue"));
  }
  if (const Value* s = m.find("external"); s != nullptr) {
    Value& o = out["external"];
    put(o["metric"], "name", s->find("metricName"));
    put(o["metric"], "selector", s->find("metricSelector"));
    Value& t = o[target];
    const Value* value = s->find(prefix + "Value");
    type(t, value != nullptr ? "Value" : "AverageValue");
    put(t, "value", value);
    put(t, "averageValue", s->find(prefix + "AverageValue"));
  }
  return out;
}

// The annotation holds a Go struct without JSON names.
struct Name {
  std::string_view json, go;
};
constexpr Name kRuleNames[] = {{"stabilizationWindowSeconds", "StabilizationWindowSeconds"},
                               {"selectPolicy", "SelectPolicy"},
                               {"policies", "Policies"},
                               {"tolerance", "Tolerance"}};
constexpr Name kPolicyNames[] = {{"type", "Type"}, {"value", "Value"}, {"periodSeconds", "PeriodSeconds"}};

std::string goObject(const Value& v, std::span<const Name> names) {
  std::string out = "{";
  for (const Name& n : names) {
    if (out.size() > 1) out += ',';
    out += '"';
    out += n.go;
    out += "\":";
    const Value* member = v.find(n.json);
    if (member == nullptr) {
      out += "null";
    } else if (member->isList()) {
      out += '[';
      for (const Value& p : member->items()) {
        if (out.back() != '[') out += ',';
        out += goObject(p, kPolicyNames);
      }
      out += ']';
    } else {
      member->appendJson(out);
    }
  }
  return out + "}";
}

std::string behaviorText(const Value& behavior) {
  std::string out = "{";
  for (const Name& n : {Name{"scaleUp", "ScaleUp"}, Name{"scaleDown", "ScaleDown"}}) {
    if (out.size() > 1) out += ',';
    out += '"';
    out += n.go;
    out += "\":";
    const Value* rules = behavior.find(n.json);
    out += rules != nullptr ? goObject(*rules, kRuleNames) : "null";
  }
  return out + "}";
}

Value fromGoObject(const Value& v, std::span<const Name> names) {
  Value out = Value::object();
  for (const Name& n : names) {
    const Value* member = v.find(n.go);
    if (member == nullptr || member->isNull()) continue;
    if (n.json == "policies") {
      Value& list = out["policies"] = Value::list();
      for (const Value& p : member->items()) list.push(fromGoObject(p, kPolicyNames));
    } else {
      out.set(n.json, *member);
    }
  }
  return out;
}

Value* annotationsOf(Value& v) {
  Value* metadata = v.find("metadata");
  return metadata != nullptr ? metadata->find("annotations") : nullptr;
}

void dropRoundTrip(Value& v) {
  Value* annotations = annotationsOf(v);
  if (annotations == nullptr) return;
  for (std::string_view key : kRoundTrip) annotations->erase(key);
}

// The annotation as a list; nullopt if absent or no JSON.
std::optional<Value> annotation(Value& v, std::string_view key) {
  Value* annotations = annotationsOf(v);
  const Value* text = annotations != nullptr ? annotations->find(key) : nullptr;
  if (text == nullptr) return std::nullopt;
  auto parsed = Value::parse(text->asString());
  if (!parsed.ok()) return std::nullopt;
  return std::move(parsed).value();
}

Value cpuMetric(Value utilization) {
  Value m = Value::object();
  m.set("type", Value::string("Resource"));
  Value& r = m["resource"];
  r.set("name", Value::string("cpu"));
  r["target"].set("type", Value::string("Utilization"));
  r["target"].set("averageUtilization", std::move(utilization));
  return m;
}

}  // namespace

void autoscalerToV1(Value& v) {
  dropRoundTrip(v);
  auto annotate = [&](std::string_view key, std::string text) {
    v["metadata"]["annotations"].set(key, Value::string(text));
  };
  if (Value* spec = v.find("spec"); spec != nullptr) {
    if (const Value* metrics = spec->find("metrics"); metrics != nullptr) {
      Value others = Value::list();
      bool first = true;
      Value utilization;
      for (const Value& m : metrics->items()) {
        if (!isCpuUtilization(m)) {
          others.push(metricToV1(m, "target", "target"));
        } else if (std::exchange(first, false)) {
          utilization = *m.find("resource")->find("target")->find("averageUtilization");
        }
      }
      if (others.size() > 0) annotate(kMetrics, listText<api::autoscaling_v1::MetricSpec>(others));
      spec = v.find("spec");
      if (!first) spec->set("targetCPUUtilizationPercentage", std::move(utilization));
      spec->erase("metrics");
    }
    if (const Value* behavior = spec->find("behavior"); behavior != nullptr) {
      std::string text = behaviorText(*behavior);
      spec->erase("behavior");
      annotate(kBehavior, std::move(text));
    }
  }
  Value* status = v.find("status");
  if (status == nullptr) return;
  Value current, conditions;
  if (Value* m = status->find("currentMetrics"); m != nullptr) current = std::move(*m);
  if (Value* c = status->find("conditions"); c != nullptr) conditions = std::move(*c);
  status->erase("currentMetrics");
  status->erase("conditions");
  Value converted = Value::list();
  for (const Value& m : current.items()) {
    converted.push(metricToV1(m, "current", "current"));
    const Value* r = m.find("resource");
    const Value* name = r != nullptr ? r->find("name") : nullptr;
    const Value* utilization = r != nullptr ? get(*r, "current", "averageUtilization") : nullptr;
    if (name != nullptr && name->asString() == "cpu" && utilization != nullptr) {
      status->set("currentCPUUtilizationPercentage", *utilization);
    }
  }
  if (converted.size() > 0) annotate(kCurrentMetrics, listText<api::autoscaling_v1::MetricStatus>(converted));
  if (conditions.size() > 0) {
    annotate(kConditions, listText<api::autoscaling_v1::HorizontalPodAutoscalerCondition>(conditions));
  }
}

void autoscalerToV2(Value& v) {
  Value& spec = v["spec"];
  Value metrics = Value::list();
  if (auto others = annotation(v, kMetrics)) {
    for (const Value& m : others->items()) metrics.push(metricToV2(m, "target", "target"));
  }
  if (Value* cpu = spec.find("targetCPUUtilizationPercentage"); cpu != nullptr) metrics.push(cpuMetric(*cpu));
  // v1 scales by the CPU where nothing is said; v2 says so.
  if (metrics.size() == 0) metrics.push(cpuMetric(Value::integer(80)));
  spec.erase("targetCPUUtilizationPercentage");
  spec.set("metrics", std::move(metrics));
  if (auto behavior = annotation(v, kBehavior); behavior && behavior->isObject()) {
    Value out = Value::object();
    for (const Name& n : {Name{"scaleUp", "ScaleUp"}, Name{"scaleDown", "ScaleDown"}}) {
      const Value* rules = behavior->find(n.go);
      if (rules != nullptr && rules->isObject()) out.set(n.json, fromGoObject(*rules, kRuleNames));
    }
    if (out.size() > 0) spec.set("behavior", std::move(out));
  }
  auto current = annotation(v, kCurrentMetrics);
  auto conditions = annotation(v, kConditions);
  dropRoundTrip(v);
  Value* status = v.find("status");
  if (status == nullptr) return;
  Value list = Value::list();
  if (Value* cpu = status->find("currentCPUUtilizationPercentage"); cpu != nullptr && !current) {
    Value m = Value::object();
    m.set("type", Value::string("Resource"));
    m["resource"].set("name", Value::string("cpu"));
    m["resource"]["current"].set("averageUtilization", *cpu);
    list.push(std::move(m));
  }
  status->erase("currentCPUUtilizationPercentage");
  if (current) {
    for (const Value& m : current->items()) list.push(metricToV2(m, "current", "current"));
  }
  if (list.size() > 0) status->set("currentMetrics", std::move(list));
  if (conditions && conditions->isList()) status->set("conditions", std::move(*conditions));
}

}  // namespace km::object
