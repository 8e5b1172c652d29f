#include "controllers/certificates/requests.h"

#include <fmt/format.h>

#include <set>

namespace km::controllers::certificates {
namespace {

using Usages = std::set<std::string>;

// With key encipherment, or without: keys that are not RSA's do without.
bool matches(const std::vector<std::string>& usages, Usages wanted) {
  Usages given(usages.begin(), usages.end());
  if (given == wanted) return true;
  wanted.erase("key encipherment");
  return given == wanted;
}

constexpr std::string_view kNotNodes = "subject organization is not system:nodes";
constexpr std::string_view kNotNode = "subject common name does not begin with system:node:";

}  // namespace

Status checkKubeletClient(const pki::RequestedCertificate& r, const std::vector<std::string>& usages) {
  if (r.organizations != std::vector<std::string>{"system:nodes"}) return errors::failed(kNotNodes);
  if (!r.dnsNames.empty()) return errors::failed("DNS subjectAltNames are not allowed");
  if (!r.emails.empty()) return errors::failed("Email subjectAltNames are not allowed");
  if (!r.ips.empty()) return errors::failed("IP subjectAltNames are not allowed");
  if (!r.uris.empty()) return errors::failed("URI subjectAltNames are not allowed");
  if (!r.commonName.starts_with("system:node:")) return errors::failed(kNotNode);
  if (!matches(usages, {"client auth", "digital signature", "key encipherment"})) {
    return errors::failed("usages did not match [client auth digital signature key encipherment]");
  }
  return {};
}

Status checkKubeletServing(const pki::RequestedCertificate& r, const std::vector<std::string>& usages) {
  if (r.organizations != std::vector<std::string>{"system:nodes"}) return errors::failed(kNotNodes);
  if (r.dnsNames.empty() && r.ips.empty()) return errors::failed("DNS or IP subjectAltName is required");
  if (!r.emails.empty()) return errors::failed("Email subjectAltNames are not allowed");
  if (!r.uris.empty()) return errors::failed("URI subjectAltNames are not allowed");
  if (!matches(usages, {"digital signature", "key encipherment", "server auth"})) {
    return errors::failed("usages did not match [digital signature key encipherment server auth]");
  }
  if (!r.commonName.starts_with("system:node:")) return errors::failed(kNotNode);
  return {};
}

Status checkClient(const std::vector<std::string>& usages) {
  bool client = false;
  for (const std::string& u : usages) {
    if (u == "client auth") {
      client = true;
    } else if (u != "digital signature" && u != "key encipherment") {
      return errors::failed("invalid usage for client certificate: " + u);
    }
  }
  return client ? Status() : errors::failed("missing required usage for client certificate: client auth");
}

Status checkFor(std::string_view signer, const pki::RequestedCertificate& request, const std::vector<std::string>& usages) {
  if (signer == kKubeletServingSigner) return checkKubeletServing(request, usages);
  if (signer == kKubeletClientSigner) return checkKubeletClient(request, usages);
  if (signer == kClientSigner) return checkClient(usages);
  return {};
}

}  // namespace km::controllers::certificates
