// Every flag of upstream's parts is known to ours: built, taken without effect, or refused with a reason. testdata/flags holds upstream's.
#include "km/upstream_flags.h"

#include <gtest/gtest.h>

#include <map>

#include "base/files.h"
#include "base/strings.h"
#include "km/server_table.h"

namespace km {
namespace {

struct Part {
  std::string_view upstream, ours;
};
constexpr Part kParts[] = {{"kube-apiserver", "apiserver"}, {"kube-controller-manager", "controller-manager"}, {"kube-scheduler", "scheduler"},
                           {"kube-proxy", "proxy"},         {"kubelet", "kubelet"}};

// Runs a server for its flags only.
void withFlags(std::string_view ours, const std::function<void(const FlagSet&)>& f) {
  for (const Server& s : allServers()) {
    if (s.name != ours) continue;
    ServerCall call{&s, "km", {}, [](std::string_view) {}, [](std::string_view) {}, f};
    s.run(call);
  }
}

// Ours differ from upstream's on purpose.
bool isOwnDefault(std::string_view flag) {
  static const std::vector<std::string_view> kOwn = {"bind-address", "authorization-mode", "allow-privileged", "anonymous-auth", "authentication-token-webhook",
                                                     "service-cluster-ip-range", "node-cidr-mask-size-ipv4", "node-cidr-mask-size-ipv6", "kubelet-client-certificate"};
  return std::find(kOwn.begin(), kOwn.end(), flag) != kOwn.end();
}

TEST(UpstreamFlags, AreAllKnown) {
  for (const Part& part : kParts) {
    auto text = readFile(std::string("src/km/testdata/flags/") + std::string(part.upstream) + ".tsv");
    ASSERT_TRUE(text.ok());
    std::map<std::string, int> counts;
    withFlags(part.ours, [&](const FlagSet& flags) {
      for (std::string_view line : split(*text, '\n')) {
        if (line.empty() || line[0] == '#') continue;
        auto columns = split(line, '\t');
        std::string_view name = columns[0], bare = columns[3];
        const Flag* flag = flags.lookup(name);
        EXPECT_NE(flag, nullptr) << part.upstream << " --" << name;
        if (flag == nullptr) continue;
        EXPECT_EQ(flag->noOptDefaultValue(), bare == "-" ? "" : bare) << part.upstream << " --" << name;
        const UpstreamFlag* listed = nullptr;
        for (const UpstreamFlag& u : upstreamFlags()) {
          if (u.name == name && concerns(u, part.upstream) && flag->isHidden()) listed = &u;
        }
        counts[listed == nullptr ? "built" : listed->treatment == Treatment::kNoEffect ? "without effect" : "refused"]++;
        if (listed != nullptr) EXPECT_GT(listed->why.size(), 5u) << name;
      }
    });
    std::cout << part.upstream;
    for (const auto& [what, n] : counts) std::cout << ", " << n << ' ' << what;
    std::cout << '\n';
  }
}

// Upstream's own default never is an error.
TEST(UpstreamFlags, TakeUpstreamsDefaults) {
  for (const Part& part : kParts) {
    auto text = readFile(std::string("src/km/testdata/flags/") + std::string(part.upstream) + ".tsv");
    ASSERT_TRUE(text.ok());
    FlagSet flags;
    flags.setOutput([](std::string_view) {});
    addUpstreamFlags(flags, part.upstream);
    for (std::string_view line : split(*text, '\n')) {
      if (line.empty() || line[0] == '#') continue;
      auto columns = split(line, '\t');
      if (flags.lookup(columns[0]) == nullptr || isOwnDefault(columns[0])) continue;
      std::string value(columns[2] == "-" ? "" : columns[2]);
      Status s = flags.set(columns[0], value);
      EXPECT_TRUE(s.ok()) << part.upstream << " --" << columns[0] << "=" << value << ": " << s.message();
    }
  }
}

TEST(UpstreamFlags, RefuseWhatWouldBeLess) {
  FlagSet flags;
  addUpstreamFlags(flags, "kube-apiserver");
  for (std::string_view name : {"audit-policy-file", "encryption-provider-config", "oidc-issuer-url", "authorization-webhook-config-file", "tls-sni-cert-key",
                                "admission-control-config-file", "etcd-servers-overrides"}) {
    EXPECT_NE(flags.set(name, "x").message().find("not supported: "), std::string::npos) << name;
  }
  EXPECT_FALSE(flags.set("service-account-lookup", "false").ok());
  EXPECT_TRUE(flags.set("profiling", "false").ok());
}

}  // namespace
}  // namespace km
