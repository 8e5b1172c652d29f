#include "pki/jws.h"

#include "base/base64.h"
#include "base/strings.h"
#include "pki/detail/json.h"
#include "pki/detail/ossl.h"

namespace km::pki {
namespace {

using Signature = std::unique_ptr<ECDSA_SIG, Freer<ECDSA_SIG_free>>;

const EVP_MD* digestOf(std::string_view algorithm) {
  if (algorithm == "ES384") return EVP_sha384();
  if (algorithm == "ES512") return EVP_sha512();
  return EVP_sha256();
}

size_t numberSize(const Key& key) {
  return (static_cast<size_t>(key.bits()) + 7) / 8;
}

// JWS writes r and s side by side; OpenSSL speaks DER.
std::string rawFromDer(std::string_view der, size_t size) {
  auto* p = reinterpret_cast<const unsigned char*>(der.data());
  Signature signature(d2i_ECDSA_SIG(nullptr, &p, static_cast<long>(der.size())));
  std::string out(2 * size, '\0');
  auto* to = reinterpret_cast<unsigned char*>(out.data());
  if (!signature || BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), to, static_cast<int>(size)) < 0 ||
      BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), to + size, static_cast<int>(size)) < 0) {
    return {};
  }
  return out;
}

std::string derFromRaw(std::string_view raw, size_t size) {
  if (raw.size() != 2 * size) return {};
  auto* from = reinterpret_cast<const unsigned char*>(raw.data());
  Signature signature(ECDSA_SIG_new());
  Number r(BN_bin2bn(from, static_cast<int>(size), nullptr));
  Number s(BN_bin2bn(from + size, static_cast<int>(size), nullptr));
  if (ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1) return {};
  (void)r.release();
  (void)s.release();
  return derOf(i2d_ECDSA_SIG, signature.get());
}

}  // namespace

std::string_view algorithmOf(const Key& key) {
  if (key.isRsa()) return "RS256";
  if (EVP_PKEY_get_base_id(key.raw()) != EVP_PKEY_EC) return "";
  switch (key.bits()) {
    case 256:
      return "ES256";
    case 384:
      return "ES384";
    case 521:
      return "ES512";
    default:
      return "";
  }
}

Result<std::string> signJws(const Key& key, std::string_view payload) {
  std::string_view algorithm = algorithmOf(key);
  if (algorithm.empty() || !key.isPrivate()) {
    return errors::failed("unknown private key type, must be RSA or ECDSA over P-256, P-384 or P-521");
  }
  std::string token = base64UrlEncode(JsonObject().text("alg", algorithm).text("kid", key.id()).str());
  token += '.';
  token += base64UrlEncode(payload);
  DigestContext context(EVP_MD_CTX_new());
  auto* data = reinterpret_cast<const unsigned char*>(token.data());
  size_t n = 0;
  if (EVP_DigestSignInit(context.get(), nullptr, digestOf(algorithm), nullptr, key.raw()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &n, data, token.size()) != 1) {
    return osslError("sign token");
  }
  std::string signature(n, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &n, data,
                     token.size()) != 1) {
    return osslError("sign token");
  }
  signature.resize(n);
  if (!key.isRsa()) signature = rawFromDer(signature, numberSize(key));
  if (signature.empty()) return osslError("sign token");
  return token + '.' + base64UrlEncode(signature);
}

Result<Jws> parseJws(std::string_view token) {
  auto parts = split(token, '.');
  if (parts.size() != 3) return errors::unauthorized("compact JWS format must have three parts");
  auto header = base64UrlDecode(parts[0]);
  auto payload = base64UrlDecode(parts[1]);
  auto signature = base64UrlDecode(parts[2]);
  if (!header || !payload || !signature) return errors::unauthorized("illegal base64 data in JWS");
  auto json = parseJson(*header);
  if (!json || json->kind != Json::kObject) return errors::unauthorized("JWS header is not a JSON object");
  // Extensions that must be understood (RFC 7515, crit) are none we know.
  if (json->find("crit")) return errors::unauthorized("JWS header names critical extensions");
  Jws out;
  out.algorithm = json->stringAt("alg");
  out.keyId = json->stringAt("kid");
  out.payload = std::move(*payload);
  out.signature = std::move(*signature);
  out.signedPart = token.substr(0, token.size() - parts[2].size() - 1);
  return out;
}

bool verifyJws(const Jws& jws, const Key& key) {
  std::string_view algorithm = algorithmOf(key);
  if (algorithm.empty() || jws.algorithm != algorithm) return false;
  std::string signature = key.isRsa() ? jws.signature : derFromRaw(jws.signature, numberSize(key));
  if (signature.empty()) return false;
  DigestContext context(EVP_MD_CTX_new());
  bool ok = EVP_DigestVerifyInit(context.get(), nullptr, digestOf(algorithm), nullptr, key.raw()) == 1 &&
            EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                             signature.size(), reinterpret_cast<const unsigned char*>(jws.signedPart.data()),
                             jws.signedPart.size()) == 1;
  ERR_clear_error();
  return ok;
}

}  // namespace km::pki
