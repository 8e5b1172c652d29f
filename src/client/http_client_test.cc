#include "client/http_client.h"

#include <gtest/gtest.h>

#include <future>
#include <mutex>

#include "api/types/core_v1.h"
#include "client/http_codec.h"
#include "client/kubeconfig.h"
#include "codec/proto.h"
#include "http/server.h"

namespace km::client {
namespace {

using api::core_v1::ConfigMap;
using api::core_v1::ConfigMapList;
using std::chrono::seconds;

ConfigMap configMap(std::string_view name, std::string_view version) {
  ConfigMap c;
  c.metadata.name = name;
  c.metadata.namespace_ = "ns";
  c.metadata.resourceVersion = version;
  return c;
}

std::string enveloped(const void* o, const codec::TypeInfo& t) {
  std::string out;
  codec::encodeEnveloped(out, o, t, t.apiVersion);
  return out;
}

void appendField(std::string& out, int number, std::string_view bytes) {
  out += static_cast<char>(number << 3 | 2);
  for (size_t n = bytes.size(); true; n >>= 7) {
    out += static_cast<char>(n >= 128 ? (n & 127) | 128 : n);
    if (n < 128) break;
  }
  out += bytes;
}

std::string watchFrame(std::string_view type, const ConfigMap& c) {
  std::string extension, message;
  appendField(extension, 1, enveloped(&c, ConfigMap::kType));
  appendField(message, 1, type);
  appendField(message, 2, extension);
  auto n = static_cast<uint32_t>(message.size());
  std::string out{static_cast<char>(n >> 24), static_cast<char>(n >> 16), static_cast<char>(n >> 8), static_cast<char>(n)};
  return out + message;
}

// Answers from a script.
struct FakeServer : http::Handler {
  std::mutex mutex;
  std::vector<std::string> seen;
  std::vector<std::string> authorizations;
  int busy = 0;  // so many answers of 429 first

  void handle(std::shared_ptr<http::Exchange> e) override {
    const http::Request& r = e->request();
    std::string line = r.method + " " + r.path + (r.query.empty() ? "" : "?" + r.query);
    {
      std::lock_guard lock(mutex);
      seen.push_back(line);
      authorizations.emplace_back(r.headers.get("authorization"));
      if (busy > 0) {
        busy--;
        return e->respond(429, {{"retry-after", "1"}}, "busy");
      }
    }
    http::Headers proto{{"content-type", kProtobufType}};
    if (r.query.find("watch=true") != std::string::npos) {
      e->start(200, {{"content-type", "application/vnd.kubernetes.protobuf;stream=watch"}});
      std::string bytes = watchFrame("ADDED", configMap("a", "5")) + watchFrame("BOOKMARK", configMap("", "9"));
      e->write(bytes.substr(0, 11));
      e->write(bytes.substr(11));
      return e->finish();
    }
    if (r.path.ends_with("/configmaps") && r.method == "GET") {
      ConfigMapList list;
      list.metadata.resourceVersion = "7";
      list.items.push_back(configMap("a", "5"));
      list.items.push_back(configMap("b", "6"));
      return e->respond(200, proto, enveloped(&list, ConfigMapList::kType));
    }
    if (r.path.ends_with("/missing")) {
      return e->respond(404, {{"content-type", "application/json"}},
                        R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"configmaps \"missing\" not found","reason":"NotFound","details":{"name":"missing","kind":"configmaps"},"code":404})");
    }
    if (r.method == "DELETE") {
      return e->respond(200, {{"content-type", "application/json"}},
                        R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"})");
    }
    if (r.method == "POST" || r.method == "PUT") return e->respond(201, proto, r.body);
    ConfigMap c = configMap("x", "5");
    e->respond(200, proto, enveloped(&c, ConfigMap::kType));
  }
};

struct HttpClientTest : testing::Test {
  async::LoopGroup loops{1, "server"};
  std::shared_ptr<FakeServer> handler = std::make_shared<FakeServer>();
  http::Server server{loops, handler};
  async::LoopGroup clientLoops{1, "client"};
  std::unique_ptr<Client> client;

  void SetUp() override {
    auto port = server.listen("127.0.0.1", 0, nullptr);
    ASSERT_TRUE(port.ok());
    RestConfig config;
    config.server = "http://127.0.0.1:" + std::to_string(*port) + "/base/";
    config.token = "secret";
    auto made = makeHttpClient(clientLoops.at(0), config);
    ASSERT_TRUE(made.ok());
    client = std::move(*made);
  }
  Target at(std::string_view name) { return target(ConfigMap::kType, "ns", name); }
};

TEST_F(HttpClientTest, VerbsBecomeRequests) {
  auto got = client->get(at("x"));
  ASSERT_TRUE(got.ok()) << got.status().message();
  EXPECT_EQ((*got)->name(), "x");
  auto list = client->list(at(""), {.labelSelector = "a=b,c", .resourceVersion = "0"});
  ASSERT_TRUE(list.ok());
  EXPECT_EQ(list->items.size(), 2u);
  EXPECT_EQ(list->resourceVersion, 7);
  EXPECT_EQ(list->items[1]->name(), "b");
  auto made = client->create(at(""), api::Object::of(configMap("new", "")), {.fieldManager = "me"});
  ASSERT_TRUE(made.ok());
  EXPECT_EQ((*made)->name(), "new");
  EXPECT_TRUE(client->remove(at("x"), {.propagationPolicy = "Background"}).ok());
  std::lock_guard lock(handler->mutex);
  EXPECT_EQ(handler->seen,
            (std::vector<std::string>{"GET /base/api/v1/namespaces/ns/configmaps/x",
                                      "GET /base/api/v1/namespaces/ns/configmaps?labelSelector=a%3Db%2Cc&resourceVersion=0",
                                      "POST /base/api/v1/namespaces/ns/configmaps?fieldManager=me",
                                      "DELETE /base/api/v1/namespaces/ns/configmaps/x"}));
  EXPECT_EQ(handler->authorizations[0], "Bearer secret");
}

TEST_F(HttpClientTest, ErrorsAreTheServersStatus) {
  auto got = client->get(at("missing"));
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.status().code(), 404);
  EXPECT_TRUE(got.status().is("NotFound"));
  EXPECT_EQ(got.status().message(), "configmaps \"missing\" not found");
  EXPECT_EQ(got.status().details()->name, "missing");
}

TEST_F(HttpClientTest, ABusyServerIsAskedAgain) {
  handler->busy = 1;
  EXPECT_TRUE(client->get(at("x")).ok());
  EXPECT_EQ(handler->seen.size(), 2u);
}

TEST_F(HttpClientTest, WatchesAreStreamsOfFrames) {
  struct Sink : WatchSink {
    std::vector<std::string> lines;
    std::promise<Status> ended;
    void onEvent(const WatchEvent& e) override {
      lines.push_back((e.type == EventType::kBookmark ? "bookmark " : "object ") +
                      std::to_string(e.object->resourceVersion()));
    }
    void onEnd(const Status& why) override { ended.set_value(why); }
  };
  auto sink = std::make_shared<Sink>();
  auto watch = client->watch(at(""), {.resourceVersion = "4"}, sink);
  EXPECT_TRUE(sink->ended.get_future().get().ok());
  EXPECT_EQ(sink->lines, (std::vector<std::string>{"object 5", "bookmark 9"}));
}

TEST(KubeconfigTest, NamesServerAndCredentials) {
  std::string ns;
  auto c = parseKubeconfig(R"(
apiVersion: v1
kind: Config
current-context: me@here
clusters:
- name: here
  cluster: {server: "https://10.0.0.1:6443", certificate-authority: pki/ca.crt}
- name: there
  cluster:
    server: https://there
    insecure-skip-tls-verify: true
users:
- name: me
  user:
    client-certificate-data: aGVsbG8=
    token: abc
contexts:
- context: {cluster: here, user: me, namespace: dev}
  name: me@here
)",
                           "/etc/km", {}, &ns);
  ASSERT_TRUE(c.ok()) << c.status().message();
  EXPECT_EQ(c->server, "https://10.0.0.1:6443");
  EXPECT_EQ(c->caFile, "/etc/km/pki/ca.crt");
  EXPECT_EQ(c->certData, "hello");
  EXPECT_EQ(c->token, "abc");
  EXPECT_EQ(ns, "dev");
  auto bad = parseKubeconfig("current-context: nobody", "");
  EXPECT_EQ(bad.status().message(), "context \"nobody\" does not exist");
}

}  // namespace
}  // namespace km::client
