#include "pki/signer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "pki/detail/ossl.h"
#include "pki/request.h"

namespace km::pki {
namespace {

constexpr Duration kBackdate = std::chrono::minutes(5);
constexpr Duration kShort = std::chrono::hours(8);  // such a life is not shortened by what it begins earlier

struct UsageName {
  std::string_view usage, openssl;
  bool extended;
};
constexpr UsageName kUsages[] = {
    {"signing", "digitalSignature", false},
    {"digital signature", "digitalSignature", false},
    {"content commitment", "nonRepudiation", false},
    {"key encipherment", "keyEncipherment", false},
    {"key agreement", "keyAgreement", false},
    {"data encipherment", "dataEncipherment", false},
    {"cert sign", "keyCertSign", false},
    {"crl sign", "cRLSign", false},
    {"encipher only", "encipherOnly", false},
    {"decipher only", "decipherOnly", false},
    {"any", "anyExtendedKeyUsage", true},
    {"server auth", "serverAuth", true},
    {"client auth", "clientAuth", true},
    {"code signing", "codeSigning", true},
    {"email protection", "emailProtection", true},
    {"s/mime", "emailProtection", true},
    {"ipsec end system", "1.3.6.1.5.5.7.3.5", true},
    {"ipsec tunnel", "1.3.6.1.5.5.7.3.6", true},
    {"ipsec user", "1.3.6.1.5.5.7.3.7", true},
    {"timestamping", "timeStamping", true},
    {"ocsp signing", "OCSPSigning", true},
    {"microsoft sgc", "msSGC", true},
    {"netscape sgc", "nsSGC", true},
};

Status addExtension(X509* x, X509V3_CTX& context, int nid, const std::string& value) {
  ExtensionPtr e(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  if (!e || X509_add_ext(x, e.get(), -1) != 1) return osslError("sign certificate");
  return {};
}

Status addUsages(X509* x, X509V3_CTX& context, const std::vector<std::string>& usages) {
  std::string plain, extended;
  std::vector<std::string> unknown;
  for (const UsageName& u : kUsages) {  // in the table's order, once each
    bool wanted = std::find(usages.begin(), usages.end(), u.usage) != usages.end();
    std::string& list = u.extended ? extended : plain;
    if (wanted && list.find(u.openssl) == std::string::npos) list += (list.empty() ? "" : ",") + std::string(u.openssl);
  }
  for (const std::string& u : usages) {
    bool known = std::any_of(std::begin(kUsages), std::end(kUsages), [&](const UsageName& k) { return k.usage == u; });
    if (!known) unknown.push_back("\"" + u + "\"");
  }
  if (!unknown.empty()) return errors::failed(fmt::format("unrecognized usage values: [{}]", fmt::join(unknown, " ")));
  if (!plain.empty()) KM_TRY(addExtension(x, context, NID_key_usage, "critical," + plain));
  if (!extended.empty()) KM_TRY(addExtension(x, context, NID_ext_key_usage, extended));
  return {};
}

Status setTimes(X509* x, const Certificate& authority, const SigningPolicy& policy) {
  WallTime begin = addTo(policy.now, -kBackdate);
  WallTime end = addTo(policy.now, policy.life < kShort ? policy.life : policy.life - kBackdate);
  WallTime last = authority.notAfter();
  if (end.seconds > last.seconds) end = last;
  if (begin.seconds >= last.seconds || policy.now.seconds >= last.seconds) return errors::failed("the signer has expired");
  if (!ASN1_TIME_set(X509_getm_notBefore(x), begin.seconds) || !ASN1_TIME_set(X509_getm_notAfter(x), end.seconds)) return osslError("sign certificate");
  return {};
}

void freeExtensions(STACK_OF(X509_EXTENSION) * list) { sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free); }

}  // namespace

Result<std::string> signRequest(const KeyPair& authority, std::string_view requestPem, const SigningPolicy& policy) {
  KM_TRY(parseRequest(requestPem).status());  // its own signature
  Bio in = readBio(requestPem);
  RequestPtr request(PEM_read_bio_X509_REQ(in.get(), nullptr, nullptr, nullptr));
  if (!request) return osslError("parse certificate request");
  X509Ptr owned(X509_new());
  X509* x = owned.get();
  X509_set_version(x, X509_VERSION_3);
  Number serial(BN_new());
  if (BN_rand(serial.get(), 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) != 1 || !BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(x))) {
    return osslError("sign certificate");
  }
  if (X509_set_subject_name(x, X509_REQ_get_subject_name(request.get())) != 1 || X509_set_pubkey(x, X509_REQ_get0_pubkey(request.get())) != 1 ||
      X509_set_issuer_name(x, X509_get_subject_name(authority.certificate.raw())) != 1) {
    return osslError("sign certificate");
  }
  KM_TRY(setTimes(x, authority.certificate, policy));
  X509V3_CTX context;
  X509V3_set_ctx(&context, authority.certificate.raw(), x, request.get(), nullptr, 0);
  KM_TRY(addUsages(x, context, policy.usages));
  KM_TRY(addExtension(x, context, NID_basic_constraints, "critical,CA:FALSE"));
  if (X509_get0_subject_key_id(authority.certificate.raw()) != nullptr) KM_TRY(addExtension(x, context, NID_authority_key_identifier, "keyid"));
  std::unique_ptr<STACK_OF(X509_EXTENSION), decltype(&freeExtensions)> asked(X509_REQ_get_extensions(request.get()), freeExtensions);
  int at = asked ? X509v3_get_ext_by_NID(asked.get(), NID_subject_alt_name, -1) : -1;
  if (at >= 0 && X509_add_ext(x, X509v3_get_ext(asked.get(), at), -1) != 1) return osslError("sign certificate");
  if (X509_sign(x, authority.key.raw(), EVP_sha256()) == 0) return osslError("sign certificate");
  Bio out = writeBio();
  PEM_write_bio_X509(out.get(), x);
  ERR_clear_error();
  return bioText(out);
}

}  // namespace km::pki
