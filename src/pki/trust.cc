#include "pki/trust.h"

#include <arpa/inet.h>

#include <ctime>

#include "pki/detail/ossl.h"

namespace km::pki {
namespace {

void freeChain(STACK_OF(X509) * chain) {
  sk_X509_free(chain);
}
using Chain = std::unique_ptr<STACK_OF(X509), Freer<freeChain>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Freer<X509_STORE_CTX_free>>;

std::string rfc3339(WallTime time) {
  time_t seconds = time.seconds;
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string describe(int error, const Certificate& at, WallTime now) {
  constexpr const char* kTime = "x509: certificate has expired or is not yet valid: current time ";
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return kTime + rfc3339(now) + " is after " + rfc3339(at.notAfter());
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return kTime + rfc3339(now) + " is before " + rfc3339(at.notBefore());
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return "x509: certificate signed by unknown authority";
    case X509_V_ERR_INVALID_PURPOSE:
      return "x509: certificate specifies an incompatible key usage";
    case X509_V_ERR_INVALID_CA:
    case X509_V_ERR_KEYUSAGE_NO_CERTSIGN:
      return "x509: invalid signature: parent certificate cannot sign this kind of certificate";
    default:
      return std::string("x509: ") + X509_verify_cert_error_string(error);
  }
}

}  // namespace

Result<TrustPool> TrustPool::fromPem(std::string_view bundle) {
  KM_ASSIGN(std::vector<Certificate> all, Certificate::allFromPem(bundle));
  return of(all);
}

Result<TrustPool> TrustPool::of(std::span<const Certificate> authorities) {
  TrustPool pool;
  pool.authorities_.assign(authorities.begin(), authorities.end());
  pool.store_ = std::shared_ptr<x509_store_st>(X509_STORE_new(), X509_STORE_free);
  for (const Certificate& ca : authorities) {
    if (X509_STORE_add_cert(pool.store_.get(), ca.raw()) != 1) return osslError("add certificate to pool");
  }
  return pool;
}

Status TrustPool::verify(const Certificate& leaf, std::span<const Certificate> intermediates, Usage usage,
                         WallTime now) const {
  Chain chain(sk_X509_new_null());
  for (const Certificate& c : intermediates) sk_X509_push(chain.get(), c.raw());
  StoreContext context(X509_STORE_CTX_new());
  if (X509_STORE_CTX_init(context.get(), store_.get(), leaf.raw(), chain.get()) != 1) {
    return osslError("verify certificate");
  }
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(param, now.seconds);
  X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
  if (usage == Usage::kClient) X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT);
  if (usage == Usage::kServer) X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
  int ok = X509_verify_cert(context.get());
  ERR_clear_error();
  if (ok == 1) return {};
  X509* at = X509_STORE_CTX_get_current_cert(context.get());
  Certificate where = at ? Certificate::share(at) : leaf;
  return errors::unauthorized(describe(X509_STORE_CTX_get_error(context.get()), where, now));
}

bool matchesHost(const Certificate& certificate, std::string_view name) {
  std::string text(name);
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') text = text.substr(1, text.size() - 2);
  unsigned char bytes[16];
  bool v4 = inet_pton(AF_INET, text.c_str(), bytes) == 1;
  if (v4 || inet_pton(AF_INET6, text.c_str(), bytes) == 1) {
    return X509_check_ip(certificate.raw(), bytes, v4 ? 4 : 16, 0) == 1;
  }
  // As Go: a name in the subject does not count.
  return X509_check_host(certificate.raw(), text.data(), text.size(), X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
                         nullptr) == 1;
}

}  // namespace km::pki
