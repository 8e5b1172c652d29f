#include "api/types/certificates_v1.h"
#include "base/base64.h"
#include "pki/certificate.h"
#include "pki/request.h"
#include "registry/kind_fixture.h"

namespace km::registry {
namespace {

using api::certificates_v1::CertificateSigningRequest;

std::string manifest(std::string_view signer) {
  pki::CertificateSpec spec;
  spec.commonName = "jane";
  auto key = pki::Key::generate();
  std::string request = *pki::makeRequest(spec, *key);
  return R"({"metadata":{"name":"a"},"spec":{"request":")" + base64Encode(request) + R"(","signerName":")" + std::string(signer) +
         R"(","usages":["client auth"],"username":"mallory"}})";
}

TEST(SigningRequestTest, SaysWhoAsks) {
  Kind requests("certificates.k8s.io", "v1", "certificatesigningrequests");
  authn::UserInfo user{"jane", "7", {"devs"}, {}};
  requests.context.user = &user;
  auto o = requests.created(manifest("example.com/a"));
  EXPECT_EQ(o->as<CertificateSigningRequest>().spec.username, "jane");
  EXPECT_EQ(o->as<CertificateSigningRequest>().spec.groups[0], "devs");
}

TEST(SigningRequestTest, NamesSignersAsDomainAndPath) {
  Kind requests("certificates.k8s.io", "v1", "certificatesigningrequests");
  EXPECT_EQ(requests.createErrors(manifest("plain")),
            "spec.signerName: Invalid value: \"plain\": must be a fully qualified domain and path of the form 'example.com/signer-name'");
  EXPECT_EQ(requests.createErrors(manifest("kubernetes.io/legacy-unknown")),
            "spec.signerName: Invalid value: \"kubernetes.io/legacy-unknown\": the legacy signerName is not allowed via this API version");
}

TEST(SigningRequestTest, DecidesOnceByWayOfApproval) {
  Kind requests("certificates.k8s.io", "v1", "certificatesigningrequests");
  auto o = requests.created(manifest("example.com/a"));
  requests.context.subresource = "approval";
  auto approve = [](api::Object& r) {
    auto& c = r.as<CertificateSigningRequest>().status.conditions.add();
    c.type = "Approved";
    c.status = "True";
  };
  EXPECT_EQ(requests.updateErrors(*o, approve), "");
  approve(*o);
  EXPECT_EQ(requests.updateErrors(*o, [](api::Object& r) { r.as<CertificateSigningRequest>().status.conditions.clear(); }),
            "status.conditions: Forbidden: updates may not remove a condition of type \"Approved\"");
}

}  // namespace
}  // namespace km::registry
