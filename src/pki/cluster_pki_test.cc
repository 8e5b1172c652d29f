#include "pki/cluster_pki.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <map>

#include "base/base64.h"
#include "base/files.h"
#include "base/log.h"
#include "pki/trust.h"

namespace km::pki {
namespace {

struct FixedClock final : Clock {
  WallTime now() const override { return time; }
  Duration monotonic() const override { return {}; }
  WallTime time{1'800'000'000, 0};
};

struct ClusterPkiTest : testing::Test {
  ClusterPkiTest() {
    char name[] = "/tmp/km-pki-XXXXXX";
    data = ::mkdtemp(name);
    options.directory = data + "/pki";
    options.server = "https://10.1.2.3:6443";
    options.nodeName = "node1";
    options.nodeIps = {"10.1.2.3"};
    options.apiserverNames = {"api.example", "FD00:0::1"};
    setLogSink([](Severity, std::string_view) {});
  }
  ~ClusterPkiTest() override {
    setLogSink(nullptr);
    std::filesystem::remove_all(data);
  }
  ClusterPki ensure() {
    Result<ClusterPki> pki = ClusterPki::ensure(options, clock);
    EXPECT_TRUE(pki.ok()) << pki.status().message();
    return std::move(pki).value();
  }
  std::map<std::string, std::string> files() const {
    std::map<std::string, std::string> out;
    for (auto& e : std::filesystem::recursive_directory_iterator(data)) {
      if (e.is_regular_file())
        out[e.path().string().substr(data.size() + 1)] = readFile(e.path().string()).value();
    }
    return out;
  }
  Certificate certificate(const std::string& name) const {
    return Certificate::fromPem(readFile(data + "/pki/" + name + ".crt").value()).value();
  }
  void pass(Duration time) { clock.time = addTo(clock.time, time); }
  static constexpr Duration kDay = std::chrono::hours(24);
  std::string data;
  ClusterPkiOptions options;
  FixedClock clock;
};

TEST_F(ClusterPkiTest, MakesKubeadmsFilesWithSafeModes) {
  ensure();
  for (const char* name :
       {"ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client", "admin",
        "controller-manager", "scheduler", "kube-proxy", "kubelet", "kubelet-server"}) {
    EXPECT_TRUE(fileExists(data + "/pki/" + name + ".crt")) << name;
    EXPECT_TRUE(fileExists(data + "/pki/" + name + ".key")) << name;
  }
  EXPECT_TRUE(fileExists(data + "/pki/sa.pub"));
  for (auto& e : std::filesystem::recursive_directory_iterator(data)) {
    struct stat info {};
    ASSERT_EQ(::stat(e.path().c_str(), &info), 0);
    std::string path = e.path().string();
    bool secret = path.ends_with(".key") || path.ends_with(".conf") || path.ends_with(".lock");
    EXPECT_EQ(info.st_mode & 0777, e.is_directory() ? 0700u : secret ? 0600u : 0644u) << path;
  }
}

TEST_F(ClusterPkiTest, SubjectsNamesAndUsages) {
  ClusterPki pki = ensure();
  Certificate api = certificate("apiserver");
  for (const char* name : {"kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost",
                           "127.0.0.1", "10.96.0.1", "10.1.2.3", "api.example", "fd00::1", "node1"}) {
    EXPECT_TRUE(matchesHost(api, name)) << name;
  }
  TrustPool pool = TrustPool::of(std::vector{pki.authority().certificate}).value();
  EXPECT_TRUE(pool.verify(api, {}, Usage::kServer, clock.time).ok());
  EXPECT_FALSE(pool.verify(api, {}, Usage::kClient, clock.time).ok());
  Certificate admin = certificate("admin");
  EXPECT_TRUE(pool.verify(admin, {}, Usage::kClient, clock.time).ok());
  EXPECT_EQ(admin.organizations(), std::vector<std::string>{"system:masters"});
  EXPECT_EQ(certificate("kubelet").commonName(), "system:node:node1");
  EXPECT_FALSE(pool.verify(certificate("front-proxy-client"), {}, Usage::kClient, clock.time).ok());
}

TEST_F(ClusterPkiTest, KubeconfigsEmbedEverything) {
  ensure();
  std::string conf = readFile(data + "/admin.conf").value();
  EXPECT_NE(conf.find("    server: https://10.1.2.3:6443\n  name: kubernetes\n"), std::string::npos) << conf;
  EXPECT_NE(conf.find("current-context: kubernetes-admin@kubernetes\n"), std::string::npos);
  EXPECT_NE(conf.find("client-certificate-data: " + base64Encode(certificate("admin").pem()) + "\n"),
            std::string::npos);
  EXPECT_NE(readFile(data + "/kubelet.conf").value().find("- name: system:node:node1\n"), std::string::npos);
}

TEST_F(ClusterPkiTest, AgainChangesNothing) {
  ensure();
  auto before = files();
  pass(kDay * 30);
  ensure();
  EXPECT_EQ(files(), before);
}

TEST_F(ClusterPkiTest, RenewsLeavesBeforeTheyEndAndKeepsKeys) {
  ensure();
  auto before = files();
  pass(kDay * 300);
  ClusterPki pki = ensure();
  auto after = files();
  EXPECT_NE(after["pki/apiserver.crt"], before["pki/apiserver.crt"]);
  EXPECT_EQ(after["pki/apiserver.key"], before["pki/apiserver.key"]);
  EXPECT_EQ(after["pki/ca.crt"], before["pki/ca.crt"]);
  EXPECT_NE(after["admin.conf"], before["admin.conf"]);
  TrustPool pool = TrustPool::of(std::vector{pki.authority().certificate}).value();
  EXPECT_TRUE(pool.verify(certificate("apiserver"), {}, Usage::kServer, addTo(clock.time, kDay * 200)).ok());
}

TEST_F(ClusterPkiTest, ARenewedAuthorityStillVouchesForOldCertificates) {
  ensure();
  pass(kDay * 365 * 7);
  ensure();
  Certificate old = certificate("admin");
  Certificate oldCa = certificate("ca");
  pass(kDay * 100);
  ClusterPki pki = ensure();
  TrustPool renewed = TrustPool::of(std::vector{pki.authority().certificate}).value();
  EXPECT_TRUE(renewed.verify(old, {}, Usage::kClient, clock.time).ok());
  EXPECT_TRUE(pki.authority().certificate.publicKey().samePublicKey(oldCa.publicKey()));
  EXPECT_GT(pki.authority().certificate.notAfter().seconds - clock.time.seconds, 86400 * 365 * 9);
}

TEST_F(ClusterPkiTest, NewNamesMakeANewServerCertificate) {
  ensure();
  auto before = files();
  options.apiserverNames.push_back("other.example");
  ensure();
  EXPECT_TRUE(matchesHost(certificate("apiserver"), "other.example"));
  EXPECT_EQ(files()["pki/admin.crt"], before["pki/admin.crt"]);
}

TEST_F(ClusterPkiTest, AnAuthorityIsNeverReplaced) {
  ensure();
  std::string ca = readFile(data + "/pki/ca.crt").value();
  ASSERT_TRUE(removeFile(data + "/pki/ca.key").ok());
  Result<ClusterPki> pki = ClusterPki::ensure(options, clock);
  ASSERT_FALSE(pki.ok());
  EXPECT_NE(pki.status().message().find("ca.key is not"), std::string::npos);
  EXPECT_EQ(readFile(data + "/pki/ca.crt").value(), ca);
}

TEST_F(ClusterPkiTest, DamagedLeavesAreMadeAgain) {
  ensure();
  ASSERT_TRUE(writeFileAtomic(data + "/pki/scheduler.crt", "rubbish").ok());
  ensure();
  EXPECT_EQ(certificate("scheduler").commonName(), "system:kube-scheduler");
}

}  // namespace
}  // namespace km::pki
