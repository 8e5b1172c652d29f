#include "object/openapi.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "codec/value.h"

namespace km::object {
namespace {

using codec::Value;

std::optional<Value> recorded(const std::string& name) {
  const char* set = std::getenv("KM_SHARED");
  std::ifstream in((set != nullptr ? std::string(set) : "../shared") + "/recorded/" + name);
  if (!in) return std::nullopt;
  std::stringstream text;
  text << in.rdbuf();
  auto v = Value::parse(text.str());
  return v.ok() ? std::optional(std::move(*v)) : std::nullopt;
}

std::string textOf(const Value* v) {
  return v != nullptr ? v->json() : "absent";
}

std::set<std::string> queries(const Value& path, const Value& operation) {
  std::set<std::string> out;
  for (const Value* from : {path.find("parameters"), operation.find("parameters")}) {
    if (from == nullptr) continue;
    for (const Value& p : from->items()) {
      if (p.find("in")->asString() != "query") continue;
      std::string type(p.find("schema")->find("type")->asString());
      out.insert(std::string(p.find("name")->asString()) + (type == "string" ? "" : ":" + type));
    }
  }
  return out;
}

std::set<std::string> keys(const Value* v) {
  std::set<std::string> out;
  if (v != nullptr) {
    for (const auto& m : v->members()) out.emplace(m.key.view());
  }
  return out;
}

std::set<std::string> listed(const Value& lists, const Value* index) {
  std::set<std::string> out;
  if (index == nullptr) return out;
  for (const Value& v : lists.items()[static_cast<size_t>(index->asInt())].items()) out.emplace(v.asString());
  return out;
}

TEST(OpenApi, PathsOfV3AsRecorded) {
  auto want = recorded("openapi-v3-paths.json");
  if (!want) GTEST_SKIP() << "no recordings";
  std::set<std::string> documents, paths;
  for (const Value& d : want->find("documents")->items()) documents.emplace(d.asString());
  auto have = openApiV3Paths();
  EXPECT_EQ(std::set<std::string>(have.begin(), have.end()), documents);
  const Value& lists = *want->find("lists");
  const Value& expected = *want->find("paths");
  for (const std::string& id : have) {
    auto d = Value::parse(*openApiV3(id).bytes);
    ASSERT_TRUE(d.ok());
    for (const auto& p : d->find("paths")->members()) {
      const Value* e = expected.find(p.key);
      paths.emplace(p.key.view());
      ASSERT_NE(e, nullptr) << p.key;
      std::set<std::string> methods = keys(&p.value);
      methods.erase("parameters");
      EXPECT_EQ(methods, keys(e)) << p.key;
      for (const auto& m : e->members()) {
        const Value* o = p.value.find(m.key);
        if (o == nullptr) continue;
        std::string where = std::string(m.key.view()) + " " + std::string(p.key.view());
        EXPECT_EQ(queries(p.value, *o), listed(lists, m.value.find("query"))) << where;
        EXPECT_EQ(textOf(o->find("x-kubernetes-action")), textOf(m.value.find("action"))) << where;
        EXPECT_EQ(keys(o->find("responses")), listed(lists, m.value.find("responses"))) << where;
        const Value* body = o->find("requestBody");
        EXPECT_EQ(keys(body != nullptr ? body->find("content") : nullptr),
                  listed(lists, m.value.find("consumes")))
            << where;
        EXPECT_EQ(keys(o->find("responses")->find("200")->find("content")),
                  listed(lists, m.value.find("produces")))
            << where;
        if (const Value* gvk = o->find("x-kubernetes-group-version-kind")) {
          EXPECT_EQ(std::string(gvk->find("group")->asString()) + "/" +
                        std::string(gvk->find("version")->asString()) + "/" +
                        std::string(gvk->find("kind")->asString()),
                    m.value.find("gvk")->asString())
              << where;
        }
      }
    }
  }
  EXPECT_EQ(paths, keys(&expected));
}

TEST(OpenApi, DefinitionsOfV2AsRecorded) {
  auto want = recorded("openapi-v2-gvk.json");
  if (!want) GTEST_SKIP() << "no recordings";
  auto d = Value::parse(*openApiV2Json().bytes);
  ASSERT_TRUE(d.ok());
  const Value& have = *d->find("definitions");
  const Value& expected = *want->find("definitions");
  EXPECT_EQ(keys(&have), keys(&expected));
  for (const auto& e : expected.members()) {
    const Value* h = have.find(e.key);
    if (h == nullptr) continue;
    auto set = [](const Value* v) {
      std::set<std::string> out;
      if (v != nullptr) {
        for (const Value& s : v->items()) out.emplace(s.asString());
      }
      return out;
    };
    EXPECT_EQ(set(h->find("required")), set(e.value.find("required"))) << e.key;
    EXPECT_EQ(textOf(h->find("x-kubernetes-map-type")), textOf(e.value.find("x-kubernetes-map-type")))
        << e.key;
    std::string kinds;
    if (const Value* gvks = h->find("x-kubernetes-group-version-kind");
        gvks != nullptr && gvks->size() == 1) {
      const Value& g = gvks->items()[0];
      kinds = std::string(g.find("group")->asString()) + "/" + std::string(g.find("version")->asString()) +
              "/" + std::string(g.find("kind")->asString());
    }
    const Value* wanted = e.value.find("gvk");
    if (wanted == nullptr || wanted->size() == 1) {
      EXPECT_EQ(kinds, wanted != nullptr ? wanted->items()[0].asString() : "") << e.key;
    }
    const Value* properties = h->find("properties");
    Value marked = Value::object();
    if (properties != nullptr) {
      for (const auto& p : properties->members()) {
        for (const auto& m : p.value.members()) {
          if (m.key.view().starts_with("x-kubernetes-")) marked[p.key].set(m.key.view().substr(13), m.value);
        }
      }
    }
    const Value* marks = e.value.find("properties");
    Value none = Value::object();
    EXPECT_EQ(marked.json(), (marks != nullptr ? *marks : none).json()) << e.key;
  }
}

TEST(OpenApi, Documents) {
  auto v2 = openApiV2Json();
  EXPECT_EQ(v2.bytes, openApiV2Json().bytes);
  EXPECT_EQ(v2.etag.size(), 130u);
  auto d = Value::parse(*v2.bytes);
  ASSERT_TRUE(d.ok());
  const Value* patch =
      d->find("paths")->find("/apis/apps/v1/namespaces/{namespace}/deployments/{name}")->find("patch");
  EXPECT_EQ(
      patch->find("consumes")->json(),
      R"(["application/json-patch+json","application/merge-patch+json","application/strategic-merge-patch+json","application/apply-patch+yaml"])");
  EXPECT_EQ(patch->find("operationId")->asString(), "patchAppsV1NamespacedDeployment");
  EXPECT_GT(openApiV2Proto().bytes->size(), 100000u);
  EXPECT_EQ(openApiV3("apis/none/v1").bytes, nullptr);
  auto index = Value::parse(*openApiV3Index().bytes);
  EXPECT_TRUE(index->find("paths")
                  ->find("apis/apps/v1")
                  ->find("serverRelativeURL")
                  ->asString()
                  .starts_with("/openapi/v3/apis/apps/v1?hash="));
}

}  // namespace
}  // namespace km::object
