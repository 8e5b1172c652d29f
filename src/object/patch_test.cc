#include "object/patch.h"

#include <gtest/gtest.h>

#include <random>

#include "api/types/apps_v1.h"
#include "api/types/core_v1.h"
#include "codec/value.h"
#include "object/go_print.h"

namespace km::object {
namespace {

using codec::StrictErrors;
using codec::Value;

template <typename T>
api::MutableObject decode(std::string_view json) {
  auto o = api::Object::make(T::kType);
  Status s = codec::decodeJson(json, o->data(), o->type());
  EXPECT_TRUE(s.ok()) << s.message();
  return o;
}

std::string text(const api::Object& o) {
  std::string out;
  codec::encodeJson(out, o.data(), o.type(), "");
  return out;
}

api::MutableObject configMap() {
  return decode<api::core_v1::ConfigMap>(
      R"({"metadata":{"name":"c","labels":{"a":"2","z":"1"}},"data":{"a":"1","b":"2"}})");
}

api::MutableObject deployment() {
  return decode<api::apps_v1::Deployment>(
      R"({"metadata":{"name":"web","finalizers":["x.io/a","x.io/b"]},"spec":{"replicas":2,
    "selector":{"matchLabels":{"app":"web"}},"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}},
    "template":{"metadata":{"labels":{"app":"web"}},"spec":{"nodeSelector":{"a":"b"},
    "containers":[{"name":"a","image":"a:1"},{"name":"b","image":"b:1"},{"name":"c","image":"c:1"}]}}}})");
}

std::string names(const Result<api::MutableObject>& r) {
  if (!r.ok()) return r.status().message();
  std::string out;
  for (const auto& c : (*r)->as<api::apps_v1::Deployment>().spec.template_.spec.containers)
    out += c.name.str() + "=" + c.image.str() + " ";
  return out;
}

Result<api::MutableObject> patch(PatchKind kind, const api::MutableObject& o, std::string_view body) {
  StrictErrors strict;
  return applyPatch(kind, *o, body, &strict);
}

TEST(JsonPatch, Operations) {
  auto r = patch(PatchKind::kJson, configMap(),
                 R"([{"op":"add","path":"/data/n","value":"v"},{"op":"remove","path":"/data/a"},
    {"op":"replace","path":"/data/b","value":"x"},{"op":"copy","from":"/data/b","path":"/data/c"},
    {"op":"move","from":"/data/n","path":"/data/m"},{"op":"test","path":"/data/c","value":"x"},
    {"op":"add","path":"/metadata/labels/x.io~1y","value":"1"}])");
  ASSERT_TRUE(r.ok()) << r.status().message();
  EXPECT_EQ(
      text(**r),
      R"({"metadata":{"name":"c","labels":{"a":"2","x.io/y":"1","z":"1"}},"data":{"b":"x","c":"x","m":"v"}})");
}

TEST(JsonPatch, Refusals) {
  struct Case {
    const char* body;
    int code;
  };
  for (Case c : {Case{R"([{"op":"test","path":"/data/a","value":"2"}])", 422},
                 {R"([{"op":"remove","path":"/data/nope"}])", 422},
                 {R"([{"op":"frob","path":"/data/a"}])", 422},
                 {R"([null])", 422},
                 {R"([1])", 400},
                 {R"({"data":{}})", 400},
                 {R"([{"op":1,"path":"/data/a"}])", 400},
                 {R"([{"op":"add")", 400},
                 {R"([{"op":"add","path":"/data/n","value":1}])", 422},
                 {R"([{"op":"replace","path":"/kind","value":"Secret"}])", 422},
                 {R"([{"op":"remove","path":""}])", 422},
                 {R"([{"op":"add","path":"/metadata/labels/a/b","value":"x"}])", 422}}) {
    auto r = patch(PatchKind::kJson, configMap(), c.body);
    EXPECT_FALSE(r.ok()) << c.body;
    EXPECT_EQ(r.status().code(), c.code) << c.body << r.status().message();
  }
  EXPECT_EQ(patch(PatchKind::kJson, configMap(), R"([{"op":"add")").status().message(),
            "error decoding patch: unexpected end of JSON input");
  EXPECT_TRUE(patch(PatchKind::kJson, configMap(), "null").ok());
}

TEST(JsonPatch, NegativeIndex) {
  auto o = decode<api::core_v1::ConfigMap>(R"({"metadata":{"name":"c","finalizers":["a/a","b/b"]}})");
  auto r = patch(PatchKind::kJson, o, R"([{"op":"replace","path":"/metadata/finalizers/-1","value":"c/c"},
    {"op":"add","path":"/metadata/finalizers/0","value":"z/z"},{"op":"add","path":"/metadata/finalizers/-","value":"e/e"}])");
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(text(**r), R"({"metadata":{"name":"c","finalizers":["z/z","a/a","c/c","e/e"]}})");
  EXPECT_FALSE(patch(PatchKind::kJson, o, R"([{"op":"remove","path":"/metadata/finalizers/2"}])").ok());
}

TEST(JsonPatch, StrictQuotesTheObject) {
  StrictErrors strict;
  auto r = applyPatch(PatchKind::kJson, *configMap(),
                      R"([{"op":"add","path":"/dato","value":{"n":"1"},"why":"not"}])", &strict, true);
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.status().message(),
            " \"\" is invalid: patch: Invalid value: "
            "\"{\\\"apiVersion\\\":\\\"v1\\\",\\\"data\\\":{\\\"a\\\":\\\"1\\\",\\\"b\\\":\\\"2\\\"},"
            "\\\"dato\\\":{\\\"n\\\":\\\"1\\\"},\\\"kind\\\":\\\"ConfigMap\\\",\\\"metadata\\\":{"
            "\\\"name\\\":\\\"c\\\",\\\"labels\\\":{\\\"a\\\":"
            "\\\"2\\\",\\\"z\\\":\\\"1\\\"}}}\": strict decoding error: json patch unknown field "
            "\"[0].why\", unknown field \"dato\"");
}

TEST(MergePatch, Members) {
  auto r = patch(PatchKind::kMerge, configMap(),
                 R"({"data":{"a":null,"c":"3"},"metadata":{"labels":{"z":null}}})");
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(text(**r), R"({"metadata":{"name":"c","labels":{"a":"2"}},"data":{"b":"2","c":"3"}})");
  EXPECT_EQ(patch(PatchKind::kMerge, configMap(), "null").status().message(), "Invalid JSON Patch");
  EXPECT_EQ(patch(PatchKind::kMerge, configMap(), R"({"data":{"a":"b"}} x)").status().message(),
            "error decoding patch: invalid character 'x' after top-level value");
}

TEST(MergePatch, EmptyManagedFieldsAskForReset) {
  auto r = patch(PatchKind::kMerge, configMap(), R"({"metadata":{"managedFields":[]}})");
  ASSERT_TRUE(r.ok());
  EXPECT_EQ((*r)->meta().managedFields.size(), 1u);
}

TEST(StrategicPatch, KeyedLists) {
  EXPECT_EQ(
      names(patch(
          PatchKind::kStrategicMerge, deployment(),
          R"({"spec":{"template":{"spec":{"containers":[{"name":"b","image":"b:2"},{"name":"d","image":"d:1"}]}}}})")),
      "a=a:1 b=b:2 d=d:1 c=c:1 ");
  EXPECT_EQ(names(patch(PatchKind::kStrategicMerge, deployment(),
                        R"({"spec":{"template":{"spec":{"containers":[{"name":"b","$patch":"delete"}]}}}})")),
            "a=a:1 c=c:1 ");
  EXPECT_EQ(
      names(patch(
          PatchKind::kStrategicMerge, deployment(),
          R"({"spec":{"template":{"spec":{"containers":[{"$patch":"replace"},{"name":"x","image":"x:1"}]}}}})")),
      "x=x:1 ");
  EXPECT_EQ(
      names(patch(
          PatchKind::kStrategicMerge, deployment(),
          R"({"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"c"},{"name":"a"},{"name":"b"}]}}}})")),
      "c=c:1 a=a:1 b=b:1 ");
}

TEST(StrategicPatch, PrimitiveLists) {
  auto r = patch(PatchKind::kStrategicMerge, deployment(),
                 R"({"metadata":{"$deleteFromPrimitiveList/finalizers":["x.io/a"],
    "$setElementOrder/finalizers":["x.io/c","x.io/b"],"finalizers":["x.io/c"]}})");
  ASSERT_TRUE(r.ok()) << r.status().message();
  ASSERT_EQ((*r)->meta().finalizers.size(), 2u);
  EXPECT_EQ((*r)->meta().finalizers[0], "x.io/c");
}

TEST(StrategicPatch, RetainKeysAndNulls) {
  auto r = patch(PatchKind::kStrategicMerge, deployment(),
                 R"({"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"},"replicas":null}})");
  ASSERT_TRUE(r.ok());
  const auto& spec = (*r)->as<api::apps_v1::Deployment>().spec;
  EXPECT_EQ(spec.strategy.type, "Recreate");
  EXPECT_FALSE(spec.strategy.rollingUpdate);
  EXPECT_FALSE(spec.replicas);
}

TEST(StrategicPatch, Refusals) {
  struct Case {
    const char* body;
    int code;
    const char* message;
  };
  for (Case c : {Case{R"({"spec":{"template":{"spec":{"nodeSelector":{"$patch":"merge","c":"d"}}}}})", 500,
                      "unknown patch type: merge in map: map[$patch:merge c:d]"},
                 {R"({"spec":{"template":{"spec":{"nodeSelector":{"$patch":7}}}}})", 500,
                  "unknown patch type: %!s(int64=7) in map: map[$patch:7]"},
                 {R"({"spec":{"template":{"spec":{"containers":[{"$patch":"merge","name":"a"}]}}}})", 500,
                  "merging lists cannot yet be specified in the patch"},
                 {R"({"metadata":{"$setElementOrder/finalizers":"x"}})", 500,
                  "expected a []interface {}, but received a string"},
                 {R"(null x)", 400, "invalid character 'x' after top-level value"},
                 {R"({)", 400, "unexpected end of JSON input"},
                 {R"({"spec":{"template":{"spec":{"containers":[{"image":"x"}]}}}})", 500,
                  "map: map[image:x] does not contain declared merge key: name"}}) {
    auto r = patch(PatchKind::kStrategicMerge, deployment(), c.body);
    ASSERT_FALSE(r.ok()) << c.body;
    EXPECT_EQ(r.status().code(), c.code) << c.body;
    EXPECT_EQ(r.status().message(), c.message);
  }
  EXPECT_EQ(patch(PatchKind::kStrategicMerge, deployment(), R"({"spec":{"replicas":"x"}})").status().code(),
            422);
  EXPECT_TRUE(patch(PatchKind::kStrategicMerge, deployment(), R"({"spec":{"replicas":3.0}})").ok());
  EXPECT_EQ(patch(PatchKind::kMerge, deployment(), R"({"spec":{"replicas":3.0}})").status().code(), 422);
}

// Random edits of good patches: any answer will do, but it must be one.
TEST(Patch, SurvivesGarbage) {
  const std::string seeds[] = {
      R"([{"op":"add","path":"/spec/template/spec/containers/0","value":{"name":"x"}},{"op":"move","from":"/spec/replicas","path":"/metadata/labels"},{"op":"copy","from":"/spec","path":"/spec/template"}])",
      R"({"metadata":{"labels":{"a":null},"finalizers":[]},"spec":{"template":{"spec":{"containers":[{"name":"a","image":null}]}}}})",
      R"({"spec":{"strategy":{"$retainKeys":["type"]},"template":{"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}],"containers":[{"name":"b","$patch":"delete"},{"name":"a","ports":[{"containerPort":80}]}]}}},"metadata":{"$deleteFromPrimitiveList/finalizers":["x.io/a"]}})"};
  std::mt19937 rng(7);
  auto o = deployment();
  for (int i = 0; i < 6000; i++) {
    std::string body = seeds[rng() % 3];
    for (int n = static_cast<int>(rng() % 4); n >= 0; n--) {
      size_t at = rng() % body.size();
      switch (rng() % 4) {
        case 0:
          body[at] = "{}[]\",:01an"[rng() % 11];
          break;
        case 1:
          body.erase(at, rng() % 12);
          break;
        case 2:
          body.insert(at, body.substr(rng() % body.size(), rng() % 30));
          break;
        default: {
          // Swap one value for another of some type.
          size_t colon = body.find(':', at);
          if (colon != std::string::npos) {
            const char* values[] = {"null", "1", "\"x\"", "[]", "{}", "[{}]", "[null]", "1.5"};
            size_t end = body.find_first_of(",}]", colon);
            if (end != std::string::npos) body.replace(colon + 1, end - colon - 1, values[rng() % 8]);
          }
        }
      }
      if (body.empty()) body = "{}";
    }
    StrictErrors strict;
    for (PatchKind k : {PatchKind::kJson, PatchKind::kMerge, PatchKind::kStrategicMerge}) {
      (void)applyPatch(k, *o, body, rng() % 2 ? &strict : nullptr, rng() % 2).ok();
    }
  }
}

}  // namespace
}  // namespace km::object
