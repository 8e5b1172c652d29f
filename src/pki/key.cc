#include "pki/key.h"

#include "base/base64.h"
#include "base/log.h"
#include "pki/detail/ossl.h"
#include "pki/detail/rsa.h"

namespace km::pki {
namespace {

// The key of the PEM block `type` with contents `der`; null if the block is something else.
PKey decodeBlock(std::string_view type, const unsigned char* der, long length, bool& isPrivate) {
  const unsigned char* p = der;
  isPrivate = type.ends_with("PRIVATE KEY");
  if (type == "PRIVATE KEY") return PKey(d2i_AutoPrivateKey(nullptr, &p, length));
  if (type == "RSA PRIVATE KEY") return PKey(d2i_PrivateKey(EVP_PKEY_RSA, nullptr, &p, length));
  if (type == "EC PRIVATE KEY") return PKey(d2i_PrivateKey(EVP_PKEY_EC, nullptr, &p, length));
  if (type == "PUBLIC KEY") return PKey(d2i_PUBKEY(nullptr, &p, length));
  if (type == "RSA PUBLIC KEY") return PKey(d2i_PublicKey(EVP_PKEY_RSA, nullptr, &p, length));
  if (type == "CERTIFICATE") {
    X509Ptr certificate(d2i_X509(nullptr, &p, length));
    return PKey(certificate ? X509_get_pubkey(certificate.get()) : nullptr);
  }
  return nullptr;
}

}  // namespace

Key Key::adopt(evp_pkey_st* key, bool isPrivate) {
  Key out;
  out.key_ = std::shared_ptr<evp_pkey_st>(key, EVP_PKEY_free);
  out.private_ = isPrivate;
  return out;
}

Result<Key> Key::generate(KeyKind kind) {
  PKey key = kind == KeyKind::kRsa2048 ? generateRsa2048() : PKey(EVP_EC_gen("P-256"));
  if (!key) return osslError("generate key");
  return adopt(key.release(), true);
}

Result<std::vector<Key>> Key::allFromPem(std::string_view pem) {
  std::vector<Key> keys;
  Bio bio = readBio(pem);
  char *type = nullptr, *header = nullptr;
  unsigned char* data = nullptr;
  long length = 0;
  while (PEM_read_bio(bio.get(), &type, &header, &data, &length) == 1) {
    bool isPrivate = false;
    PKey key = decodeBlock(type, data, length, isPrivate);
    OPENSSL_free(type);
    OPENSSL_free(header);
    OPENSSL_clear_free(data, length);
    if (key) keys.push_back(adopt(key.release(), isPrivate));
  }
  ERR_clear_error();
  if (keys.empty()) return errors::failed("data does not contain a valid RSA or ECDSA key");
  return keys;
}

Result<Key> Key::fromPem(std::string_view pem) {
  KM_ASSIGN(std::vector<Key> keys, allFromPem(pem));
  return std::move(keys.front());
}

bool Key::isRsa() const {
  return EVP_PKEY_get_base_id(key_.get()) == EVP_PKEY_RSA;
}
int Key::bits() const {
  return EVP_PKEY_get_bits(key_.get());
}

std::string Key::privatePem() const {
  KM_CHECK(private_);
  Bio bio = writeBio();
  PEM_write_bio_PrivateKey_traditional(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return bioText(bio);
}

std::string Key::publicPem() const {
  Bio bio = writeBio();
  PEM_write_bio_PUBKEY(bio.get(), key_.get());
  return bioText(bio);
}

std::string Key::publicDer() const {
  return derOf(i2d_PUBKEY, key_.get());
}

bool Key::samePublicKey(const Key& other) const {
  return EVP_PKEY_eq(key_.get(), other.key_.get()) == 1;
}

std::string Key::id() const {
  std::string der = publicDer();
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int n = 0;
  EVP_Digest(der.data(), der.size(), digest, &n, EVP_sha256(), nullptr);
  return base64UrlEncode({reinterpret_cast<char*>(digest), n});
}

}  // namespace km::pki
