// Certificates of requests (PKCS#10), as the signers of kube-controller-manager make them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pki/certificate.h"

namespace km::pki {

struct SigningPolicy {
  std::vector<std::string> usages;  // of certificates.k8s.io: "client auth", "digital signature"...
  Duration life{};
  WallTime now;
};

// PEM. Subject, key and alternative names are the request's; usages and times the policy's: it begins five minutes ago and ends with its
// signer at the latest. Errors: a request that is none, a usage that is none, a signer that has ended.
Result<std::string> signRequest(const KeyPair& authority, std::string_view requestPem, const SigningPolicy& policy);

}  // namespace km::pki
