#include "pki/certificate.h"

#include <ctime>

#include "base/rand.h"
#include "pki/detail/names.h"
#include "pki/detail/ossl.h"

namespace km::pki {
namespace {

AltNames altNamesOf(X509* certificate) {
  NamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  return readAltNames(names.get());
}

WallTime wallTimeOf(const ASN1_TIME* time) {
  tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return {timegm(&parts), 0};
}

bool addExtension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

Status setSerial(X509* certificate) {
  uint64_t serial = randomUint64() >> 1 | uint64_t{1} << 32;  // positive, never short
  if (ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial) != 1)
    return osslError("serial number");
  return {};
}

Status setUsages(X509* certificate, X509* issuer, const CertificateSpec& spec) {
  bool ok = addExtension(certificate, issuer, NID_key_usage,
                         spec.ca ? "critical,digitalSignature,keyEncipherment,keyCertSign"
                                 : "critical,digitalSignature,keyEncipherment");
  if (spec.server || spec.client) {
    const char* usages = spec.server && spec.client ? "serverAuth,clientAuth"
                         : spec.server              ? "serverAuth"
                                                    : "clientAuth";
    ok = ok && addExtension(certificate, issuer, NID_ext_key_usage, usages);
  }
  ok = ok && addExtension(certificate, issuer, NID_basic_constraints,
                          spec.ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (spec.ca) ok = ok && addExtension(certificate, issuer, NID_subject_key_identifier, "hash");
  if (issuer != certificate && X509_get0_subject_key_id(issuer)) {
    ok = ok && addExtension(certificate, issuer, NID_authority_key_identifier, "keyid");
  }
  return ok ? Status() : osslError("certificate extensions");
}

// `issuer` is null for a self-signed certificate.
Result<Certificate> make(const CertificateSpec& spec, const Key& subject, X509* issuer, const Key& signer) {
  X509Ptr certificate(X509_new());
  X509* x = certificate.get();
  X509_set_version(x, X509_VERSION_3);
  KM_TRY(setSerial(x));
  NamePtr name = makeName(spec.commonName, spec.organizations);
  if (X509_set_subject_name(x, name.get()) != 1 ||
      X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : name.get()) != 1 ||
      !ASN1_TIME_set(X509_getm_notBefore(x), spec.notBefore.seconds) ||
      !ASN1_TIME_set(X509_getm_notAfter(x), spec.notAfter.seconds) ||
      X509_set_pubkey(x, subject.raw()) != 1) {
    return osslError("make certificate");
  }
  KM_TRY(setUsages(x, issuer ? issuer : x, spec));
  KM_ASSIGN(ExtensionPtr alternatives, makeAltNames(spec.dnsNames, spec.ips));
  if (alternatives && X509_add_ext(x, alternatives.get(), -1) != 1) return osslError("make certificate");
  if (X509_sign(x, signer.raw(), EVP_sha256()) == 0) return osslError("sign certificate");
  return Certificate::adopt(certificate.release());
}

}  // namespace

Certificate Certificate::adopt(x509_st* certificate) {
  X509_check_purpose(certificate, -1, 0);  // reads the extensions now, so that later readers only read
  ERR_clear_error();
  Certificate out;
  out.certificate_ = std::shared_ptr<x509_st>(certificate, X509_free);
  return out;
}

Certificate Certificate::share(x509_st* certificate) {
  X509_up_ref(certificate);
  return adopt(certificate);
}

Result<Certificate> Certificate::fromDer(std::string_view der) {
  auto* p = reinterpret_cast<const unsigned char*>(der.data());
  X509* x = d2i_X509(nullptr, &p, static_cast<long>(der.size()));
  if (!x) return osslError("parse certificate");
  return adopt(x);
}

Result<std::vector<Certificate>> Certificate::allFromPem(std::string_view pem) {
  std::vector<Certificate> out;
  Bio bio = readBio(pem);
  while (X509* x = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) out.push_back(adopt(x));
  // The queue ends with "no start line" when all was read.
  bool end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!end) return osslError("parse certificate");
  ERR_clear_error();
  if (out.empty()) return errors::failed("data does not contain any valid RSA or ECDSA certificates");
  return out;
}

Result<Certificate> Certificate::fromPem(std::string_view pem) {
  KM_ASSIGN(std::vector<Certificate> all, allFromPem(pem));
  return std::move(all.front());
}

std::string Certificate::pem() const {
  Bio bio = writeBio();
  PEM_write_bio_X509(bio.get(), raw());
  return bioText(bio);
}

std::string Certificate::der() const {
  return derOf(i2d_X509, raw());
}

std::string Certificate::commonName() const {
  auto names = nameEntries(X509_get_subject_name(raw()), NID_commonName);
  return names.empty() ? std::string() : names.back();  // Go keeps the last
}

std::vector<std::string> Certificate::organizations() const {
  return nameEntries(X509_get_subject_name(raw()), NID_organizationName);
}

std::vector<std::string> Certificate::dnsNames() const {
  return altNamesOf(raw()).dns;
}
std::vector<std::string> Certificate::ips() const {
  return altNamesOf(raw()).ips;
}
WallTime Certificate::notBefore() const {
  return wallTimeOf(X509_get0_notBefore(raw()));
}
WallTime Certificate::notAfter() const {
  return wallTimeOf(X509_get0_notAfter(raw()));
}
bool Certificate::isCa() const {
  return (X509_get_extension_flags(raw()) & EXFLAG_CA) != 0;
}
bool Certificate::allowsClient() const {
  return (X509_get_extended_key_usage(raw()) & (XKU_SSL_CLIENT | XKU_ANYEKU)) !=
         0;  // all bits if there are no usages
}
bool Certificate::allowsServer() const {
  return (X509_get_extended_key_usage(raw()) & (XKU_SSL_SERVER | XKU_ANYEKU)) != 0;
}
Key Certificate::publicKey() const {
  return Key::adopt(X509_get_pubkey(raw()), false);
}

std::string Certificate::sha256() const {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int n = 0;
  X509_digest(raw(), EVP_sha256(), digest, &n);
  return {reinterpret_cast<char*>(digest), n};
}

bool Certificate::signedBy(const Certificate& issuer) const {
  bool ok = X509_NAME_cmp(X509_get_issuer_name(raw()), X509_get_subject_name(issuer.raw())) == 0 &&
            X509_verify(raw(), X509_get0_pubkey(issuer.raw())) == 1;
  ERR_clear_error();
  return ok;
}

std::string toPem(std::span<const Certificate> chain) {
  std::string out;
  for (const Certificate& certificate : chain) out += certificate.pem();
  return out;
}

Result<KeyPair> KeyPair::fromPem(std::string_view certificatePem, std::string_view keyPem) {
  KM_ASSIGN(Certificate certificate, Certificate::fromPem(certificatePem));
  KM_ASSIGN(Key key, Key::fromPem(keyPem));
  return KeyPair{std::move(certificate), std::move(key)};
}

Result<Certificate> KeyPair::sign(const CertificateSpec& spec, const Key& subject) const {
  return make(spec, subject, certificate.raw(), key);
}

Result<KeyPair> KeyPair::issue(const CertificateSpec& spec, KeyKind kind) const {
  KM_ASSIGN(Key made, Key::generate(kind));
  KM_ASSIGN(Certificate signedOne, sign(spec, made));
  return KeyPair{std::move(signedOne), std::move(made)};
}

Result<Certificate> selfSigned(const CertificateSpec& spec, const Key& key) {
  return make(spec, key, nullptr, key);
}

Result<KeyPair> newAuthority(const std::string& commonName, WallTime now, Duration validity, KeyKind kind) {
  KM_ASSIGN(Key key, Key::generate(kind));
  CertificateSpec spec;
  spec.commonName = commonName;
  spec.dnsNames = {commonName};  // as kubeadm's CAs
  spec.ca = true;
  spec.notBefore = now;
  spec.notAfter = addTo(now, validity);
  KM_ASSIGN(Certificate certificate, selfSigned(spec, key));
  return KeyPair{std::move(certificate), std::move(key)};
}

WallTime addTo(WallTime time, Duration delay) {
  int64_t nanos = time.nanos + delay.count() % 1'000'000'000;
  int64_t seconds = time.seconds + delay.count() / 1'000'000'000;
  if (nanos < 0) nanos += 1'000'000'000, seconds--;
  if (nanos >= 1'000'000'000) nanos -= 1'000'000'000, seconds++;
  return {seconds, static_cast<int32_t>(nanos)};
}

}  // namespace km::pki
