// Nodes that join: signing requests are approved and signed as upstream's controllers do, bootstrap tokens sign cluster-info and expire.
#include <algorithm>

#include "api/types/authorization_v1.h"
#include "api/types/certificates_v1.h"
#include "controllers/bootstrap/controller.h"
#include "controllers/certificates/requests.h"
#include "controllers/testing_fixture.h"
#include "pki/signer.h"

namespace km::controllers {
namespace {

using api::certificates_v1::CertificateSigningRequest;

struct Joining : ControllerTest {
  pki::KeyPair authority = *pki::newAuthority("kubernetes", Clock::system().now(), std::chrono::hours(24 * 30));
  pki::Key key = *pki::Key::generate();

  void ask(const std::string& name, std::string_view signer, std::vector<std::string> usages, bool approved, std::optional<int32_t> seconds = {}) {
    pki::CertificateSpec spec;
    spec.commonName = "system:node:n1";
    spec.organizations = {"system:nodes"};
    if (signer == certificates::kKubeletServingSigner) spec.dnsNames = {"n1"};
    CertificateSigningRequest r;
    r.metadata.name = name;
    r.spec.request = *pki::makeRequest(spec, key);
    r.spec.signerName = signer;
    if (seconds) r.spec.expirationSeconds = *seconds;
    for (const auto& u : usages) r.spec.usages.push_back(u);
    if (approved) {
      auto& c = r.status.conditions.add();
      c.type = "Approved";
      c.status = "True";
    }
    ASSERT_TRUE(createObject(client, std::move(r)).ok());
  }
  std::shared_ptr<const CertificateSigningRequest> request(const std::string& name) { return client.find<CertificateSigningRequest>("", name); }
};

TEST_F(Joining, ApprovedRequestsAreSigned) {
  options.signers.emplace(certificates::kKubeletServingSigner, authority);
  options.signers.emplace(certificates::kClientSigner, authority);
  run({"csrsigning"});
  ask("serving", certificates::kKubeletServingSigner, {"digital signature", "server auth"}, true, 3600);
  ask("wrong", certificates::kClientSigner, {"server auth"}, true);
  ask("waits", certificates::kKubeletServingSigner, {"digital signature", "server auth"}, false);
  ask("other", "example.com/x", {"client auth"}, true);
  ASSERT_TRUE(eventually([&] { return !request("serving")->status.certificate.view().empty() && request("wrong")->status.conditions.size() == 2; }));
  auto made = pki::Certificate::fromPem(request("serving")->status.certificate.view());
  ASSERT_TRUE(made.ok()) << made.status().message();
  EXPECT_TRUE(made->signedBy(authority.certificate));
  EXPECT_EQ(made->commonName(), "system:node:n1");
  EXPECT_EQ(made->dnsNames(), std::vector<std::string>{"n1"});
  EXPECT_TRUE(made->allowsServer());
  EXPECT_FALSE(made->allowsClient());
  EXPECT_FALSE(made->isCa());
  EXPECT_EQ(made->notAfter().seconds - made->notBefore().seconds, 3600 + 300);  // it begins five minutes early
  const auto& failed = request("wrong")->status.conditions[1];
  EXPECT_EQ(failed.type, "Failed");
  EXPECT_EQ(failed.reason, "SignerValidationFailure");
  EXPECT_EQ(failed.message, "invalid usage for client certificate: server auth");
  EXPECT_TRUE(request("waits")->status.certificate.view().empty());
  EXPECT_TRUE(request("other")->status.certificate.view().empty());
}

TEST_F(Joining, OldRequestsAreRemoved) {
  ask("old", certificates::kClientSigner, {"client auth"}, true);
  CertificateSigningRequest r = *request("old");
  r.status.conditions[0].lastUpdateTime = codec::Time(Clock::system().now().seconds - 25 * 3600);
  ASSERT_TRUE(updateStatus(client, std::move(r)).ok());
  ask("young", certificates::kClientSigner, {"client auth"}, true);
  run({"csrcleaner"});
  EXPECT_TRUE(eventually([&] { return !request("old"); }));
  EXPECT_TRUE(request("young"));
}

TEST_F(Joining, KubeletRequestsMustBeTheirs) {
  pki::RequestedCertificate r;
  r.organizations = {"system:nodes"};
  r.commonName = "system:node:n1";
  std::vector<std::string> usages = {"client auth", "digital signature"};
  EXPECT_TRUE(certificates::checkKubeletClient(r, usages).ok());
  r.dnsNames = {"x"};
  EXPECT_EQ(certificates::checkKubeletClient(r, usages).message(), "DNS subjectAltNames are not allowed");
  EXPECT_EQ(certificates::checkKubeletServing(r, usages).message(), "usages did not match [digital signature key encipherment server auth]");
  r.dnsNames.clear();
  EXPECT_EQ(certificates::checkKubeletServing(r, usages).message(), "DNS or IP subjectAltName is required");
  r.commonName = "admin";
  EXPECT_EQ(certificates::checkKubeletClient(r, usages).message(), "subject common name does not begin with system:node:");
  r.organizations = {"system:masters"};
  EXPECT_EQ(certificates::checkKubeletClient(r, usages).message(), "subject organization is not system:nodes");
}

TEST_F(Joining, ClusterInfoIsSigned) {
  auto token = [&](std::string id, std::string_view expiration) {
    api::core_v1::Secret s;
    s.metadata.name = "bootstrap-token-" + id;
    s.metadata.namespace_ = "kube-system";
    s.type = "bootstrap.kubernetes.io/token";
    s.data["token-id"] = id;
    s.data["token-secret"] = "0123456789abcdef";
    s.data["usage-bootstrap-signing"] = "true";
    if (!expiration.empty()) s.data["expiration"] = expiration;
    ASSERT_TRUE(createObject(client, std::move(s)).ok());
  };
  api::core_v1::ConfigMap info;
  info.metadata.name = "cluster-info";
  info.metadata.namespace_ = "kube-public";
  info.data["kubeconfig"] = "content";
  info.data["jws-kubeconfig-gone00"] = "old";
  ASSERT_TRUE(createObject(client, std::move(info)).ok());
  token("abcdef", "");
  token("expire", "2020-01-01T00:00:00Z");
  run({"bootstrapsigner", "tokencleaner"});
  auto map = [&] { return client.find<api::core_v1::ConfigMap>("kube-public", "cluster-info"); };
  ASSERT_TRUE(eventually([&] { return map()->data.find("jws-kubeconfig-abcdef") != nullptr && map()->data.size() == 2; }));
  EXPECT_EQ(map()->data.find("jws-kubeconfig-abcdef")->view(), bootstrap::detachedSignature("content", "abcdef", "0123456789abcdef"));
  // As openssl makes it.
  EXPECT_EQ(bootstrap::detachedSignature("content", "joshua", "my voice is my passcode"),
            "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..R2QazAvA2TIDgUoXWFi8Lx13dfJeBmqxu6o1On3wYFs");
  EXPECT_TRUE(eventually([&] { return !client.find<api::core_v1::Secret>("kube-system", "bootstrap-token-expire"); }));
  EXPECT_TRUE(client.find<api::core_v1::Secret>("kube-system", "bootstrap-token-abcdef"));
}

}  // namespace
}  // namespace km::controllers
