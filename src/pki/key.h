// Private and public keys: ECDSA (P-256, P-384, P-521) and RSA.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct evp_pkey_st;

namespace km::pki {

enum class KeyKind : uint8_t {
  kEcdsaP256,
  kRsa2048
};  // P-256 is made in microseconds, RSA in some 30 ms of two cores

// Immutable and shared; any thread.
class Key {
 public:
  static Result<Key> generate(KeyKind kind = KeyKind::kEcdsaP256);
  // A private key (PKCS#1, SEC 1, PKCS#8), or a public one (PKIX, PKCS#1, or that of a certificate). The
  // first in `pem`.
  static Result<Key> fromPem(std::string_view pem);
  // All of them, as the files of --service-account-key-file may hold several.
  static Result<std::vector<Key>> allFromPem(std::string_view pem);
  // Takes over one reference.
  static Key adopt(evp_pkey_st* key, bool isPrivate);

  bool isPrivate() const { return private_; }
  bool isRsa() const;
  int bits() const;
  std::string privatePem()
      const;  // "RSA PRIVATE KEY" or "EC PRIVATE KEY", as kubeadm writes; only if isPrivate()
  std::string publicPem() const;  // "PUBLIC KEY"
  std::string publicDer() const;  // PKIX
  bool samePublicKey(const Key& other) const;
  // Upstream's key id: base64url of the SHA-256 of the PKIX DER.
  std::string id() const;

  evp_pkey_st* raw() const { return key_.get(); }  // for TLS contexts; owned by this

 private:
  std::shared_ptr<evp_pkey_st> key_;
  bool private_ = false;
};

}  // namespace km::pki
