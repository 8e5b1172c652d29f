#include "http/test_certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <atomic>

namespace km::http {

namespace {

std::string takeText(BIO* bio) {
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  std::string text(data, size);
  BIO_free(bio);
  return text;
}

void extend(X509* x, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX ctx;
  X509V3_set_ctx(&ctx, issuer, x, nullptr, nullptr, 0);
  X509_EXTENSION* e = X509V3_EXT_conf_nid(nullptr, &ctx, nid, value.c_str());
  X509_add_ext(x, e, -1);
  X509_EXTENSION_free(e);
}

}  // namespace

TestPair makeTestCertificate(const std::string& commonName, const std::vector<std::string>& organizations,
                             const std::vector<std::string>& altNames, const TestPair* issuer) {
  static std::atomic<long> serial{1000};
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* x = X509_new();
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), serial.fetch_add(1));
  X509_gmtime_adj(X509_getm_notBefore(x), -3600);
  X509_gmtime_adj(X509_getm_notAfter(x), 86400);
  X509_set_pubkey(x, key);
  X509_NAME* name = X509_get_subject_name(x);
  auto add = [name](const char* type, const std::string& value) {
    X509_NAME_add_entry_by_txt(name, type, MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(value.data()),
                               static_cast<int>(value.size()), -1, 0);
  };
  for (const auto& o : organizations) add("O", o);
  add("CN", commonName);
  X509* authority = x;
  EVP_PKEY* signer = key;
  if (issuer != nullptr) {
    BIO* bio =
        BIO_new_mem_buf(issuer->certificatePem.data(), static_cast<int>(issuer->certificatePem.size()));
    authority = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    BIO_free(bio);
    bio = BIO_new_mem_buf(issuer->keyPem.data(), static_cast<int>(issuer->keyPem.size()));
    signer = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
    BIO_free(bio);
  }
  X509_set_issuer_name(x, X509_get_subject_name(authority));
  extend(x, authority, NID_basic_constraints, issuer == nullptr ? "critical,CA:TRUE" : "critical,CA:FALSE");
  extend(x, authority, NID_subject_key_identifier, "hash");
  std::string alt;
  for (const auto& a : altNames) alt += (alt.empty() ? "" : ",") + a;
  if (!alt.empty()) extend(x, authority, NID_subject_alt_name, alt);
  X509_sign(x, signer, EVP_sha256());
  TestPair pair;
  BIO* out = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(out, x);
  pair.certificatePem = takeText(out);
  out = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
  pair.keyPem = takeText(out);
  if (issuer != nullptr) {
    X509_free(authority);
    EVP_PKEY_free(signer);
  }
  X509_free(x);
  EVP_PKEY_free(key);
  return pair;
}

}  // namespace km::http
