#include "controllers/certificates/controller.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/types/authorization_v1.h"
#include "api/types/certificates_v1.h"
#include "base/log.h"
#include "controllers/certificates/requests.h"
#include "controllers/objects.h"
#include "pki/signer.h"

namespace km::controllers::certificates {
namespace {

using api::certificates_v1::CertificateSigningRequest;
using api::certificates_v1::CertificateSigningRequestCondition;

bool hasCondition(const CertificateSigningRequest& r, std::string_view type) {
  return std::any_of(r.status.conditions.begin(), r.status.conditions.end(), [&](const auto& c) { return c.type == type; });
}

std::vector<std::string> usagesOf(const CertificateSigningRequest& r) {
  std::vector<std::string> out;
  for (const auto& u : r.spec.usages) out.push_back(u.str());
  return out;
}

// One request at a time, by its name; `handle` judges what is stored.
class RequestController : public Controller {
 public:
  RequestController(Context& context, std::string_view queue)
      : context_(context),
        requests_(context.use<CertificateSigningRequest>()),
        loop_(context, queue, 3, [this](const std::string& name) {
          auto r = client::Lister<CertificateSigningRequest>(requests_).get("", name);
          // One that has its certificate is done with.
          return r && r->status.certificate.view().empty() ? handle(*r) : Status();
        }) {
    loop_.onKeys(requests_);
  }
  void start() override { loop_.start(); }
  void stop() override { loop_.stop(); }

 protected:
  virtual Status handle(const CertificateSigningRequest& r) = 0;
  Context& context_;

 private:
  client::SharedInformer& requests_;
  SyncLoop loop_;
};

class Approving : public RequestController {
 public:
  explicit Approving(Context& context) : RequestController(context, "certificate_csrapproving") {}

 protected:
  Status handle(const CertificateSigningRequest& r) override {
    if (hasCondition(r, "Approved") || hasCondition(r, "Denied")) return {};
    auto parsed = pki::parseRequest(r.spec.request.view());
    if (!parsed.ok()) return errors::failed(fmt::format("unable to parse csr \"{}\": {}", r.metadata.name.view(), parsed.status().message()));
    if (r.spec.signerName != kKubeletClientSigner || !checkKubeletClient(*parsed, usagesOf(r)).ok()) return {};
    if (r.spec.username == parsed->commonName) {
      KM_ASSIGN(bool may, allowed(r, "selfnodeclient"));
      if (may) return approve(r, "Auto approving self kubelet client certificate after SubjectAccessReview.");
    }
    KM_ASSIGN(bool may, allowed(r, "nodeclient"));
    if (may) return approve(r, "Auto approving kubelet client certificate after SubjectAccessReview.");
    // Rights may come later: tried again, as a failure is.
    return errors::failed(fmt::format("recognized csr \"{}\" but subject access review was not approved", r.metadata.name.view()));
  }

 private:
  Result<bool> allowed(const CertificateSigningRequest& r, std::string_view subresource) {
    api::authorization_v1::SubjectAccessReview review;
    review.spec.user = r.spec.username;
    review.spec.uid = r.spec.uid;
    for (const auto& g : r.spec.groups) review.spec.groups.push_back(g);
    for (const auto& [key, values] : r.spec.extra) {
      for (const auto& v : values.items) review.spec.extra[key].items.push_back(v);
    }
    auto& what = review.spec.resourceAttributes.ensure();
    what.group = "certificates.k8s.io";
    what.resource = "certificatesigningrequests";
    what.verb = "create";
    what.subresource = subresource;
    what.version = "*";
    KM_ASSIGN(auto answer, createObject(context_.client, std::move(review)));
    return answer->status.allowed;
  }
  Status approve(CertificateSigningRequest r, std::string_view message) {
    CertificateSigningRequestCondition& c = r.status.conditions.add();
    c.type = "Approved";
    c.status = "True";
    c.reason = "AutoApproved";
    c.message = message;
    return updateObject(context_.client, std::move(r), "approval").status();
  }
};

class Signing : public RequestController {
 public:
  explicit Signing(Context& context) : RequestController(context, "certificate_csrsigning") {}

 protected:
  Status handle(const CertificateSigningRequest& r) override {
    if (!hasCondition(r, "Approved") || hasCondition(r, "Failed")) return {};
    auto signer = context_.options.signers.find(r.spec.signerName.str());
    if (signer == context_.options.signers.end()) return {};
    auto parsed = pki::parseRequest(r.spec.request.view());
    if (!parsed.ok()) return errors::failed(fmt::format("unable to parse csr \"{}\": {}", r.metadata.name.view(), parsed.status().message()));
    CertificateSigningRequest next = r;
    if (Status s = checkFor(signer->first, *parsed, usagesOf(r)); !s.ok()) {
      CertificateSigningRequestCondition& c = next.status.conditions.add();
      c.type = "Failed";
      c.status = "True";
      c.reason = "SignerValidationFailure";
      c.message = s.message();
      c.lastUpdateTime = codec::Time(context_.clock().now().seconds);
      return updateStatus(context_.client, std::move(next)).status();
    }
    auto certificate = pki::signRequest(signer->second, r.spec.request.view(), {usagesOf(r), lifeOf(r), context_.clock().now()});
    if (!certificate.ok()) return errors::failed("error auto signing csr: " + certificate.status().message());
    next.status.certificate = *certificate;
    return updateStatus(context_.client, std::move(next)).status();
  }

 private:
  // What is asked for, between ten minutes and --cluster-signing-duration.
  Duration lifeOf(const CertificateSigningRequest& r) const {
    Duration most = context_.options.signingDuration;
    if (!r.spec.expirationSeconds) return most;
    return std::min<Duration>(most, std::max<Duration>(std::chrono::seconds(*r.spec.expirationSeconds), std::chrono::minutes(10)));
  }
};

// Removes requests that nobody waits for any more.
class Cleaner : public Controller {
 public:
  explicit Cleaner(Context& context) : context_(context), requests_(context.use<CertificateSigningRequest>()),
      loop_(context, "csrcleaner", 1, [this](const std::string&) { return clean(); }) {}
  void start() override {
    loop_.start();
    loop_.add("all");
  }
  void stop() override { loop_.stop(); }

 private:
  static constexpr auto kEvery = std::chrono::hours(1), kDone = std::chrono::hours(1), kPending = std::chrono::hours(24);

  bool older(int64_t since, std::chrono::seconds age) const { return since != 0 && context_.clock().now().seconds - since > age.count(); }
  bool isOld(const CertificateSigningRequest& r) const {
    bool issued = !r.status.certificate.view().empty();
    if (r.status.conditions.empty()) return older(r.metadata.creationTimestamp.seconds, kPending);
    for (const auto& c : r.status.conditions) {
      int64_t at = c.lastUpdateTime.seconds;
      if ((c.type == "Denied" || c.type == "Failed") && older(at, kDone)) return true;
      if (c.type != "Approved") continue;
      if (older(at, issued ? std::chrono::seconds(kDone) : std::chrono::seconds(kPending))) return true;
      if (!issued) continue;
      auto certificate = pki::Certificate::fromPem(r.status.certificate.view());
      if (certificate.ok() && certificate->notAfter().seconds < context_.clock().now().seconds) return true;
    }
    return false;
  }
  Status clean() {
    for (const auto& r : client::Lister<CertificateSigningRequest>(requests_).list()) {
      if (!isOld(*r)) continue;
      Status s = removeObject<CertificateSigningRequest>(context_.client, "", r->metadata.name);
      if (!s.ok() && s.code() != 404) logError(s, "Error while attempting to clean CSR", {{"csr", r->metadata.name.view()}});
    }
    loop_.queue().addAfter("all", kEvery);
    return {};
  }

  Context& context_;
  client::SharedInformer& requests_;
  SyncLoop loop_;
};

}  // namespace

std::unique_ptr<Controller> makeApproving(Context& context) { return std::make_unique<Approving>(context); }
std::unique_ptr<Controller> makeSigning(Context& context) {
  if (context.options.signers.empty()) return nullptr;
  return std::make_unique<Signing>(context);
}
std::unique_ptr<Controller> makeCleaner(Context& context) { return std::make_unique<Cleaner>(context); }

}  // namespace km::controllers::certificates
