#include "pki/request.h"

#include "pki/detail/names.h"
#include "pki/detail/ossl.h"

namespace km::pki {
namespace {
void freeExtensions(STACK_OF(X509_EXTENSION) * list) {
  sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
}
using Extensions = std::unique_ptr<STACK_OF(X509_EXTENSION), Freer<freeExtensions>>;
}  // namespace

Result<std::string> makeRequest(const CertificateSpec& spec, const Key& key) {
  RequestPtr request(X509_REQ_new());
  X509_REQ_set_version(request.get(), X509_REQ_VERSION_1);
  NamePtr name = makeName(spec.commonName, spec.organizations);
  if (X509_REQ_set_subject_name(request.get(), name.get()) != 1 ||
      X509_REQ_set_pubkey(request.get(), key.raw()) != 1) {
    return osslError("make certificate request");
  }
  KM_ASSIGN(ExtensionPtr alternatives, makeAltNames(spec.dnsNames, spec.ips));
  if (alternatives) {
    Extensions list(sk_X509_EXTENSION_new_null());
    sk_X509_EXTENSION_push(list.get(), alternatives.release());
    if (X509_REQ_add_extensions(request.get(), list.get()) != 1) return osslError("make certificate request");
  }
  if (X509_REQ_sign(request.get(), key.raw(), EVP_sha256()) == 0)
    return osslError("sign certificate request");
  Bio bio = writeBio();
  PEM_write_bio_X509_REQ(bio.get(), request.get());
  return bioText(bio);
}

Result<RequestedCertificate> parseRequest(std::string_view pem) {
  constexpr std::string_view kNotAPem = "PEM block type must be CERTIFICATE REQUEST";
  if (pem.find("-----BEGIN CERTIFICATE REQUEST-----") == std::string_view::npos)
    return errors::badRequest(kNotAPem);
  Bio bio = readBio(pem);
  RequestPtr request(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
  if (!request) return osslError("parse certificate request");
  EVP_PKEY* key = X509_REQ_get_pubkey(request.get());
  if (!key) return osslError("parse certificate request");
  RequestedCertificate out;
  out.publicKey = Key::adopt(key, false);
  if (X509_REQ_verify(request.get(), key) != 1) return osslError("certificate request signature");
  const X509_NAME* subject = X509_REQ_get_subject_name(request.get());
  auto names = nameEntries(subject, NID_commonName);
  if (!names.empty()) out.commonName = names.back();
  out.organizations = nameEntries(subject, NID_organizationName);
  Extensions extensions(X509_REQ_get_extensions(request.get()));
  NamesPtr alternatives(
      static_cast<GENERAL_NAMES*>(X509V3_get_d2i(extensions.get(), NID_subject_alt_name, nullptr, nullptr)));
  AltNames alt = readAltNames(alternatives.get());
  out.dnsNames = std::move(alt.dns);
  out.ips = std::move(alt.ips);
  out.emails = std::move(alt.emails);
  out.uris = std::move(alt.uris);
  ERR_clear_error();
  return out;
}

}  // namespace km::pki
