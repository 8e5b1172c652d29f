// Configuration files of parts: defaults, lenient and strict reading, drop-ins, flags over them, upstream's words of validation.
#include "km/component_config.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "base/files.h"
#include "base/log.h"
#include "km/kubelet_settings.h"
#include "km/proxy_settings.h"

namespace km {
namespace {

constexpr std::string_view kHead = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";

ComponentConfig kubelet(std::string_view rest) {
  ComponentConfig c(kKubeletConfig);
  Status s = c.read(std::string(kHead) + std::string(rest));
  EXPECT_TRUE(s.ok()) << s.message();
  return c;
}

std::string complaint(std::string_view rest) { return validateKubeletConfig(kubelet(rest)).message(); }

TEST(KubeletConfig, HasUpstreamsDefaults) {
  // kubeadm writes zeroes for what it does not decide.
  ComponentConfig c = kubelet("syncFrequency: 0s\ncgroupDriver: systemd\nclusterDNS: [10.96.0.10]\nauthentication: {x509: {clientCAFile: /ca}}\nhealthzPort: 0\nmaxPods: 0\n");
  EXPECT_EQ(c.duration("syncFrequency"), Duration(std::chrono::minutes(1)));
  EXPECT_EQ(c.text("cgroupDriver"), "systemd");
  EXPECT_EQ(c.integer("maxPods"), 110);
  EXPECT_EQ(c.integer("healthzPort"), 0);  // a pointer upstream: zero counts
  EXPECT_EQ(c.text("authentication.x509.clientCAFile"), "/ca");
  EXPECT_TRUE(c.boolean("authentication.webhook.enabled"));
  EXPECT_FALSE(c.boolean("authentication.anonymous.enabled"));
  EXPECT_EQ(c.text("authorization.mode"), "Webhook");
  EXPECT_TRUE(validateKubeletConfig(c).ok()) << validateKubeletConfig(c).message();
  EXPECT_NE(c.configz("kubeletconfig").find(R"("kubeletconfig":{"address":"0.0.0.0")"), std::string::npos);
}

TEST(KubeletConfig, IsReadLeniently) {
  std::string log;
  setLogSink([&](Severity, std::string_view line) { log += line; });
  ComponentConfig c = kubelet("maxPods: 7\nmaxPods: 8\nbogus: 1\nauthentication: {nobody: 1}\n");
  setLogSink(nullptr);
  EXPECT_NE(log.find("unknown field \"bogus\""), std::string::npos) << log;
  EXPECT_NE(log.find("unknown field \"authentication.nobody\""), std::string::npos) << log;
  EXPECT_NE(log.find("already set"), std::string::npos) << log;
  EXPECT_EQ(c.integer("maxPods"), 8);
}

TEST(KubeletConfig, RefusesWhatIsNone) {
  ComponentConfig c(kKubeletConfig);
  EXPECT_EQ(c.read("kind: Pod\napiVersion: v1\n").message(), "failed to decode: no kind \"Pod\" is registered for version \"v1\" in scheme");
  EXPECT_NE(c.read("a: 1\n").message().find("Object 'Kind' is missing"), std::string::npos);
  EXPECT_EQ(c.read(std::string(kHead) + "maxPods: many\n").message(),
            "failed to decode: json: cannot unmarshal string into Go struct field KubeletConfiguration.maxPods of type int32");
  EXPECT_NE(c.read(std::string(kHead) + "syncFrequency: soon\n").message().find("invalid duration"), std::string::npos);
}

TEST(KubeletConfig, ComplainsInUpstreamsWords) {
  EXPECT_EQ(complaint("port: 70000"), "failed to validate kubelet configuration, error: invalid configuration: port (--port) 70000 must be between 1 and 65535, inclusive");
  EXPECT_EQ(complaint("imageGCLowThresholdPercent: 90\ncontainerLogMaxFiles: 1"),
            "failed to validate kubelet configuration, error: [invalid configuration: imageGCLowThresholdPercent (--image-gc-low-threshold) 90 must be less than "
            "imageGCHighThresholdPercent (--image-gc-high-threshold) 85, invalid configuration: containerLogMaxFiles must be greater than 1]");
  EXPECT_NE(complaint("enforceNodeAllocatable: [pods, kube-reserved]").find("kubeReservedCgroup (--kube-reserved-cgroup) must be specified"), std::string::npos);
  EXPECT_NE(complaint("hairpinMode: up").find(R"(option "up" specified for hairpinMode (--hairpin-mode). Valid options are "none", "hairpin-veth" or "promiscuous-bridge")"), std::string::npos);
  EXPECT_NE(complaint("podLogsDir: logs/../x").find("must be absolute path"), std::string::npos);
  EXPECT_NE(complaint("registerWithTaints: [{key: a, effect: Never}]").find("invalid taint"), std::string::npos);
}

TEST(KubeletConfig, TakesDropInsAndThenFlags) {
  char name[] = "/tmp/km-config.XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  std::string dir = name;
  ASSERT_TRUE(writeFileAtomic(dir + "/20.conf", std::string(kHead) + "clusterDNS: [10.0.0.2]\nevictionHard: {nodefs.available: null}\n", 0600).ok());
  ASSERT_TRUE(writeFileAtomic(dir + "/10.conf", std::string(kHead) + "clusterDNS: [10.0.0.1]\nmaxPods: 5\n", 0600).ok());
  ASSERT_TRUE(writeFileAtomic(dir + "/30.txt", "nonsense", 0600).ok());
  ComponentConfig c(kKubeletConfig);
  FlagSet flags("kubelet");
  c.addFlags(flags);
  std::vector<std::string> words = {"--max-pods=3", "--eviction-hard=memory.available<1Mi", "--feature-gates=A=true", "--cluster-domain", "x"};
  ASSERT_TRUE(flags.parse(words).ok());
  ASSERT_TRUE(c.read(std::string(kHead) + "maxPods: 9\nclusterDomain: file\nfeatureGates: {B: false}\nevictionHard: {nodefs.available: 1%}\n").ok());
  ASSERT_TRUE(c.mergeDirectory(dir).ok());
  EXPECT_EQ(c.integer("maxPods"), 5);
  EXPECT_EQ(c.texts("clusterDNS"), std::vector<std::string>{"10.0.0.2"});
  EXPECT_TRUE(c.textMap("evictionHard").empty());
  c.applyFlags();
  EXPECT_EQ(c.integer("maxPods"), 3);
  EXPECT_EQ(c.text("clusterDomain"), "x");
  EXPECT_EQ(c.textMap("evictionHard")["memory.available"], "1Mi");
  EXPECT_EQ(c.value("featureGates")->json(), R"({"A":true,"B":false})");
  EXPECT_EQ(c.notices(Support::kNo), std::vector<std::string>{"evictionHard (--eviction-hard) is not supported"});
  ASSERT_TRUE(writeFileAtomic(dir + "/40.conf", "kind: X\n", 0600).ok());
  EXPECT_NE(c.mergeDirectory(dir).message().find(dir + "/40.conf"), std::string::npos);
  std::filesystem::remove_all(dir);
}

TEST(ProxyConfig, IsValidatedAndApplied) {
  ComponentConfig c(kProxyConfig);
  ASSERT_TRUE(c.read("apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nclusterCIDR: 10.244.0.0/16\nmode: \"\"\nbindAddress: 0.0.0.0\n"
                     "conntrack: {maxPerCore: null, min: null}\niptables: {masqueradeAll: true, minSyncPeriod: 0s}\nnodePortAddresses: null\n")
                  .ok());
  EXPECT_TRUE(validateProxyConfig(c).ok()) << validateProxyConfig(c).message();
  proxy::Options o;
  ASSERT_TRUE(applyProxyConfig(c, o).ok());
  EXPECT_EQ(o.clusterCidr, "10.244.0.0/16");
  EXPECT_TRUE(o.masqueradeAll);
  c.set("mode", codec::Value::string("other"));
  c.set("healthzBindAddress", codec::Value::string("nowhere"));
  EXPECT_EQ(validateProxyConfig(c).message(),
            "failed validate: [KubeProxyConfiguration.Mode.ProxyMode: Invalid value: \"other\": must be iptables, ipvs, nftables or blank (blank means the best-available "
            "proxy [currently iptables]), KubeProxyConfiguration.HealthzBindAddress: Invalid value: \"nowhere\": must be IP:port]");
  c.set("mode", codec::Value::string("iptables"));
  EXPECT_NE(applyProxyConfig(c, o).message().find("mode (--proxy-mode) iptables is not supported"), std::string::npos);
}

}  // namespace
}  // namespace km
