// The smaller pure parts: environment, resources, DNS, logs, back-off, atomic files.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/files.h"
#include "codec/json.h"
#include "kubelet/atomic_writer.h"
#include "kubelet/backoff.h"
#include "kubelet/dns.h"
#include "kubelet/environment.h"
#include "kubelet/log_lines.h"
#include "kubelet/node_status.h"
#include "kubelet/resources.h"
#include "object/patch.h"

namespace km::kubelet {
namespace {

template <typename T>
T of(std::string_view json) {
  auto r = codec::fromJson<T>(json);
  EXPECT_TRUE(r.ok()) << r.status().message();
  return r.ok() ? *r : T();
}

class Objects : public ObjectSource {
 public:
  Result<std::shared_ptr<const v1::ConfigMap>> configMap(std::string_view, std::string_view name) override {
    if (name != "m") return errors::notFound({"", "configmaps"}, name);
    return std::make_shared<const v1::ConfigMap>(of<v1::ConfigMap>(R"({"data":{"k":"v","FOO":"from map"}})"));
  }
  Result<std::shared_ptr<const v1::Secret>> secret(std::string_view, std::string_view name) override { return errors::notFound({"", "secrets"}, name); }
};

TEST(Environment, IsMadeInOrder) {
  v1::Pod pod = of<v1::Pod>(R"json({"metadata":{"name":"p","namespace":"n","labels":{"a":"b"}},"spec":{"containers":[{"name":"c",
    "resources":{"limits":{"cpu":"1500m"}},
    "envFrom":[{"prefix":"P_","configMapRef":{"name":"m"}},{"secretRef":{"name":"none","optional":true}}],
    "env":[{"name":"A","value":"1"},{"name":"B","value":"$(A)-$(P_k)-$(DB_SERVICE_PORT)-$$(A)-$(NONE)"},
           {"name":"L","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['a']"}}},
           {"name":"IP","valueFrom":{"fieldRef":{"fieldPath":"status.podIP"}}},
           {"name":"CPU","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu"}}},
           {"name":"K","valueFrom":{"configMapKeyRef":{"name":"m","key":"k"}}}]}]}})json");
  auto service = std::make_shared<const v1::Service>(of<v1::Service>(R"({"metadata":{"name":"db","namespace":"n"},"spec":{"clusterIP":"10.96.0.7","ports":[{"name":"pg","port":5432,"protocol":"TCP"}]}})"));
  Objects objects;
  DownwardContext context{&pod, {"10.0.0.1"}, {"192.0.2.1"}, {}};
  auto env = makeEnvironment(context, pod.spec.containers[0], {service}, objects);
  ASSERT_TRUE(env.ok()) << env.status().message();
  std::map<std::string, std::string> m(env->begin(), env->end());
  EXPECT_EQ(m["P_FOO"], "from map");
  EXPECT_EQ(m["B"], "1-v-5432-$(A)-$(NONE)");
  EXPECT_EQ(m["L"], "b");
  EXPECT_EQ(m["IP"], "10.0.0.1");
  EXPECT_EQ(m["CPU"], "2");
  EXPECT_EQ(m["K"], "v");
  EXPECT_EQ(m["DB_SERVICE_HOST"], "10.96.0.7");
  EXPECT_EQ(m["DB_PORT_5432_TCP"], "tcp://10.96.0.7:5432");
  EXPECT_EQ(m["DB_SERVICE_PORT_PG"], "5432");
  pod.spec.containers[0].env.add().valueFrom.ensure().configMapKeyRef.ensure().name = "m";
  EXPECT_EQ(makeEnvironment(context, pod.spec.containers[0], {}, objects).status().message(), "couldn't find key  in ConfigMap n/m");
}

TEST(NodeStatus, IsPatchedWhereItDiffers) {
  api::core_v1::Node node = of<api::core_v1::Node>(R"json({"metadata":{"name":"n"},"status":{"capacity":{"cpu":"2","x":"1"},
    "addresses":[{"type":"InternalIP","address":"192.0.2.1"},{"type":"Hostname","address":"n"}],
    "conditions":[{"type":"Ready","status":"False"},{"type":"NetworkUnavailable","status":"False"}],"volumesInUse":["v"]}})json");
  api::core_v1::Node now = node;
  now.status.capacity["cpu"] = codec::Quantity(4, codec::Quantity::Format::kDecimalSI);
  now.status.addresses.clear();
  now.status.addresses.add().address = "192.0.2.7";
  now.status.addresses[0].type = "InternalIP";
  now.status.conditions[0].status = "True";
  std::string patch = nodeStatusPatch(node.status, now.status);
  EXPECT_EQ(patch.find("NetworkUnavailable"), std::string::npos) << patch;
  EXPECT_EQ(patch.find("volumesInUse"), std::string::npos) << patch;
  // What another wrote meanwhile stays.
  node.status.conditions.add().type = "Other";
  auto result = object::applyPatch(object::PatchKind::kStrategicMerge, *api::Object::of(node), patch, nullptr);
  ASSERT_TRUE(result.ok()) << result.status().message();
  const auto& got = (*result)->as<api::core_v1::Node>();
  now.status.conditions.add().type = "Other";
  EXPECT_EQ(codec::toJson(got.status), codec::toJson(now.status));
}

TEST(Resources, AreTranslated) {
  EXPECT_EQ(cpuShares(0), 2);
  EXPECT_EQ(cpuShares(100), 102);
  EXPECT_EQ(cpuQuota(250), 25000);
  EXPECT_EQ(cpuQuota(5), 1000);
  v1::Pod pod = of<v1::Pod>(R"({"metadata":{"uid":"u"},"spec":{"initContainers":[{"name":"i","resources":{"requests":{"cpu":"2"}}}],
    "containers":[{"name":"a","resources":{"requests":{"cpu":"500m","memory":"64Mi"},"limits":{"memory":"128Mi"}}},{"name":"b"}]}})");
  PodResources r = podResources(pod);
  EXPECT_EQ(r.cpuRequestMilli, 2000);
  EXPECT_EQ(r.memoryRequest, 64 << 20);
  EXPECT_EQ(r.memoryLimit, 0);  // b has none
  EXPECT_EQ(qosClass(pod), "Burstable");
  EXPECT_EQ(cgroupParent(pod), "/kubepods/burstable/podu");
  EXPECT_EQ(oomScoreAdj(pod, pod.spec.containers[0], 1 << 30), 938);
  EXPECT_EQ(oomScoreAdj(pod, pod.spec.containers[1], 1 << 30), 999);
}

TEST(Dns, FollowsThePolicy) {
  Options options;
  options.clusterDns = {"10.96.0.10"};
  v1::Pod pod = of<v1::Pod>(R"({"metadata":{"name":"p","namespace":"n"},"spec":{"dnsPolicy":"ClusterFirst","hostname":"h","subdomain":"s"}})");
  std::string_view host = "# a\nnameserver 1.1.1.1\nsearch\texample.org  .\noptions timeout:1\n";
  auto dns = podDns(options, pod, host);
  ASSERT_EQ(dns.servers.size(), 1u);
  EXPECT_EQ(dns.servers[0], "10.96.0.10");
  ASSERT_EQ(dns.searches.size(), 4u);
  EXPECT_EQ(dns.searches[0], "n.svc.cluster.local");
  EXPECT_EQ(dns.searches[3], "example.org");
  EXPECT_EQ(dns.options[0], "ndots:5");
  pod.spec.dnsPolicy = "Default";
  EXPECT_EQ(podDns(options, pod, host).servers[0], "1.1.1.1");
  EXPECT_NE(hostsFile(options, pod, {"10.0.0.1"}, "").find("10.0.0.1\th.s.n.svc.cluster.local\th\n"), std::string::npos);
}

TEST(Logs, AreFiltered) {
  std::string_view log =
      "2026-01-01T00:00:01.000000000Z stdout F one\n"
      "2026-01-01T00:00:02.000000000Z stdout P two\n"
      "2026-01-01T00:00:02.500000000Z stdout F -more\n"
      "2026-01-01T00:00:03.000000000Z stderr F \n";
  auto show = [&](LogOptions o, std::optional<codec::Time> since = {}) {
    LogFilter f(o, since);
    std::string out;
    for (size_t i = 0; i < log.size(); i += 7) f.feed(log.substr(i, 7), out);
    return out;
  };
  EXPECT_EQ(show({}), "one\ntwo-more\n\n");
  EXPECT_EQ(show({.timestamps = true}), "2026-01-01T00:00:01.000000000Z one\n2026-01-01T00:00:02.000000000Z two-more\n2026-01-01T00:00:03.000000000Z \n");
  EXPECT_EQ(show({.limitBytes = 6}), "one\ntw");
  EXPECT_EQ(show({}, *codec::Time::parse("2026-01-01T00:00:02Z")), "two-more\n\n");
}

TEST(Backoff, DoublesAndForgets) {
  using namespace std::chrono_literals;
  Backoff b;
  EXPECT_EQ(b.left("k", 0s, 0s), 0s);
  b.next("k", 0s);
  EXPECT_EQ(b.left("k", 3s, 5s), 8s);
  b.next("k", 20s);
  EXPECT_EQ(b.delay("k"), 20s);
  for (int i = 0; i < 9; i++) b.next("k", 100s);
  EXPECT_EQ(b.delay("k"), 300s);
  EXPECT_EQ(b.left("k", 1000s, 1000s), 0s);
}

TEST(AtomicWriter, ReplacesTheSet) {
  char dir[] = "/tmp/km-atomic-XXXXXX";
  ASSERT_NE(::mkdtemp(dir), nullptr);
  std::string d = dir;
  EXPECT_TRUE(*writePayload(d, {{"a", {"1", 0600, {}}}, {"sub/b", {"2", 0644, {}}}}, {}));
  EXPECT_EQ(*readFile(d + "/a"), "1");
  EXPECT_EQ(*readFile(d + "/sub/b"), "2");
  EXPECT_EQ(std::filesystem::read_symlink(d + "/a").string(), "..data/a");
  std::string before = std::filesystem::read_symlink(d + "/..data").string();
  EXPECT_FALSE(*writePayload(d, {{"a", {"1", 0600, {}}}, {"sub/b", {"2", 0644, {}}}}, {}));
  EXPECT_TRUE(*writePayload(d, {{"a", {"3", 0600, {}}}}, {}));
  EXPECT_EQ(*readFile(d + "/a"), "3");
  EXPECT_FALSE(fileExists(d + "/sub/b"));
  EXPECT_FALSE(fileExists(d + "/" + before));
  struct stat st{};
  ASSERT_EQ(::stat((d + "/a").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600u);
  EXPECT_FALSE(writePayload(d, {{"../x", {"3", 0600, {}}}}, {}).ok());
  std::filesystem::remove_all(d);
}

TEST(Environment, ReadsFilesOfNamesAndQuotedValues) {
  std::string text = "# note\nA='one'\n\nB='two\nlines' # more\nA='last'\n";
  EXPECT_EQ(*envFileValue(text, "A"), "last");
  EXPECT_EQ(*envFileValue(text, "B"), "two\nlines");
  EXPECT_FALSE(envFileValue(text, "C")->has_value());
  EXPECT_EQ(envFileValue("A=one\n", "A").status().message(), "failed to parse environment variable file at line 1: the value must be in single quotes");
  EXPECT_FALSE(envFileValue("A='one", "A").ok());
}

}  // namespace
}  // namespace km::kubelet
