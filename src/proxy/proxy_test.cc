// The proxy in a network namespace of its own with two pods on a bridge: real packets through real rules.
#include "proxy/proxy.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <functional>
#include <set>
#include <thread>

#include "api/types/core_v1.h"
#include "api/types/discovery_v1.h"
#include "async/socket.h"
#include "base/log.h"
#include "client/testing/fake_client.h"
#include "proxy/cni_config.h"
#include "proxy/nft.h"
#include "proxy/rules.h"

namespace km::proxy {
namespace {

using api::core_v1::Service;
using api::discovery_v1::EndpointSlice;
using async::UniqueFd;

// A thread in a network namespace of its own, which ends with it.
class Pod {
 public:
  Pod() : thread_([this] { run(); }) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return tid_ != 0; });
  }
  ~Pod() {
    {
      std::lock_guard lock(mutex_);
      end_ = true;
      changed_.notify_all();
    }
    thread_.join();
  }
  int tid() const { return tid_; }
  void in(std::function<void()> f) {
    std::unique_lock lock(mutex_);
    job_ = std::move(f);
    changed_.notify_all();
    changed_.wait(lock, [&] { return job_ == nullptr; });
  }

 private:
  void run() {
    int failed = unshare(CLONE_NEWNET);
    std::unique_lock lock(mutex_);
    tid_ = failed ? -1 : gettid();
    changed_.notify_all();
    for (;;) {
      changed_.wait(lock, [&] { return end_ || job_; });
      if (end_) return;
      job_();
      job_ = nullptr;
      changed_.notify_all();
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> job_;
  bool end_ = false;
  int tid_ = 0;
  std::thread thread_;
};

bool ip(const std::string& args) { return std::system(("ip " + args + " >/dev/null 2>&1").c_str()) == 0; }

UniqueFd listenOn(const char* address, int port, int type) {
  UniqueFd fd(socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  int one = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in a{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
  inet_pton(AF_INET, address, &a.sin_addr);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) != 0) return {};
  if (type == SOCK_STREAM) listen(fd.get(), 16);
  return fd;
}

// 0, or the error of the connection; ETIMEDOUT after half a second.
int connectTo(const char* address, int port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in a{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
  inet_pton(AF_INET, address, &a.sin_addr);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  pollfd p{fd.get(), POLLOUT, 0};
  if (poll(&p, 1, 500) <= 0) return ETIMEDOUT;
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

// The peer's address of the connection that waits; "" if none.
std::string accepted(const UniqueFd& listener) {
  pollfd p{listener.get(), POLLIN, 0};
  if (poll(&p, 1, 20) <= 0) return "";
  sockaddr_in a{};
  socklen_t size = sizeof a;
  UniqueFd fd(accept4(listener.get(), reinterpret_cast<sockaddr*>(&a), &size, SOCK_CLOEXEC));
  char text[INET_ADDRSTRLEN];
  return inet_ntop(AF_INET, &a.sin_addr, text, sizeof text);
}

Service service(std::string_view name, std::string_view clusterIp, int nodePort = 0) {
  Service s;
  s.metadata.name = name;
  s.metadata.namespace_ = "default";
  s.spec.type = nodePort ? "NodePort" : "ClusterIP";
  s.spec.clusterIP = clusterIp;
  s.spec.clusterIPs.push_back(clusterIp);
  auto& port = s.spec.ports.add();
  port.protocol = "TCP";
  port.port = 80;
  port.nodePort = nodePort;
  return s;
}

EndpointSlice slice(std::string_view service, std::vector<const char*> addresses) {
  EndpointSlice s;
  s.metadata.name = std::string(service) + "-1";
  s.metadata.namespace_ = "default";
  s.metadata.labels["kubernetes.io/service-name"] = service;
  s.addressType = "IPv4";
  auto& port = s.ports.add();
  port.name = codec::String("");
  port.protocol = codec::String("TCP");
  port.port = 8080;
  for (const char* a : addresses) {
    auto& e = s.endpoints.add();
    e.addresses.push_back(a);
    e.conditions.ready = true;
    e.nodeName = codec::String("node-1");
  }
  return s;
}

void waitForSyncs(const Proxy& proxy, int64_t more) {
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (proxy.syncs() < more && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  ASSERT_GE(proxy.syncs(), more);
}

void proxyOnNode(Pod& a, Pod& b) {
  ip("link set lo up");
  ASSERT_TRUE(ip("link add br0 type bridge") && ip("addr add 10.244.0.1/24 dev br0") && ip("link set br0 up"));
  ASSERT_TRUE(ip("link add ext type veth peer name ext1") && ip("addr add 192.168.77.1/24 dev ext") && ip("link set ext up"));
  ip("link set ext1 up");
  ip("route add default dev ext");  // cluster IPs need some route, as on any node
  int n = 0;
  for (Pod* pod : {&a, &b}) {
    std::string v = "v" + std::to_string(++n), address = "10.244.0." + std::to_string(n + 1) + "/24";
    ASSERT_TRUE(ip("link add " + v + " type veth peer name eth0 netns " + std::to_string(pod->tid())));
    ASSERT_TRUE(ip("link set " + v + " master br0 up") && ip("link set " + v + " type bridge_slave hairpin on"));
    pod->in([&] {
      ip("link set lo up");
      ASSERT_TRUE(ip("addr add " + address + " dev eth0") && ip("link set eth0 up") && ip("route add default via 10.244.0.1"));
    });
  }
  UniqueFd atA, atB;
  a.in([&] { atA = listenOn("10.244.0.2", 8080, SOCK_STREAM); });
  b.in([&] { atB = listenOn("10.244.0.3", 8080, SOCK_STREAM); });

  client::FakeClient client;
  client::WorkerPool pool(2);
  client::Timers timers;
  client::InformerFactory informers(client, pool, timers);
  client.put(service("web", "10.96.0.10", 30080));
  client.put(service("none", "10.96.0.11"));
  client.put(slice("web", {"10.244.0.2", "10.244.0.3"}));
  Service sticky = service("sticky", "10.96.0.12");
  sticky.spec.sessionAffinity = "ClientIP";
  client.put(sticky);
  client.put(slice("sticky", {"10.244.0.2", "10.244.0.3"}));
  Proxy proxy({.nodeName = "node-1", .nodeIps = {"10.244.0.1"}, .clusterCidr = "10.244.0.0/24",
               .minSyncPeriod = std::chrono::milliseconds(1)},
              informers, pool, timers);
  Status started = proxy.start();
  ASSERT_TRUE(started.ok()) << started.message();
  informers.start();
  waitForSyncs(proxy, 1);

  int toA = 0, toB = 0;
  std::set<std::string> peers;
  auto count = [&] {
    if (std::string p = accepted(atA); !p.empty()) ++toA, peers.insert(p);
    if (std::string p = accepted(atB); !p.empty()) ++toB, peers.insert(p);
  };
  for (int i = 0; i < 24; ++i) {  // from the node: masqueraded, to both pods
    ASSERT_EQ(connectTo("10.96.0.10", 80), 0) << i;
    count();
  }
  EXPECT_GT(toA, 0);
  EXPECT_GT(toB, 0);
  EXPECT_EQ(peers, std::set<std::string>{"10.244.0.1"});
  toA = toB = 0;
  peers.clear();
  for (int i = 0; i < 24; ++i) {  // from pod a: to b as itself, to itself as the node
    a.in([&] { ASSERT_EQ(connectTo("10.96.0.10", 80), 0) << i; });
    count();
  }
  EXPECT_GT(toA, 0);
  EXPECT_GT(toB, 0);
  EXPECT_EQ(peers, (std::set<std::string>{"10.244.0.1", "10.244.0.2"}));
  a.in([&] { EXPECT_EQ(connectTo("10.244.0.1", 30080), 0); });
  EXPECT_EQ(connectTo("10.244.0.1", 30080), 0);
  count(), count();
  a.in([&] { EXPECT_EQ(connectTo("10.96.0.11", 80), ECONNREFUSED); });
  EXPECT_EQ(connectTo("10.96.0.11", 80), ECONNREFUSED);
  EXPECT_EQ(connectTo("10.96.0.10", 81), ECONNREFUSED);  // no such port
  toA = toB = 0;
  for (int i = 0; i < 8; ++i) {
    ASSERT_EQ(connectTo("10.96.0.12", 80), 0) << i;
    count();
  }
  EXPECT_TRUE(toA == 8 || toB == 8) << toA << " " << toB;

  int64_t before = proxy.syncs();
  client.put(slice("web", {"10.244.0.3"}));
  waitForSyncs(proxy, before + 1);
  toA = toB = 0;
  for (int i = 0; i < 8; ++i) {
    ASSERT_EQ(connectTo("10.96.0.10", 80), 0);
    count();
  }
  EXPECT_EQ(toA, 0);
  EXPECT_EQ(toB, 8);
  before = proxy.syncs();
  client.put(slice("web", {}));
  waitForSyncs(proxy, before + 1);
  EXPECT_EQ(connectTo("10.96.0.10", 80), ECONNREFUSED);
  proxy.stop();
  EXPECT_TRUE(Proxy::cleanup().ok());
  EXPECT_FALSE(runNft("list table ip km-proxy").ok());
}

TEST(Proxy, ServesRealConnections) {
  if (geteuid() != 0 || !ip("-V")) GTEST_SKIP() << "needs root and ip";
  Pod node, a, b;
  if (node.tid() < 0 || a.tid() < 0) GTEST_SKIP() << "no network namespaces here";
  bool nft = false;
  node.in([&] { nft = runNft("add table ip probe\ndelete table ip probe").ok(); });
  if (!nft) GTEST_SKIP() << "no nftables in this kernel";
  setLogSink([&](Severity severity, std::string_view line) {
    if (severity >= Severity::ERROR) ADD_FAILURE() << line;  // each difference is accepted at once
  });
  node.in([&] { proxyOnNode(a, b); });
  setLogSink(nullptr);
}

template <typename T>
std::shared_ptr<const T> share(T value) {
  return std::make_shared<const T>(std::move(value));
}

std::string elements(const Table& t, const std::string& set) {
  std::string out;
  for (const auto& [key, value] : t.sets.at(set).elements) {
    out += key + (value.empty() ? "" : " : " + value) + "\n";
  }
  return out;
}

TEST(Rules, PutFrontendsAndEndpointsIntoMaps) {
  Snapshot s;
  s.services = {share(service("web", "10.96.0.10", 30080)), share(service("none", "10.96.0.11"))};
  EndpointSlice e = slice("web", {"10.1.0.1", "10.1.0.2", "10.1.0.3"});
  e.endpoints[1].nodeName = codec::String("node-2");
  e.endpoints[2].conditions.ready = false;
  s.slices = {share(e)};
  RuleOptions o{.nodeName = "node-1", .nodeIps = {"192.168.0.1"}, .clusterCidrs = {"10.1.0.0/16"}};
  Table t = makeTable(s, o, Family::kIpv4);
  EXPECT_EQ(elements(t, "services"), "10.96.0.10 . tcp . 80 : goto endpoints-o-2\n");
  EXPECT_EQ(elements(t, "endpoints"),
            "10.96.0.10 . tcp . 80 . 0 : 10.1.0.1 . 8080\n10.96.0.10 . tcp . 80 . 1 : 10.1.0.2 . 8080\n");
  EXPECT_EQ(elements(t, "no-endpoints"), "10.96.0.11 . tcp . 80 : goto reject-all\n");
  EXPECT_EQ(elements(t, "nodeports"), "tcp . 30080 : goto node-endpoints-a-2\n");
  EXPECT_EQ(elements(t, "hairpins"), "10.1.0.1 . 10.1.0.1\n");
  EXPECT_TRUE(makeTable(s, o, Family::kIpv6).chains.empty());

  Service local = service("web", "10.96.0.10", 30080);
  local.spec.externalTrafficPolicy = "Local";
  s.services = {share(local)};
  t = makeTable(s, o, Family::kIpv4);
  EXPECT_EQ(elements(t, "nodeports"), "tcp . 30080 : goto node-endpoints-n-1\n");
  EXPECT_EQ(elements(t, "nodeports-from-pods"), "tcp . 30080 : goto node-endpoints-from-pods-n-2\n");
  o.nodeName = "node-3";
  t = makeTable(s, o, Family::kIpv4);
  EXPECT_EQ(elements(t, "no-endpoints-nodeports"), "tcp . 30080 : goto drop-all\n");

  for (auto& x : e.endpoints) x.conditions.ready = false;  // none is ready: those that serve while they end
  e.endpoints[1].conditions.serving = e.endpoints[1].conditions.terminating = true;
  s.slices = {share(e)};
  t = makeTable(s, o, Family::kIpv4);
  EXPECT_EQ(elements(t, "endpoints"), "10.96.0.10 . tcp . 80 . 0 : 10.1.0.2 . 8080\n");
}

TEST(Rules, DifferencesHoldOnlyWhatChanged) {
  Snapshot s;
  s.services = {share(service("web", "10.96.0.10"))};
  s.slices = {share(slice("web", {"10.1.0.1", "10.1.0.2"}))};
  RuleOptions o{.nodeName = "node-2"};
  Table before = makeTable(s, o, Family::kIpv4);
  EXPECT_EQ(difference("ip t", &before, before), "");
  s.slices = {share(slice("web", {"10.1.0.1", "10.1.0.3"}))};
  for (auto& e : const_cast<EndpointSlice&>(*s.slices[0]).endpoints) e.nodeName.reset();
  Table after = makeTable(s, o, Family::kIpv4);
  EXPECT_EQ(difference("ip t", &before, after),
            "add table ip t\n"
            "delete element ip t endpoints { 10.96.0.10 . tcp . 80 . 1 : 10.1.0.2 . 8080 }\n"
            "add element ip t endpoints { 10.96.0.10 . tcp . 80 . 1 : 10.1.0.3 . 8080 }\n");
}

// Every shape of rule, in both families, is what the kernel takes, and can be changed and emptied.
TEST(Rules, AreAcceptedByTheKernel) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  Pod node;
  bool nft = false;
  if (node.tid() > 0) node.in([&] { nft = runNft("add table ip probe\ndelete table ip probe").ok(); });
  if (!nft) GTEST_SKIP() << "no nftables here";
  for (Family family : {Family::kIpv4, Family::kIpv6}) {
    bool v4 = family == Family::kIpv4;
    Snapshot s;
    EndpointSlice e = slice("web", {v4 ? "10.1.0.1" : "fd01::1", v4 ? "10.1.0.2" : "fd01::2"});
    e.addressType = v4 ? "IPv4" : "IPv6";
    s.slices = {share(e)};
    Service web = service("web", v4 ? "10.96.0.10" : "fd96::10", 30080);
    RuleOptions o{.nodeName = "node-1", .nodeIps = {}, .clusterCidrs = {v4 ? "10.1.0.0/16" : "fd01::/64"}, .masqueradeLocal = true};
    std::string name = v4 ? "ip km-proxy" : "ip6 km-proxy";
    std::optional<Table> have;
    auto apply = [&](Service service) {
      s.services = {share(std::move(service))};
      Table wanted = makeTable(s, o, family);
      std::string commands = difference(name, have ? &*have : nullptr, wanted);
      Status done;
      node.in([&] { done = runNft(commands); });
      EXPECT_TRUE(done.ok()) << done.message() << "\n" << commands;
      have = wanted;
    };
    apply(web);
    web.spec.sessionAffinity = "ClientIP";
    apply(web);
    web.spec.externalTrafficPolicy = "Local";
    apply(web);
    web.spec.sessionAffinity = "None";
    web.spec.externalIPs.push_back(v4 ? "192.0.2.1" : "2001:db8::1");
    web.spec.ports[0].protocol = "UDP";
    apply(web);
    o.nodeIps = {v4 ? "192.168.0.1" : "fd02::1"};
    apply(web);
    s.slices.clear();
    apply(web);
  }
}

TEST(CniConfig, IsOnePluginListWithTheNodesRange) {
  std::string text = cniConflist({.name = "km", .bridge = "cni0", .podRanges = {{"10.244.0.0/24", "10.244.0.1"}}, .mtu = 0, .addressesDir = ""});
  EXPECT_NE(text.find("\"ranges\": [[{\"subnet\": \"10.244.0.0/24\", \"gateway\": \"10.244.0.1\"}]]"), std::string::npos) << text;
  EXPECT_NE(text.find("\"dst\": \"0.0.0.0/0\""), std::string::npos);
}

}  // namespace
}  // namespace km::proxy
