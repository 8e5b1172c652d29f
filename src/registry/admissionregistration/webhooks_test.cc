#include <gtest/gtest.h>

#include "registry/go_url.h"
#include "registry/kind_fixture.h"

namespace km::registry {
namespace {

std::string withWebhook(std::string_view more) {
  return R"({"metadata":{"name":"w"},"webhooks":[{"name":"a.example.com","sideEffects":"None","admissionReviewVersions":["v1"],)" + std::string(more) + "}]}";
}

std::string errorsOf(std::string_view more) {
  return Kind("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations").createErrors(withWebhook(more));
}

TEST(Webhooks, SayWhatTheyNeed) {
  Kind kind("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations");
  EXPECT_EQ(kind.createErrors(R"({"metadata":{"name":"w"},"webhooks":[{"name":"short"}]})"),
            "[webhooks[0].name: Invalid value: \"short\": should be a domain with at least three segments separated by dots, "
            "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun, "
            "webhooks[0].clientConfig: Required value: exactly one of url or service is required, "
            "webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1]");
}

TEST(Webhooks, ReachOnlyPlainHttpsUrls) {
  EXPECT_EQ(errorsOf(R"("clientConfig":{"url":"https://a.b:8443/x"})"), "");
  EXPECT_EQ(errorsOf(R"("clientConfig":{"url":"http://a.b?c"})"),
            "[webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path], "
            "webhooks[0].clientConfig.url: Invalid value: \"c\": query parameters are not permitted in the URL]");
  EXPECT_EQ(errorsOf(R"("clientConfig":{"url":"https://a.b:x"})"),
            "webhooks[0].clientConfig.url: Required value: url must be a valid URL: parse \"https://a.b:x\": invalid port \":x\" after host; "
            "desired format: https://host[/path]");
}

TEST(Webhooks, NamePathsOfServicesBySegments) {
  EXPECT_EQ(errorsOf(R"("clientConfig":{"service":{"namespace":"n","name":"s","path":"/a/b/"}})"), "");
  EXPECT_EQ(errorsOf(R"("clientConfig":{"service":{"namespace":"n","name":"s","path":"//"}})"),
            "webhooks[0].clientConfig.service.path: Invalid value: \"//\": segment[0] may not be empty");
}

TEST(Webhooks, RulesDoNotMixAllAndSome) {
  constexpr std::string_view kConfig = R"("clientConfig":{"url":"https://a.b"},"rules":[{"apiGroups":[""],"apiVersions":["v1"],)";
  EXPECT_EQ(errorsOf(std::string(kConfig) + R"("operations":["*"],"resources":["pods","pods/*"]}])"), "");
  EXPECT_EQ(errorsOf(std::string(kConfig) + R"("operations":["*","CREATE"],"resources":["pods/*","pods/log"]}])"),
            "[webhooks[0].rules[0].operations: Invalid value: [\"*\",\"CREATE\"]: if '*' is present, must not specify other operations, "
            "webhooks[0].rules[0].resources[1]: Invalid value: \"pods/log\": if 'pods/*' is present, must not specify pods/log]");
}

TEST(Webhooks, AnUpdateKeepsWhatWasStored) {
  Kind kind("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations");
  std::string old = R"({"metadata":{"name":"w"},"webhooks":[{"name":"a.example.com","sideEffects":"Some","admissionReviewVersions":["v9"],)"
                    R"("clientConfig":{"url":"https://a.b"}}]})";
  auto stored = kind.decode(old);
  stored->meta().resourceVersion = "1";
  EXPECT_EQ(kind.updateErrors(*stored, [](api::Object&) {}), "");
}

TEST(ApiService, IsNamedByVersionAndGroup) {
  Kind kind("apiregistration.k8s.io", "v1", "apiservices");
  constexpr std::string_view kSpec = R"("spec":{"group":"a.b","version":"v1","groupPriorityMinimum":1,"versionPriority":1}})";
  auto local = kind.created(R"({"metadata":{"name":"v1.a.b"},)" + std::string(kSpec));
  EXPECT_EQ(kind.createErrors(R"({"metadata":{"name":"v2.a.b"},)" + std::string(kSpec)),
            "metadata.name: Invalid value: \"v2.a.b\": must be `spec.version+\".\"+spec.group`: \"v1.a.b\"");
}

TEST(GoUrl, SaysWhatGoSays) {
  auto error = [](std::string_view text) { return parseGoUrl(text).status().message(); };
  EXPECT_EQ(error("://"), "parse \"://\": missing protocol scheme");
  EXPECT_EQ(error("a:b/c"), "");
  EXPECT_EQ(error("1a:b"), "parse \"1a:b\": first path segment in URL cannot contain colon");
  EXPECT_EQ(error("https://[::1"), "parse \"https://[::1\": missing ']' in host");
  EXPECT_EQ(error("https://a/%zz"), "parse \"https://a/%zz\": invalid URL escape \"%zz\"");
  EXPECT_EQ(error("https://a b/"), "parse \"https://a b/\": invalid character \" \" in host name");
  auto u = parseGoUrl("HTTPS://u:p@h:1/a?b=c#d");
  ASSERT_TRUE(u.ok());
  EXPECT_EQ(u->scheme + " " + *u->user + " " + u->host + " " + u->path + " " + u->query + " " + u->fragment, "https u:p h:1 /a b=c d");
}

}  // namespace
}  // namespace km::registry
