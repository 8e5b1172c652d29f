#include "pki/tokens.h"

#include <gtest/gtest.h>

#include "base/base64.h"
#include "base/strings.h"
#include "pki/detail/json.h"
#include "pki/jws.h"

namespace km::pki {
namespace {

constexpr WallTime kNow{1'800'000'000, 0};

TokenClaims claims() {
  TokenClaims c =
      boundClaims("https://kubernetes.default.svc", "ns", {"default", "sa-uid"}, {"api"}, kNow, 3600);
  c.pod = ObjectRef{"web", "pod-uid"};
  c.node = ObjectRef{"n1", "node-uid"};
  c.warnAfter = kNow.seconds + 3607;
  return c;
}

TEST(Tokens, ClaimsReadAsUpstreams) {
  TokenClaims c = claims();
  c.id = "the-id";
  EXPECT_EQ(
      claimsJson(c),
      R"({"aud":["api"],"exp":1800003600,"iat":1800000000,"iss":"https://kubernetes.default.svc","jti":"the-id",)"
      R"("kubernetes.io":{"namespace":"ns","node":{"name":"n1","uid":"node-uid"},"pod":{"name":"web","uid":"pod-uid"},)"
      R"("serviceaccount":{"name":"default","uid":"sa-uid"},"warnafter":1800003607},"nbf":1800000000,)"
      R"("sub":"system:serviceaccount:ns:default"})");
  EXPECT_EQ(
      claimsJson(legacyClaims("ns", {"default", "sa-uid"}, "secret-1")),
      R"({"iss":"kubernetes/serviceaccount","kubernetes.io/serviceaccount/namespace":"ns",)"
      R"("kubernetes.io/serviceaccount/secret.name":"secret-1",)"
      R"("kubernetes.io/serviceaccount/service-account.name":"default",)"
      R"("kubernetes.io/serviceaccount/service-account.uid":"sa-uid","sub":"system:serviceaccount:ns:default"})");
}

TEST(Tokens, SignedByEitherKindOfKey) {
  for (KeyKind kind : {KeyKind::kEcdsaP256, KeyKind::kRsa2048}) {
    Key key = Key::generate(kind).value();
    std::string token = signToken(key, claims()).value();
    EXPECT_EQ(
        base64UrlDecode(split(token, '.')[0]).value(),
        std::string(R"({"alg":")") + (key.isRsa() ? "RS256" : "ES256") + R"(","kid":")" + key.id() + "\"}");
    EXPECT_EQ(unverifiedIssuer(token), "https://kubernetes.default.svc");
    TokenVerifier verifier({Key::generate().value(), Key::fromPem(key.publicPem()).value()});
    Result<TokenClaims> read = verifier.verify(token);
    ASSERT_TRUE(read.ok()) << read.status().message();
    EXPECT_EQ(claimsJson(*read), claimsJson(*parseClaims(claimsJson(*read))));
    EXPECT_EQ(read->pod->uid, "pod-uid");
    EXPECT_EQ(read->audiences, std::vector<std::string>{"api"});
    EXPECT_EQ(read->warnAfter, kNow.seconds + 3607);
  }
}

TEST(Tokens, LegacyOnesHaveNoTimes) {
  Key key = Key::generate().value();
  TokenClaims read =
      TokenVerifier({key}).verify(signToken(key, legacyClaims("ns", {"a", "u"}, "s")).value()).value();
  EXPECT_TRUE(read.legacy);
  EXPECT_EQ(read.secret->name, "s");
  EXPECT_EQ(read.serviceAccount.uid, "u");
  EXPECT_TRUE(checkTimes(read, kNow).ok());
}

TEST(Tokens, ForgeriesAreRefused) {
  Key key = Key::generate().value(), other = Key::generate().value();
  TokenVerifier verifier({key});
  EXPECT_EQ(verifier.verify(signToken(other, claims()).value()).status().message(),
            "invalid signature, no keys found");
  std::string token = signToken(key, claims()).value();
  auto parts = split(token, '.');
  std::string header(parts[0]), payload(parts[1]), signature(parts[2]);
  std::string otherPayload = base64UrlEncode(R"({"sub":"root"})");
  EXPECT_FALSE(verifier.verify(header + "." + otherPayload + "." + signature).ok());
  std::string none = base64UrlEncode(R"({"alg":"none"})");
  EXPECT_FALSE(verifier.verify(none + "." + payload + ".").ok());
  std::string hmac = base64UrlEncode(R"({"alg":"HS256","kid":")" + key.id() + "\"}");
  EXPECT_FALSE(verifier.verify(hmac + "." + payload + "." + signature).ok());
  std::string critical = base64UrlEncode(R"({"alg":"ES256","crit":["b64"],"b64":false})");
  EXPECT_FALSE(verifier.verify(critical + "." + payload + "." + signature).ok());
  for (const char* bad : {"", "a.b", "..", "a.b.c", "a.b.c.d", "e30.e30.e30"}) {
    EXPECT_FALSE(verifier.verify(bad).ok()) << bad;
  }
  // A token signed without a key id is tried with every key.
  EXPECT_TRUE(verifier.verify(token).ok());
}

TEST(Tokens, TimesHaveAMinuteOfLeeway) {
  TokenClaims c = claims();
  EXPECT_TRUE(checkTimes(c, kNow).ok());
  EXPECT_TRUE(checkTimes(c, {kNow.seconds + 3660, 0}).ok());
  EXPECT_EQ(checkTimes(c, {kNow.seconds + 3661, 0}).message(), "service account token has expired");
  EXPECT_TRUE(checkTimes(c, {kNow.seconds - 60, 0}).ok());
  EXPECT_EQ(checkTimes(c, {kNow.seconds - 61, 0}).message(), "service account token is not valid yet");
  c.notBefore.reset();
  EXPECT_EQ(checkTimes(c, {kNow.seconds - 61, 0}).message(), "service account token is issued in the future");
  EXPECT_FALSE(parseClaims(R"({"exp":"never"})").ok());
  EXPECT_EQ(parseClaims(R"({"aud":"one","exp":1.5e9})").value().expiry, 1'500'000'000);
}

// A fixed key, so that the bytes of the document are fixed too.
// are.
constexpr const char* kPublicKey =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEH6cuzP8XuD5wal6wf9M6xDljTOPL\n"
    "X2i8uIp/C/ASqiIGUeeKQtX0/IR3qCXyThP/dbCiHrF3v1cuhBOHY8CLVg==\n"
    "-----END PUBLIC KEY-----\n";

TEST(Tokens, DocumentsAboutKeys) {
  Key key = Key::fromPem(kPublicKey).value();
  EXPECT_EQ(jwks(std::vector{key}), R"({"keys":[{"use":"sig","kty":"EC","kid":")" + key.id() +
                                        R"(","crv":"P-256","alg":"ES256",)"
                                        R"("x":"H6cuzP8XuD5wal6wf9M6xDljTOPLX2i8uIp_C_ASqiI",)"
                                        R"("y":"BlHnikLV9PyEd6gl8k4T_3Wwoh6xd79XLoQTh2PAi1Y"}]})");
  Key rsa = Key::generate(KeyKind::kRsa2048).value();
  auto parsed = parseJson(jwks(std::vector{rsa}));
  const Json& entry = parsed->find("keys")->items[0];
  EXPECT_EQ(entry.stringAt("e"), "AQAB");
  EXPECT_EQ(entry.stringAt("n").size(), 342u);
  EXPECT_EQ(
      openIdConfiguration("https://i", "https://i/openid/v1/jwks", std::vector{key, rsa}),
      R"({"issuer":"https://i","jwks_uri":"https://i/openid/v1/jwks","response_types_supported":["id_token"],)"
      R"("subject_types_supported":["public"],"id_token_signing_alg_values_supported":["ES256","RS256"]})");
}

TEST(Json, Strict) {
  EXPECT_EQ(parseJson(R"( {"a":[1,-2.5e1,true,null,"\u00e9\ud83d\ude00\n"]} )")->find("a")->items[4].text,
            "\u00e9\U0001F600\n");
  for (const char* bad : {"", "{", "{\"a\":1,}", "[01]", "[1.]", "\"\\ud800\"", "{\"a\":1,\"a\":2}", "tru",
                          "1 2", "\"\x01\"", "[1,]", "{'a':1}"}) {
    EXPECT_FALSE(parseJson(bad)) << bad;
  }
  EXPECT_FALSE(parseJson(std::string(100'000, '[')));
  std::string out;
  appendJsonString(out, "a\"\\\n<\x01\u2028");
  EXPECT_EQ(out, "\"a\\\"\\\\\\n\\u003c\\u0001\\u2028\"");
}

}  // namespace
}  // namespace km::pki
