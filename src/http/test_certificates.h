// Certificates made on the spot, for tests and trials.
#pragma once

#include <string>
#include <vector>

namespace km::http {

struct TestPair {
  std::string certificatePem, keyPem;
};

// P-256 keys, valid from an hour ago for a day. `issuer` null: self-signed authority.
TestPair makeTestCertificate(const std::string& commonName, const std::vector<std::string>& organizations,
                             const std::vector<std::string>& altNames /* "DNS:x", "IP:y" */,
                             const TestPair* issuer);

}  // namespace km::http
