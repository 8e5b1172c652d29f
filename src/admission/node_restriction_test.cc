#include <gtest/gtest.h>

#include "admission/plugins.h"
#include "api/types/authentication_v1.h"
#include "api/types/core_v1.h"
#include "codec/json.h"

namespace km::admission {
namespace {

using api::core_v1::Node;
using api::core_v1::Pod;

class NodeRestrictionTest : public testing::Test {
 protected:
  NodeRestrictionTest() {
    PluginContext c;
    c.get = [this](std::string_view, std::string_view resource, std::string_view,
                   std::string_view name) -> api::ObjectPtr {
      auto i = stored_.find(std::string(resource) + "/" + std::string(name));
      return i == stored_.end() ? nullptr : i->second;
    };
    plugin_ = makeNodeRestriction(c);
    stored_["nodes/n"] = object(R"({"metadata":{"name":"n","uid":"1"}})", "nodes");
  }

  static const api::Resource& resource(std::string_view name) { return *api::findResource("", "v1", name); }

  static api::MutableObject object(std::string_view json, std::string_view of) {
    api::MutableObject o = api::Object::make(*resource(of).type);
    EXPECT_TRUE(codec::decodeJson(json, o->data(), *resource(of).type).ok()) << json;
    return o;
  }

  std::string refusal(Operation operation, std::string_view of, std::string_view json,
                      std::string_view old = "", std::string_view sub = "") {
    api::MutableObject o = json.empty() ? nullptr : object(json, of);
    api::MutableObject before = old.empty() ? nullptr : object(old, of);
    std::string name(o ? o->name() : before->name());
    Attributes a{.operation = operation,
                 .resource = &resource(of),
                 .subresource = sub,
                 .ns = "",
                 .name = name,
                 .object = o,
                 .old = before,
                 .user = &user_};
    return plugin_->mutate(a).message();
  }

  std::map<std::string, api::ObjectPtr> stored_;
  std::unique_ptr<Plugin> plugin_;
  authn::UserInfo user_{.name = "system:node:n", .groups = {"system:nodes"}};
};

TEST_F(NodeRestrictionTest, ANodeChangesItselfOnly) {
  EXPECT_EQ(refusal(Operation::kCreate, "nodes",
                    R"({"metadata":{"name":"n","labels":{"kubernetes.io/os":"linux"}}})"),
            "");
  EXPECT_EQ(refusal(Operation::kCreate, "nodes", R"({"metadata":{"name":"o"}})"),
            "nodes \"o\" is forbidden: node \"n\" is not allowed to modify node \"o\"");
  EXPECT_EQ(refusal(Operation::kUpdate, "nodes", R"({"metadata":{"name":"n"}})",
                    R"({"metadata":{"name":"n","labels":{"node-restriction.kubernetes.io/a":"b"}}})"),
            "nodes \"n\" is forbidden: is not allowed to modify labels: node-restriction.kubernetes.io/a");
  EXPECT_EQ(refusal(Operation::kUpdate, "nodes", R"({"metadata":{"name":"n"}})",
                    R"({"metadata":{"name":"n"},"spec":{"taints":[{"key":"a"}]}})"),
            "nodes \"n\" is forbidden: node \"n\" is not allowed to modify taints");
}

TEST_F(NodeRestrictionTest, MirrorPodsNeedNothingOfTheApi) {
  std::string head =
      R"({"metadata":{"name":"p","annotations":{"kubernetes.io/config.mirror":"x"},"ownerReferences":[
      {"apiVersion":"v1","kind":"Node","name":"n","uid":"1","controller":true}]},"spec":{"nodeName":"n")";
  EXPECT_EQ(refusal(Operation::kCreate, "pods", head + "}}"), "");
  EXPECT_EQ(refusal(Operation::kCreate, "pods", head + R"(,"serviceAccountName":"default"}})"),
            "pods \"p\" is forbidden: node \"n\" can not create pods that reference serviceaccounts");
  EXPECT_EQ(refusal(Operation::kCreate, "pods",
                    head + R"(,"volumes":[{"name":"v","secret":{"secretName":"s"}}]}})"),
            "pods \"p\" is forbidden: node \"n\" can not create pods that reference secrets");
  EXPECT_NE(refusal(Operation::kCreate, "pods", R"({"metadata":{"name":"p"},"spec":{"nodeName":"n"}})"), "");
}

TEST_F(NodeRestrictionTest, StatusAndDeletionOfItsPodsOnly) {
  std::string own = R"({"metadata":{"name":"p"},"spec":{"nodeName":"n"}})",
              other = R"({"metadata":{"name":"p"},"spec":{"nodeName":"o"}})";
  EXPECT_EQ(refusal(Operation::kUpdate, "pods", own, own, "status"), "");
  EXPECT_NE(refusal(Operation::kUpdate, "pods", other, other, "status"), "");
  EXPECT_NE(refusal(Operation::kUpdate, "pods",
                    R"({"metadata":{"name":"p","labels":{"a":"b"}},"spec":{"nodeName":"n"}})", own, "status"),
            "");
  EXPECT_EQ(refusal(Operation::kDelete, "pods", "", own), "");
  EXPECT_EQ(refusal(Operation::kDelete, "pods", "", other),
            "pods \"p\" is forbidden: node \"n\" can only delete pods with spec.nodeName set to itself");
}

TEST_F(NodeRestrictionTest, OthersAreLeftAlone) {
  user_.groups = {"team"};
  EXPECT_EQ(refusal(Operation::kCreate, "nodes", R"({"metadata":{"name":"o"}})"), "");
}

}  // namespace
}  // namespace km::admission
