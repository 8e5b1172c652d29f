// Owners for OpenSSL's objects, and its errors as Status. Only for sources of pki.
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace km::pki {

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* p) const {
    Free(p);
  }
};
inline void freeOsslBytes(unsigned char* p) {
  OPENSSL_free(p);
}

using Bio = std::unique_ptr<BIO, Freer<BIO_free>>;
using Number = std::unique_ptr<BIGNUM, Freer<BN_free>>;
using PKey = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;
using X509Ptr = std::unique_ptr<X509, Freer<X509_free>>;
using RequestPtr = std::unique_ptr<X509_REQ, Freer<X509_REQ_free>>;
using NamePtr = std::unique_ptr<X509_NAME, Freer<X509_NAME_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, Freer<GENERAL_NAMES_free>>;
using Bytes = std::unique_ptr<unsigned char, Freer<freeOsslBytes>>;

// "what: the library's reason"; empties the thread's error queue.
inline Status osslError(std::string_view what) {
  std::string message(what);
  if (unsigned long code = ERR_peek_last_error()) {
    const char* reason = ERR_reason_error_string(code);
    message += ": ";
    message += reason ? reason : "unknown OpenSSL error";
  }
  ERR_clear_error();
  return errors::failed(message);
}

inline Bio readBio(std::string_view text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}
inline Bio writeBio() {
  return Bio(BIO_new(BIO_s_mem()));
}
inline std::string bioText(const Bio& bio) {
  char* data = nullptr;
  long n = BIO_get_mem_data(bio.get(), &data);
  return n > 0 ? std::string(data, n) : std::string();
}

// DER of `object` by one of the i2d functions.
template <typename T, typename Encode>
std::string derOf(Encode encode, T* object) {
  unsigned char* out = nullptr;
  int n = encode(object, &out);
  Bytes owned(out);
  return n > 0 ? std::string(reinterpret_cast<char*>(out), n) : std::string();
}

}  // namespace km::pki
