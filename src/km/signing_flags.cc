#include "km/signing_flags.h"

#include <fmt/format.h>

#include "base/files.h"
#include "controllers/certificates/requests.h"

namespace km {
namespace {

namespace certificates = controllers::certificates;

struct Signer {
  std::string_view flag, name;
};
constexpr Signer kSigners[] = {
    {"kubelet-serving", certificates::kKubeletServingSigner},
    {"kubelet-client", certificates::kKubeletClientSigner},
    {"kube-apiserver-client", certificates::kClientSigner},
    {"legacy-unknown", certificates::kLegacySigner},
};

Result<pki::KeyPair> pairOf(const SigningFlags::Files& f) {
  KM_ASSIGN(std::string certificate, readFile(f.certificate));
  KM_ASSIGN(std::string key, readFile(f.key));
  KM_ASSIGN(pki::KeyPair pair, pki::KeyPair::fromPem(certificate, key));
  if (!pair.key.isPrivate() || !pair.certificate.publicKey().samePublicKey(pair.key)) return errors::badRequest(fmt::format("{} is not the private key of {}", f.key, f.certificate));
  return pair;
}

}  // namespace

SigningFlags::SigningFlags() {
  for (const Signer& s : kSigners) signers[std::string(s.flag)];
}

void SigningFlags::addTo(FlagSet& flags, Duration& life) {
  flags.add(&all.certificate, "cluster-signing-cert-file", "PEM `file` of the authority that signs certificates of the cluster. If specified, no more specific --cluster-signing-* flag may be specified.");
  flags.add(&all.key, "cluster-signing-key-file", "PEM `file` of the private key of --cluster-signing-cert-file.");
  for (const Signer& s : kSigners) {
    Files& f = signers[std::string(s.flag)];
    flags.add(&f.certificate, fmt::format("cluster-signing-{}-cert-file", s.flag), fmt::format("PEM `file` of the authority that signs for {}.", s.name));
    flags.add(&f.key, fmt::format("cluster-signing-{}-key-file", s.flag), fmt::format("PEM `file` of the private key of the authority that signs for {}.", s.name));
  }
  flags.add(&life, "cluster-signing-duration", "The max `length` of duration signed certificates will be given. Individual CSRs may request shorter certs by setting spec.expirationSeconds.");
}

Result<std::map<std::string, pki::KeyPair>> SigningFlags::load() const {
  std::map<std::string, pki::KeyPair> out;
  bool common = !all.certificate.empty() || !all.key.empty();
  for (const Signer& s : kSigners) {
    const Files& own = signers.at(std::string(s.flag));
    bool particular = !own.certificate.empty() || !own.key.empty();
    if (common && particular) return errors::badRequest("cannot specify --cluster-signing-{cert,key}-file and other --cluster-signing-*-file flags at the same time");
    const Files& f = particular ? own : all;
    if (f.certificate.empty() && f.key.empty()) continue;
    if (f.certificate.empty() || f.key.empty()) return errors::badRequest(fmt::format("the certificate and the key of the signer {} go together", s.name));
    KM_ASSIGN(pki::KeyPair pair, pairOf(f));
    out.emplace(s.name, std::move(pair));
  }
  return out;
}

std::map<std::string, pki::KeyPair> signersOf(const pki::KeyPair& authority) {
  std::map<std::string, pki::KeyPair> out;
  for (const Signer& s : kSigners) out.emplace(s.name, authority);
  return out;
}

}  // namespace km
