// Certificate signing requests (PKCS#10).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pki/certificate.h"

struct X509_req_st;

namespace km::pki {

// What a request asks for. Read from outside: nothing in it is trusted but the key, whose possession was
// proved.
struct RequestedCertificate {
  std::string commonName;
  std::vector<std::string> organizations;
  std::vector<std::string> dnsNames;
  std::vector<std::string> ips;
  std::vector<std::string> emails;
  std::vector<std::string> uris;
  Key publicKey;
};

// PEM of a "CERTIFICATE REQUEST" for spec's names (times and usages are not asked for).
Result<std::string> makeRequest(const CertificateSpec& spec, const Key& key);
// Parses and checks the request's own signature. Errors read as upstream's ParseCSR where it has a wording.
Result<RequestedCertificate> parseRequest(std::string_view pem);

}  // namespace km::pki
