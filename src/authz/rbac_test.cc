#include "authz/rbac.h"

#include <gtest/gtest.h>

#include "api/types/rbac_v1.h"
#include "codec/json.h"

namespace km::authz {
namespace {

using api::rbac_v1::ClusterRole;
using api::rbac_v1::PolicyRule;
using api::rbac_v1::RoleBinding;

template <typename T>
api::ObjectPtr parsed(std::string_view json) {
  api::MutableObject o = api::Object::make(T::kType);
  EXPECT_TRUE(codec::decodeJson(json, o->data(), T::kType).ok()) << json;
  return o;
}

class RbacTest : public testing::Test {
 protected:
  ObjectList list(std::vector<api::ObjectPtr> objects) {
    return std::make_shared<const std::vector<api::ObjectPtr>>(std::move(objects));
  }

  void SetUp() override {
    objects_.roles = objects_.clusterRoleBindings = list({});
    objects_.clusterRoles = list({parsed<ClusterRole>(
        R"({"metadata":{"name":"reader"},"rules":[{"verbs":["get","list"],"apiGroups":[""],"resources":["pods","pods/log"]}]})")});
    objects_.roleBindings = list({
        parsed<RoleBinding>(
            R"({"metadata":{"name":"b","namespace":"ns"},"subjects":[{"kind":"User","name":"jane"}],
                                "roleRef":{"kind":"ClusterRole","name":"reader"}})"),
        parsed<RoleBinding>(
            R"({"metadata":{"name":"c","namespace":"ns"},"subjects":[{"kind":"User","name":"jane"}],
                                "roleRef":{"kind":"Role","name":"none"}})"),
    });
  }

  Answer ask(std::string_view verb, std::string_view resource, std::string_view ns,
             std::string_view subresource = "") {
    return rbac_.authorize({.user = &jane_,
                            .verb = verb,
                            .isResource = true,
                            .resource = resource,
                            .subresource = subresource,
                            .ns = ns});
  }

  RbacObjects objects_;
  Rbac rbac_{[this] { return objects_; }};
  authn::UserInfo jane_{.name = "jane"};
};

TEST_F(RbacTest, AllowsWhatARuleSaysInItsNamespace) {
  EXPECT_EQ(ask("get", "pods", "ns").decision, Decision::kAllow);
  EXPECT_EQ(ask("get", "pods", "ns", "log").decision, Decision::kAllow);
  EXPECT_EQ(ask("get", "pods", "ns", "status").decision, Decision::kNoOpinion);
  EXPECT_EQ(ask("get", "pods", "other").decision, Decision::kNoOpinion);
  EXPECT_EQ(ask("get", "pods", "").decision, Decision::kNoOpinion);
  EXPECT_EQ(ask("delete", "pods", "ns").decision, Decision::kNoOpinion);
}

TEST_F(RbacTest, TellsWhichRolesAreBoundButMissing) {
  EXPECT_EQ(ask("delete", "pods", "ns").reason, "RBAC: role.rbac.authorization.k8s.io \"none\" not found");
  ObjectList keep;
  std::string error;
  EXPECT_EQ(rbac_.rulesFor(jane_, "ns", keep, &error).size(), 1u);
  EXPECT_EQ(error, "role.rbac.authorization.k8s.io \"none\" not found");
}

TEST_F(RbacTest, NamesEachPermissionThatIsMissing) {
  auto missing = [&](std::string_view rules) {
    api::ObjectPtr role = parsed<ClusterRole>(rules);
    return rbac_.missingRules(jane_, "ns", role->as<ClusterRole>().rules);
  };
  EXPECT_EQ(
      missing(R"({"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"],"resourceNames":["a"]}]})"),
      "");
  EXPECT_EQ(
      missing(
          R"({"rules":[{"verbs":["get","delete","create"],"apiGroups":[""],"resources":["pods","secrets"]}]})"),
      "\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\" \"create\"]}"
      "\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"delete\" \"create\"]}");
  // All verbs are more than each verb.
  EXPECT_NE(missing(R"({"rules":[{"verbs":["*"],"apiGroups":[""],"resources":["pods"]}]})"), "");
  EXPECT_NE(missing(R"({"rules":[{"verbs":["get"],"nonResourceURLs":["/metrics"]}]})"), "");
}

}  // namespace
}  // namespace km::authz
