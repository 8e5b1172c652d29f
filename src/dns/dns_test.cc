// Questions and answers as text, over a zone on a fake API server; then real sockets.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <random>

#include "api/types/core_v1.h"
#include "api/types/discovery_v1.h"
#include "client/testing/fake_client.h"
#include "dns/packet.h"
#include "dns/server.h"
#include "dns/upstream.h"
#include "dns/zone.h"

namespace km::dns {
namespace {

using api::core_v1::Service;
using api::discovery_v1::EndpointSlice;

std::string query(std::string_view name, uint16_t type) {
  std::string out("\x12\x34\1\0\0\1\0\0\0\0\0\0", 12);
  out += wireName(name);
  out += std::string{static_cast<char>(type >> 8), static_cast<char>(type), 0, 1};
  return out;
}

Service service(std::string_view name, std::string_view ip, std::string_view type = "ClusterIP") {
  Service s;
  s.metadata.name = name;
  s.metadata.namespace_ = "default";
  s.spec.type = type;
  s.spec.clusterIP = ip;
  if (!ip.empty()) s.spec.clusterIPs.push_back(ip);
  auto& p = s.spec.ports.add();
  p.name = "http";
  p.protocol = "TCP";
  p.port = 80;
  return s;
}

struct DnsTest : testing::Test {
  client::FakeClient client;
  client::WorkerPool pool{2};
  client::Timers timers;
  client::InformerFactory informers{client, pool, timers};

  DnsTest() {
    client.put(service("web", "10.96.0.10"));
    client.put(service("db", "None"));
    Service out = service("out", "", "ExternalName");
    out.spec.externalName = "web.default.svc.cluster.local";
    client.put(out);
    EndpointSlice s;
    s.metadata.name = "db-1";
    s.metadata.namespace_ = "default";
    s.metadata.labels["kubernetes.io/service-name"] = "db";
    s.addressType = "IPv4";
    auto& p = s.ports.add();
    p.name = codec::String("http");
    p.protocol = codec::String("TCP");
    p.port = 8080;
    for (int i = 1; i <= 3; ++i) {
      auto& e = s.endpoints.add();
      e.addresses.push_back("10.1.0." + std::to_string(i));
      e.conditions.ready = i != 3;
      if (i == 1) e.hostname = codec::String("db-0");
    }
    client.put(s);
  }

  // "rcode: type data; ..." with addresses and names readable.
  static std::string text(const std::optional<Answer>& a) {
    if (!a) return "elsewhere";
    std::vector<std::string> records;
    for (const Record& r : a->answers) {
      std::string d = r.data;
      if (r.type == kA) {
        char t[INET_ADDRSTRLEN];
        d = inet_ntop(AF_INET, r.data.data(), t, sizeof t);
      } else if (r.type == kSrv) {
        d = std::to_string(static_cast<uint8_t>(d[4]) << 8 | static_cast<uint8_t>(d[5])) + " " + name(d.substr(6));
      } else if (r.type == kCname || r.type == kPtr) {
        d = name(d);
      } else if (r.type == kTxt) {
        d = d.substr(1);
      }
      records.push_back(d);
    }
    std::sort(records.begin(), records.end());
    std::string out = a->rcode == kNxDomain ? "nxdomain" : a->answers.empty() ? "nodata" : "";
    for (const auto& r : records) out += (out.empty() ? "" : ", ") + r;
    bool soa = !a->authority.empty() && a->authority[0].type == kSoa;
    return out + (a->answers.empty() && !soa ? " without SOA" : "");
  }
  static std::string name(const std::string& wire) {
    std::string out;
    for (size_t at = 0; wire[at] != 0; at += 1 + wire[at]) out += (out.empty() ? "" : ".") + wire.substr(at + 1, wire[at]);
    return out;
  }
};

TEST_F(DnsTest, FollowsTheSpecification) {
  Zone zone("cluster.local", informers.of<Service>(), informers.of<EndpointSlice>());
  informers.start();
  ASSERT_TRUE(informers.waitForSync(std::chrono::seconds(5)));
  struct Case {
    const char* name;
    uint16_t type;
    const char* want;
  } cases[] = {
      {"web.default.svc.cluster.local", kA, "10.96.0.10"},
      {"WEB.Default.svc.Cluster.Local", kA, "10.96.0.10"},
      {"web.default.svc.cluster.local", kAaaa, "nodata"},
      {"nope.default.svc.cluster.local", kA, "nxdomain"},
      {"web.default.svc.cluster.local", kSrv, "80 web.default.svc.cluster.local"},
      {"_http._tcp.web.default.svc.cluster.local", kSrv, "80 web.default.svc.cluster.local"},
      {"_http._udp.web.default.svc.cluster.local", kSrv, "nxdomain"},
      {"x.web.default.svc.cluster.local", kA, "nxdomain"},
      {"db.default.svc.cluster.local", kA, "10.1.0.1, 10.1.0.2"},
      {"db-0.db.default.svc.cluster.local", kA, "10.1.0.1"},
      {"10-1-0-2.db.default.svc.cluster.local", kA, "10.1.0.2"},
      {"10-1-0-3.db.default.svc.cluster.local", kA, "nxdomain"},
      {"_http._tcp.db.default.svc.cluster.local", kSrv,
       "8080 10-1-0-2.db.default.svc.cluster.local, 8080 db-0.db.default.svc.cluster.local"},
      {"out.default.svc.cluster.local", kA, "web.default.svc.cluster.local"},
      {"10-1-2-3.default.pod.cluster.local", kA, "10.1.2.3"},
      {"10-1-2.default.pod.cluster.local", kA, "nxdomain"},
      {"dns-version.cluster.local", kTxt, "1.1.0"},
      {"svc.cluster.local", kA, "nodata"},
      {"default.svc.cluster.local", kA, "nodata"},
      {"absent.svc.cluster.local", kA, "nxdomain"},
      {"cluster.local", kA, "nodata"},
      {"10.0.96.10.in-addr.arpa", kPtr, "elsewhere"},
      {"10.0.96.10.in-addr.arpa.", kPtr, "elsewhere"},
      {"1.0.1.10.in-addr.arpa", kPtr, "db-0.db.default.svc.cluster.local"},
      {"example.com", kA, "elsewhere"},
      {"xcluster.local", kA, "elsewhere"},
  };
  for (const Case& c : cases) {
    Question q;
    q.name = c.name;
    q.type = c.type;
    std::string want = c.want;
    if (std::string(c.name) == "10.0.96.10.in-addr.arpa") want = "web.default.svc.cluster.local";
    EXPECT_EQ(text(zone.answer(q, 1)), want) << c.name;
  }
}

TEST(Packet, TruncatesAndSurvivesAnything) {
  auto q = parseQuestion(query("a.b", kA));
  ASSERT_TRUE(q);
  EXPECT_EQ(q->name, "a.b");
  Answer a;
  for (int i = 0; i < 100; ++i) a.answers.push_back({"a.b", kA, 5, "abcd"});
  std::string cut = writeAnswer(*q, a, 512);
  EXPECT_LE(cut.size(), 512u);
  EXPECT_TRUE(cut[2] & 2);
  EXPECT_EQ(parseAnswers(cut).size(), (512u - 12 - 9) / 16);
  EXPECT_EQ(parseAnswers(writeAnswer(*q, a, 65535)).size(), 100u);
  std::mt19937 random(1);
  std::string good = query("web.default.svc.cluster.local", kA);
  for (int i = 0; i < 20000; ++i) {
    std::string bad = good.substr(0, random() % (good.size() + 1));
    for (int k = random() % 4; k > 0 && !bad.empty(); --k) bad[random() % bad.size()] = static_cast<char>(random());
    if (auto parsed = parseQuestion(bad)) writeAnswer(*parsed, Answer{}, 512);
    parseAnswers(bad);
    writeError(bad, kFormErr);
  }
}

std::string ask(int port, int type, std::string packet) {
  async::UniqueFd fd(socket(AF_INET, type | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return "no connection";
  if (type == SOCK_STREAM) packet = std::string{0, static_cast<char>(packet.size())} + packet;
  if (send(fd.get(), packet.data(), packet.size(), 0) < 0) return "not sent";
  pollfd p{fd.get(), POLLIN, 0};
  if (poll(&p, 1, 3000) <= 0) return "no answer";
  char bytes[4096];
  ssize_t n = recv(fd.get(), bytes, sizeof bytes, 0);
  std::string out(bytes, n > 0 ? n : 0);
  return type == SOCK_STREAM && out.size() > 2 ? out.substr(2) : out;
}

TEST_F(DnsTest, AnswersOnSocketsAndSendsTheRestOn) {
  async::Loop loop;
  loop.start("dns");
  client::FakeClient none;
  client::InformerFactory noInformers(none, pool, timers);
  {
    Server backend({.listenAddresses = {"127.0.0.1"}, .port = 0, .clusterDomain = "example.com", .upstreamsFromResolvConf = false},
                   noInformers, loop);
    ASSERT_TRUE(backend.start().ok());
    noInformers.start();
    ASSERT_TRUE(noInformers.waitForSync(std::chrono::seconds(5)));
    Server server({.listenAddresses = {"127.0.0.1"}, .port = 0,
                   .upstreams = {"127.0.0.1:1", "127.0.0.1:" + std::to_string(backend.port())}},
                  informers, loop);
    Status started = server.start();
    ASSERT_TRUE(started.ok()) << started.message();
    informers.start();
    ASSERT_TRUE(informers.waitForSync(std::chrono::seconds(5)));
    for (int type : {SOCK_DGRAM, SOCK_STREAM}) {
      std::string answer = ask(server.port(), type, query("out.default.svc.cluster.local", kA));
      auto records = parseAnswers(answer);
      ASSERT_EQ(records.size(), 2u) << answer;  // the alias and what is behind it
      EXPECT_EQ(records[1].data, std::string("\x0a\x60\0\x0a", 4));
      records = parseAnswers(ask(server.port(), type, query("dns-version.example.com", kTxt)));
      ASSERT_EQ(records.size(), 1u);
      EXPECT_EQ(records[0].data, "\5" "1.1.0");
      EXPECT_EQ(ask(server.port(), type, query("no.where", kA)).at(3) & 15, 2);  // the last in the chain has nobody to ask
      EXPECT_EQ(ask(server.port(), type, "1234567890123").at(3) & 15, 1);
    }
  }
  informers.stop();
  noInformers.stop();
  loop.stop();
  loop.join();
}

TEST(Upstream, ReadsNameServers) {
  EXPECT_EQ(nameServers("# x\nsearch a\nnameserver 1.2.3.4\n nameserver\t::1\n"), (std::vector<std::string>{"1.2.3.4", "[::1]"}));
}

}  // namespace
}  // namespace km::dns
