// What is decided about a request before an operation sees it: paths, types, options, tokens of lists.
#include <gtest/gtest.h>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "apiserver/compress.h"
#include "apiserver/continue_token.h"
#include "apiserver/decode.h"
#include "apiserver/impersonation.h"
#include "apiserver/media_type.h"
#include "apiserver/request_info.h"
#include "base/base64.h"

namespace km::apiserver {
namespace {

RequestInfo info(std::string_view method, std::string_view target) {
  size_t question = target.find('?');
  return readRequestInfo(method, target.substr(0, question),
                         Query(question == std::string_view::npos ? "" : target.substr(question + 1)));
}

TEST(RequestInfo, ReadsNamesAndVerbs) {
  RequestInfo i = info("GET", "/apis/apps/v1/namespaces/ns/deployments/web/scale");
  EXPECT_EQ(i.verb + " " + i.group + " " + i.ns + " " + i.resource + " " + i.name + " " + i.subresource,
            "get apps ns deployments web scale");
  EXPECT_EQ(info("GET", "/api/v1/pods?watch=0").verb, "list");
  EXPECT_EQ(info("GET", "/api/v1/pods?watch=maybe").verb, "watch");
  EXPECT_EQ(info("DELETE", "/api/v1/namespaces/ns/pods").verb, "deletecollection");
  EXPECT_EQ(info("GET", "/api/v1/namespaces/ns/configmaps?fieldSelector=metadata.name%3Da").name, "a");
}

// An escaped slash is a slash: upstream splits the decoded path.
TEST(RequestInfo, SplitsTheDecodedPath) {
  RequestInfo i = info("GET", "/api/v1/namespaces/ns/configmaps/a%2Fb");
  EXPECT_EQ(i.name + "|" + i.subresource, "a|b");
}

std::string negotiated(std::string_view accept, Forms forms) {
  auto f = negotiate(accept, "", false, "", forms);
  if (!f.ok()) return f.status().reason();
  const char* transforms[] = {"", " table", " metadata", " metadata list"};
  return std::string(f->contentType()) + transforms[static_cast<int>(f->transform)];
}

TEST(MediaType, FirstUsableClauseWins) {
  EXPECT_EQ(negotiated("", Forms::kTables), "application/json");
  EXPECT_EQ(negotiated("application/json;q=0.1, application/yaml;q=0.9", Forms::kPlain), "application/yaml");
  EXPECT_EQ(negotiated("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Forms::kTables),
            "application/json table");
  EXPECT_EQ(negotiated("application/json;as=Table;v=v1;g=meta.k8s.io", Forms::kMetadata), "NotAcceptable");
  EXPECT_EQ(negotiated("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", Forms::kTables),
            "application/json");
  EXPECT_EQ(negotiated("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io", Forms::kTables),
            "NotAcceptable");
  EXPECT_EQ(negotiated("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", Forms::kTables),
            "application/json metadata list");
}

TEST(Options, AreCheckedInUpstreamsOrder) {
  Call call;
  Status s = readWriteOptions(Query("dryRun=x&fieldManager=" + std::string(129, 'm') + "&fieldValidation=y"),
                              "CreateOptions", call);
  EXPECT_EQ(s.message(),
            "CreateOptions.meta.k8s.io \"\" is invalid: [fieldManager: Too long: may not be more than 128 "
            "bytes, dryRun: Unsupported value: "
            "[\"x\"]: supported values: \"All\", fieldValidation: Unsupported value: \"y\": supported "
            "values: \"\", \"Ignore\", \"Strict\", "
            "\"Warn\"]");
  Call apply;
  EXPECT_EQ(
      readWriteOptions(Query("force=true"), "PatchOptions", apply, true).message(),
      "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch");
  Call list;
  EXPECT_EQ(readListOptions(Query("limit=99999999999999999999"), list).message(),
            "strconv.ParseInt: parsing \"99999999999999999999\": value out of range");
}

TEST(Options, OfDeletionsAreReadLeniently) {
  Call call;
  auto o = readDeleteOptions(
      R"({"kind":"DeleteOptions","apiVersion":"nope.io/v1","nonsense":1,"gracePeriodSeconds":3})",
      Encoding::kJson, Query(""), call);
  ASSERT_TRUE(o.ok()) << o.status().message();
  EXPECT_EQ(o->gracePeriodSeconds, 3);
  EXPECT_TRUE(call.warnings.empty());
}

TEST(Body, NamesEmptyLists) {
  Call call;
  auto o = decodeBody(call, R"({"metadata":{"name":"a","managedFields":[ ]}})", Encoding::kJson,
                      api::core_v1::ConfigMap::kType);
  ASSERT_TRUE(o.ok());
  EXPECT_EQ((*o)->meta().managedFields.size(), 1u) << "one empty entry asks for a reset";
  EXPECT_TRUE(call.body);
}

TEST(Body, YamlDuplicatesAreStrictErrors) {
  Call call;
  call.fieldValidation = FieldValidation::kStrict;
  auto o = decodeBody(call, "metadata:\n  name: y\n  name: z\nfoo: 1\n", Encoding::kYaml,
                      api::core_v1::ConfigMap::kType);
  EXPECT_EQ(o.status().message(),
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: yaml: "
            "unmarshal errors:\n  line 3: key "
            "\"name\" already set in map, unknown field \"foo\"");
}

TEST(Body, DeepNestingIsRefused) {
  Call call;
  std::string deep = "{\"data\":" + std::string(20000, '[') + std::string(20000, ']') + "}";
  EXPECT_EQ(decodeBody(call, deep, Encoding::kJson, api::core_v1::ConfigMap::kType).status().code(), 400);
}

TEST(ContinueToken, SaysWhatIsWrong) {
  EXPECT_EQ(decodeContinue("!!!").status().message(),
            "invalid continue token: continue key is not valid: illegal base64 data at input byte 0");
  EXPECT_EQ(decodeContinue("garbage").status().message(),
            "invalid continue token: continue key is not valid: invalid character '\\u0081' looking for "
            "beginning of value");
  EXPECT_EQ(
      decodeContinue(base64UrlEncode(R"({"v":"meta.k8s.io/v1","rv":5,"start":"../x"})")).status().message(),
      "invalid continue token: continue key is not valid: ../x");
  auto token = decodeContinue(encodeContinue(7, "ns/a"));
  ASSERT_TRUE(token.ok());
  EXPECT_EQ(token->start, "ns/a");
}

TEST(Compress, TakesWhatTheClientTakes) {
  EXPECT_TRUE(acceptsGzip("deflate, gzip"));
  EXPECT_TRUE(acceptsGzip("gzip;q=0.5"));
  EXPECT_FALSE(acceptsGzip("gzip;q=0"));
  EXPECT_FALSE(acceptsGzip(""));
  http::Body packed = gzip(http::Body(std::string(1 << 20, 'x')));
  EXPECT_LT(packed.size(), 20000u);
}

// Allows what is named "verb resource name".
struct Allowing : authz::Authorizer {
  std::vector<std::string> allowed;
  authz::Answer authorize(const authz::Attributes& a) const override {
    std::string asked = std::string(a.verb) + " " + std::string(a.resource) + " " + std::string(a.name);
    bool ok = std::find(allowed.begin(), allowed.end(), asked) != allowed.end();
    return {ok ? authz::Decision::kAllow : authz::Decision::kNoOpinion, ""};
  }
};

std::string impersonated(const Allowing& a, http::Headers headers) {
  http::Request r;
  r.headers = std::move(headers);
  authn::UserInfo me;
  me.name = "me";
  ImpersonationModes modes;
  auto who = impersonate(r, info("GET", "/api/v1/nodes"), me, a, modes);
  if (!who.ok()) return who.status().message();
  if (!*who) return "";
  std::string out = (*who)->name;
  for (const std::string& g : (*who)->groups) out += " " + g;
  return out;
}

TEST(Impersonation, ConstrainedModesComeFirst) {
  Allowing a;
  EXPECT_EQ(impersonated(a, {}), "");
  EXPECT_EQ(impersonated(a, {{"impersonate-user", "bob"}}),
            "nodes is forbidden: User \"me\" cannot impersonate-on:user-info:list resource \"nodes\" in API "
            "group \"\" at the cluster scope");
  a.allowed = {"impersonate-on:user-info:list nodes ", "impersonate:user-info users bob"};
  EXPECT_EQ(impersonated(a, {{"impersonate-user", "bob"}}), "bob system:authenticated");
  EXPECT_NE(impersonated(a, {{"impersonate-user", "bob"}, {"impersonate-group", "system:masters"}})
                .find("forbidden"),
            std::string::npos);
  a.allowed = {"impersonate users bob", "impersonate groups devs"};
  EXPECT_EQ(impersonated(a, {{"impersonate-user", "bob"}, {"impersonate-group", "devs"}}),
            "bob devs system:authenticated");
  EXPECT_EQ(impersonated(a, {{"impersonate-group", "devs"}}),
            "requested a uid, groups or extra fields without impersonating a user name");
}

}  // namespace
}  // namespace km::apiserver
