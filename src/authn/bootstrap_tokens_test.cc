// Bootstrap tokens: who they are, and every reason for which one is none.
#include "authn/bootstrap_tokens.h"

#include <gtest/gtest.h>

#include "api/types/core_v1.h"

namespace km::authn {
namespace {

struct Tokens : testing::Test {
  api::core_v1::Secret secret;
  Tokens() {
    secret.type = "bootstrap.kubernetes.io/token";
    secret.data["token-id"] = "abcdef";
    secret.data["token-secret"] = "0123456789abcdef";
    secret.data["usage-bootstrap-authentication"] = "true";
    secret.data["auth-extra-groups"] = "system:bootstrappers:b,system:bootstrappers:a";
  }
  std::optional<UserInfo> user(std::string_view token = "abcdef.0123456789abcdef") {
    BootstrapTokens method([&](std::string_view name) { return name == "bootstrap-token-abcdef" ? api::ObjectPtr(api::Object::of(secret)) : nullptr; }, Clock::system());
    auto r = method.authenticate(token, {});
    EXPECT_TRUE(r.ok());
    return r.ok() ? *r : std::nullopt;
  }
};

TEST_F(Tokens, NameTheirGroups) {
  auto u = user();
  ASSERT_TRUE(u);
  EXPECT_EQ(u->name, "system:bootstrap:abcdef");
  EXPECT_EQ(u->groups, (std::vector<std::string>{"system:bootstrappers", "system:bootstrappers:a", "system:bootstrappers:b"}));
}

TEST_F(Tokens, MustBeRight) {
  for (std::string_view wrong : {"abcdef.0123456789abcdee", "abcdeg.0123456789abcdef", "abcdef0123456789abcdef", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcdeff", ""}) {
    EXPECT_FALSE(user(wrong)) << wrong;
  }
}

TEST_F(Tokens, MustBeAllowed) {
  auto without = [&](std::string_view key, std::string_view value) {
    api::core_v1::Secret saved = secret;
    secret.data[key] = value;
    bool known = user().has_value();
    secret = saved;
    return !known;
  };
  EXPECT_TRUE(without("usage-bootstrap-authentication", "yes"));
  EXPECT_TRUE(without("expiration", "2020-01-01T00:00:00Z"));
  EXPECT_TRUE(without("expiration", "tomorrow"));
  EXPECT_FALSE(without("expiration", "2999-01-01T00:00:00Z"));
  EXPECT_TRUE(without("token-id", "abcdeg"));
  EXPECT_TRUE(without("token-secret", ""));
  EXPECT_TRUE(without("auth-extra-groups", "system:masters"));
  EXPECT_TRUE(without("auth-extra-groups", "system:bootstrappers:"));
  secret.type = "Opaque";
  EXPECT_FALSE(user());
}

}  // namespace
}  // namespace km::authn
