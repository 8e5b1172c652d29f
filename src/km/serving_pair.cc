#include "km/serving_pair.h"

#include "base/clock.h"
#include "base/files.h"
#include "pki/certificate.h"

namespace km {

Result<ServingPair> ensureServingPair(const std::string& directory, const std::string& nodeName, std::vector<std::string> ips) {
  ServingPair out{directory + "/kubelet.crt", directory + "/kubelet.key"};
  if (readFile(out.certificateFile).ok() && readFile(out.keyFile).ok()) return out;
  KM_TRY(makeDirs(directory, 0700));
  pki::CertificateSpec spec;
  spec.commonName = nodeName;
  spec.dnsNames = {nodeName};
  for (std::string& ip : ips) {
    if (!ip.empty()) spec.ips.push_back(std::move(ip));
  }
  spec.server = true;
  spec.notBefore = Clock::system().now();
  spec.notAfter = pki::addTo(spec.notBefore, std::chrono::hours(24 * 365));
  KM_ASSIGN(pki::Key key, pki::Key::generate(pki::KeyKind::kEcdsaP256));
  KM_ASSIGN(pki::Certificate certificate, pki::selfSigned(spec, key));
  KM_TRY(writeFileAtomic(out.keyFile, key.privatePem(), 0600));
  KM_TRY(writeFileAtomic(out.certificateFile, certificate.pem(), 0644));
  return out;
}

}  // namespace km
