// CertificateApproval, CertificateSigning, CertificateSubjectRestriction.
#include <fmt/format.h>

#include <algorithm>

#include "admission/plugins.h"
#include "api/field_error.h"
#include "api/types/certificates_v1.h"
#include "codec/ops.h"
#include "pki/request.h"

namespace km::admission {
namespace {

using api::certificates_v1::CertificateSigningRequest;
using api::certificates_v1::CertificateSigningRequestStatus;

constexpr std::string_view kGroup = "certificates.k8s.io", kResource = "certificatesigningrequests";
constexpr std::string_view kClientSigner = "kubernetes.io/kube-apiserver-client";

Status refuse(const Attributes& a, std::string_view why) { return errors::forbidden({kGroup, kResource}, a.name, why); }

// To decide about requests for a signer is a permission of its own, for the signer or all of its domain.
bool mayUseSigner(const PluginContext& c, const Attributes& a, std::string_view verb, std::string_view signer) {
  if (!c.authorize || a.user == nullptr) return true;
  if (c.authorize(*a.user, verb, kGroup, "signers", signer)) return true;
  return c.authorize(*a.user, verb, kGroup, "signers", fmt::format("{}/*", signer.substr(0, signer.find('/'))));
}

class CertificateApproval : public Plugin {
 public:
  explicit CertificateApproval(const PluginContext& c) : context_(c) {}
  std::string_view name() const override { return "CertificateApproval"; }
  Status validate(const Attributes& a) const override {
    if (!a.isFor(kGroup, kResource) || a.subresource != "approval" || a.operation != Operation::kUpdate || a.old == nullptr) return {};
    std::string_view signer = a.old->as<CertificateSigningRequest>().spec.signerName;
    if (mayUseSigner(context_, a, "approve", signer)) return {};
    return refuse(a, fmt::format("user not permitted to approve requests with signerName {}", api::goQuote(signer)));
  }

 private:
  PluginContext context_;
};

class CertificateSigning : public Plugin {
 public:
  explicit CertificateSigning(const PluginContext& c) : context_(c) {}
  std::string_view name() const override { return "CertificateSigning"; }
  Status validate(const Attributes& a) const override {
    if (!a.isFor(kGroup, kResource) || a.subresource != "status" || a.operation != Operation::kUpdate || a.old == nullptr) return {};
    const auto& old = a.old->as<CertificateSigningRequest>();
    if (codec::equal(&old.status, &a.object->as<CertificateSigningRequest>().status, CertificateSigningRequestStatus::kType)) return {};
    if (mayUseSigner(context_, a, "sign", old.spec.signerName)) return {};
    return refuse(a, fmt::format("user not permitted to sign requests with signerName {}", api::goQuote(old.spec.signerName)));
  }

 private:
  PluginContext context_;
};

// Nobody becomes a cluster administrator by a certificate.
class CertificateSubjectRestriction : public Plugin {
 public:
  std::string_view name() const override { return "CertificateSubjectRestriction"; }
  Status validate(const Attributes& a) const override {
    if (!a.isFor(kGroup, kResource) || !a.subresource.empty() || a.operation != Operation::kCreate) return {};
    const auto& spec = a.object->as<CertificateSigningRequest>().spec;
    if (spec.signerName != kClientSigner) return {};
    auto asked = pki::parseRequest(spec.request);
    if (!asked.ok()) return refuse(a, fmt::format("failed to parse CSR: {}", asked.status().message()));
    const auto& groups = asked->organizations;
    if (std::find(groups.begin(), groups.end(), authn::kMasters) == groups.end()) return {};
    return refuse(a, fmt::format("use of {} signer with system:masters group is not allowed", kClientSigner));
  }
};

}  // namespace

std::unique_ptr<Plugin> makeCertificateApproval(const PluginContext& c) { return std::make_unique<CertificateApproval>(c); }
std::unique_ptr<Plugin> makeCertificateSigning(const PluginContext& c) { return std::make_unique<CertificateSigning>(c); }
std::unique_ptr<Plugin> makeCertificateSubjectRestriction(const PluginContext&) { return std::make_unique<CertificateSubjectRestriction>(); }

}  // namespace km::admission
