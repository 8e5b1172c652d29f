#include "object/managed_fields.h"

#include <gtest/gtest.h>

#include <random>

#include "api/types/apps_v1.h"
#include "api/types/autoscaling_v1.h"
#include "api/types/autoscaling_v2.h"
#include "api/types/core_v1.h"
#include "api/types/events_v1.h"
#include "object/convert.h"
#include "object/field_set.h"

namespace km::object {
namespace {

template <typename T>
api::MutableObject decode(std::string_view json) {
  auto o = api::Object::make(T::kType);
  Status s = codec::decodeJson(json, o->data(), o->type());
  EXPECT_TRUE(s.ok()) << s.message();
  return o;
}

FieldWriter writer(std::string manager, std::string subresource = {}, int64_t at = 1000) {
  FieldWriter w;
  w.manager = std::move(manager);
  w.subresource = std::move(subresource);
  w.now = {at, 0};
  return w;
}

// "Apply one v1 {...}" for each entry.
std::string shown(const api::Object& o) {
  std::string out;
  for (const auto& e : o.meta().managedFields) {
    out += e.operation.str() + " " + e.manager.str() + " " + e.fieldsV1.text.str() + "\n";
  }
  return out;
}

TEST(FieldSet, CanonicalText) {
  std::string text =
      R"({"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:l":{"i:3":{},"v:\"x\"":{}},"f:p":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:port":{}}}}})";
  auto set = FieldSet::parse(text);
  ASSERT_TRUE(set.ok());
  // Values stand before indices.
  EXPECT_EQ(
      set->json(),
      R"({"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:l":{"v:\"x\"":{},"i:3":{}},"f:p":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:port":{}}}}})");
  std::string paths;
  set->each([&](const FieldPath& p) { paths += pathText(p) + " "; });
  EXPECT_EQ(
      paths,
      ".metadata.labels .metadata.labels.app .spec.l[=\"x\"] .spec.l[3] .spec.p[port=80,protocol=\"TCP\"] "
      ".spec.p[port=80,protocol=\"TCP\"].port ");
  EXPECT_TRUE(set->subtract(*set).empty());
  EXPECT_EQ(set->intersect(*set), *set);
  EXPECT_FALSE(FieldSet::parse(R"({"k":{}})").ok());
  EXPECT_TRUE(FieldSet::parse(R"({"z:new":{}})").ok());
}

TEST(ManagedFields, CreateAndUpdate) {
  auto first = decode<api::core_v1::ConfigMap>(
      R"({"metadata":{"name":"c","labels":{"a":"1"}},"data":{"k":"v","l":"w"}})");
  updateManagedFields(nullptr, *first, writer("one"));
  EXPECT_EQ(
      shown(*first),
      "Update one "
      "{\"f:data\":{\".\":{},\"f:k\":{},\"f:l\":{}},\"f:metadata\":{\"f:labels\":{\".\":{},\"f:a\":{}}}}\n");
  first->meta().uid = "u";
  auto second = first->clone();
  second->as<api::core_v1::ConfigMap>().data["k"] = "x";
  second->as<api::core_v1::ConfigMap>().data.erase("l");
  updateManagedFields(first.get(), *second, writer("two", {}, 2000));
  EXPECT_EQ(shown(*second),
            "Update one {\"f:data\":{},\"f:metadata\":{\"f:labels\":{\".\":{},\"f:a\":{}}}}\nUpdate two "
            "{\"f:data\":{\"f:k\":{}}}\n");
  auto same = second->clone();
  updateManagedFields(second.get(), *same, writer("three", {}, 3000));
  EXPECT_EQ(shown(*same), shown(*second));
  EXPECT_TRUE(sameExceptManagedFieldsTime(*second, *same));
  auto reset = second->clone();
  reset->meta().managedFields.clear();
  reset->meta().managedFields.add();
  updateManagedFields(second.get(), *reset, writer("three", {}, 3000));
  EXPECT_TRUE(reset->meta().managedFields.empty());
}

TEST(ManagedFields, AncientChanges) {
  auto o = decode<api::core_v1::ConfigMap>(R"({"metadata":{"name":"c","uid":"u"},"data":{"m":"v"}})");
  updateManagedFields(nullptr, *o, writer("m", {}, 1));
  for (int i = 0; i < 15; i++) {
    auto next = o->clone();
    next->as<api::core_v1::ConfigMap>().data["k" + std::to_string(i)] = "v";
    updateManagedFields(o.get(), *next, writer("m" + std::to_string(i), {}, 10 + i));
    o = next;
  }
  ASSERT_EQ(o->meta().managedFields.size(), 10u);
  EXPECT_EQ(o->meta().managedFields[0].manager, "ancient-changes");
}

TEST(Apply, CreateConflictForceRemove) {
  const auto& type = api::core_v1::ConfigMap::kType;
  auto a = serverSideApply(
      nullptr, type, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: \"1\", b: \"1\"}\n",
      false, writer("one"), nullptr);
  ASSERT_TRUE(a.ok()) << a.status().message();
  EXPECT_EQ(shown(**a), "Apply one {\"f:data\":{\"f:a\":{},\"f:b\":{}}}\n");
  (*a)->meta().uid = "u";
  const char* other = R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"a":"2"}})";
  auto b = serverSideApply(a->get(), type, other, false, writer("two"), nullptr);
  ASSERT_FALSE(b.ok());
  EXPECT_EQ(b.status().code(), 409);
  EXPECT_EQ(b.status().message(), "Apply failed with 1 conflict: conflict with \"one\": .data.a");
  ASSERT_EQ(b.status().details()->causes.size(), 1u);
  EXPECT_EQ(b.status().details()->causes[0].field, ".data.a");
  b = serverSideApply(a->get(), type, other, true, writer("two"), nullptr);
  ASSERT_TRUE(b.ok());
  EXPECT_EQ(shown(**b), "Apply one {\"f:data\":{\"f:b\":{}}}\nApply two {\"f:data\":{\"f:a\":{}}}\n");
  // What "one" applies no longer goes.
  auto c = serverSideApply(
      b->get(), type, R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"c":"3"}})",
      false, writer("one"), nullptr);
  ASSERT_TRUE(c.ok());
  std::string data;
  for (const auto& e : (*c)->as<api::core_v1::ConfigMap>().data) data += e.key.str() + e.value.str();
  EXPECT_EQ(data, "a2c3");
}

TEST(Apply, ListsByKeyAndErrors) {
  auto live = decode<api::core_v1::Service>(R"({"metadata":{"name":"s","uid":"u"},"spec":{"ports":[
    {"name":"a","protocol":"TCP","port":80,"targetPort":80},{"name":"b","protocol":"UDP","port":80,"targetPort":80}]}})");
  updateManagedFields(nullptr, *live, writer("m"));
  const auto& type = api::core_v1::Service::kType;
  auto r = serverSideApply(
      live.get(), type,
      R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"s"},"spec":{"ports":[{"port":81,"name":"c"},{"port":80,"targetPort":90}]}})",
      true, writer("x"), nullptr);
  ASSERT_TRUE(r.ok()) << r.status().message();
  std::string ports;
  for (const auto& p : (*r)->as<api::core_v1::Service>().spec.ports) {
    ports += p.name.str() + std::to_string(p.port) + p.protocol.str() + p.targetPort.str() + " ";
  }
  EXPECT_EQ(ports, "c810 a80TCP90 b80UDP80 ");
  auto refused = [&](std::string_view spec, std::string_view message) {
    std::string body = R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"s"},"spec":)";
    auto e = serverSideApply(live.get(), type, body.append(spec).append("}"), true, writer("x"), nullptr);
    ASSERT_FALSE(e.ok()) << spec;
    EXPECT_EQ(e.status().message(),
              "failed to create typed patch object (/s; /v1, Kind=Service): " + std::string(message));
  };
  refused(R"({"ports":[{"port":"80"}]})",
          ".spec.ports[port=\"80\",protocol=\"TCP\"].port: expected numeric (int or float), got string");
  refused(R"({"porta":1})", ".spec.porta: field not declared in schema");
  refused(R"("x")", ".spec: expected map, got &{x}");
  refused(R"({"selector":{"a":1}})",
          ".spec.selector.a: expected string, got &value.valueUnstructured{Value:1}");
}

TEST(Apply, ScaleFields) {
  auto d = decode<api::apps_v1::Deployment>(
      R"({"metadata":{"name":"d","uid":"u"},"spec":{"replicas":2,"paused":true}})");
  updateManagedFields(nullptr, *d, writer("creator"));
  auto scale =
      decode<api::autoscaling_v1::Scale>(R"({"metadata":{"name":"d","uid":"u"},"spec":{"replicas":2}})");
  scaleFieldsFromParent(*d, *scale);
  EXPECT_EQ(shown(*scale), "Update creator {\"f:spec\":{\"f:replicas\":{}}}\n");
  auto next = scale->clone();
  next->as<api::autoscaling_v1::Scale>().spec.replicas = 5;
  updateManagedFields(scale.get(), *next, writer("hpa", "scale"));
  scaleFieldsToParent(*next, *d);
  std::string all = shown(*d);
  EXPECT_NE(all.find("Update hpa {\"f:spec\":{\"f:replicas\":{}}}"), std::string::npos) << all;
  EXPECT_NE(all.find("Update creator {\"f:spec\":{\"f:paused\":{}"), std::string::npos) << all;
}

TEST(Apply, SurvivesGarbage) {
  const std::string seed =
      R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","labels":{"a":"b"},"finalizers":["x/y"]},"spec":{"replicas":2,"template":{"spec":{"containers":[{"name":"a","image":"i","ports":[{"containerPort":80}],"env":[{"name":"E","value":"v"}]}],"nodeSelector":{"x":"y"}}}}})";
  const auto& type = api::apps_v1::Deployment::kType;
  auto live = serverSideApply(nullptr, type, seed, true, writer("m"), nullptr);
  ASSERT_TRUE(live.ok()) << live.status().message();
  std::mt19937 rng(11);
  for (int i = 0; i < 1500; i++) {
    std::string body = seed;
    const char* values[] = {"null", "1", "\"x\"", "[]", "{}", "[{}]", "[null]", "1.5", "[[1]]"};
    for (int n = static_cast<int>(rng() % 3); n >= 0; n--) {
      size_t colon = body.find(':', 60 + rng() % (body.size() - 60));
      size_t end = colon == std::string::npos ? colon : body.find_first_of(",}]", colon);
      if (end != std::string::npos) body.replace(colon + 1, end - colon - 1, values[rng() % 9]);
    }
    codec::StrictErrors strict;
    auto r = serverSideApply(rng() % 4 ? live->get() : nullptr, type, body, rng() % 2,
                             writer(rng() % 2 ? "m" : "n"), &strict);
    if (r.ok() && rng() % 3 == 0) {
      updateManagedFields(live->get(), **r, writer("u"));
    }
  }
}

TEST(ManagerOf, UserAgent) {
  EXPECT_EQ(managerOf("m", "kubectl/v1"), "m");
  EXPECT_EQ(managerOf("", "kubectl/v1.27 (linux)"), "kubectl");
  EXPECT_EQ(managerOf("", std::string(200, 'x')).size(), 128u);
}

TEST(Convert, Event) {
  auto e = decode<api::core_v1::Event>(
      R"({"metadata":{"name":"e"},"involvedObject":{"kind":"Pod","name":"p"},"reason":"R","message":"m",
    "source":{"component":"c"},"count":3,"type":"Normal","reportingComponent":"rc","reportingInstance":"ri"})");
  auto to = convert(*e, api::events_v1::Event::kType);
  ASSERT_TRUE(to.ok()) << to.status().message();
  const auto& v = (*to)->as<api::events_v1::Event>();
  EXPECT_EQ(v.note, "m");
  EXPECT_EQ(v.regarding.name, "p");
  EXPECT_EQ(v.deprecatedCount, 3);
  EXPECT_EQ(v.reportingController, "rc");
  auto back = convert(**to, api::core_v1::Event::kType);
  ASSERT_TRUE(back.ok());
  std::string a, b;
  codec::encodeJson(a, e->data(), e->type());
  codec::encodeJson(b, (*back)->data(), (*back)->type());
  EXPECT_EQ(a, b);
}

TEST(Convert, Autoscaler) {
  auto h = decode<api::autoscaling_v2::HorizontalPodAutoscaler>(
      R"({"metadata":{"name":"h"},"spec":{"scaleTargetRef":{"kind":"D","name":"d"},
    "maxReplicas":5,"metrics":[{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":50}}},
    {"type":"Resource","resource":{"name":"memory","target":{"type":"AverageValue","averageValue":"100Mi"}}}],
    "behavior":{"scaleDown":{"stabilizationWindowSeconds":60,"policies":[{"type":"Percent","value":100,"periodSeconds":15}]}}},
    "status":{"desiredReplicas":1,"currentMetrics":null,"conditions":[{"type":"AbleToScale","status":"True"}]}})");
  auto v1 = convert(*h, api::autoscaling_v1::HorizontalPodAutoscaler::kType);
  ASSERT_TRUE(v1.ok()) << v1.status().message();
  const auto& o = (*v1)->as<api::autoscaling_v1::HorizontalPodAutoscaler>();
  EXPECT_EQ(o.spec.targetCPUUtilizationPercentage, 50);
  EXPECT_EQ(o.metadata.annotations.get("autoscaling.alpha.kubernetes.io/metrics"),
            R"([{"type":"Resource","resource":{"name":"memory","targetAverageValue":"100Mi"}}])");
  EXPECT_EQ(
      o.metadata.annotations.get("autoscaling.alpha.kubernetes.io/behavior"),
      R"({"ScaleUp":null,"ScaleDown":{"StabilizationWindowSeconds":60,"SelectPolicy":null,"Policies":[{"Type":"Percent","Value":100,"PeriodSeconds":15}],"Tolerance":null}})");
  auto back = convert(**v1, api::autoscaling_v2::HorizontalPodAutoscaler::kType);
  ASSERT_TRUE(back.ok());
  const auto& b = (*back)->as<api::autoscaling_v2::HorizontalPodAutoscaler>();
  EXPECT_EQ(b.spec.metrics.size(), 2u);
  EXPECT_TRUE(b.metadata.annotations.empty());
  EXPECT_EQ(b.spec.behavior->scaleDown->policies.size(), 1u);
  EXPECT_EQ(b.status.conditions.size(), 1u);
}

}  // namespace
}  // namespace km::object
