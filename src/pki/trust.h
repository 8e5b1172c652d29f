// A bundle of CA certificates, and what it vouches for.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "base/result.h"
#include "pki/certificate.h"

struct x509_store_st;

namespace km::pki {

enum class Usage : uint8_t { kAny, kClient, kServer };

// Immutable and shared; any thread. Any certificate of the bundle is an anchor, also an intermediate, as in
// Go.
class TrustPool {
 public:
  static Result<TrustPool> fromPem(std::string_view bundle);
  static Result<TrustPool> of(std::span<const Certificate> authorities);

  // Checks the chain from `leaf` over any of `intermediates` to an anchor, its times at `now` and the usage
  // of the leaf. Messages read as Go's ("x509: certificate signed by unknown authority").
  Status verify(const Certificate& leaf, std::span<const Certificate> intermediates, Usage usage,
                WallTime now) const;

  const std::vector<Certificate>& authorities() const { return authorities_; }
  x509_store_st* raw() const { return store_.get(); }  // for SSL_CTX_set1_cert_store; owned by this

 private:
  std::shared_ptr<x509_store_st> store_;
  std::vector<Certificate> authorities_;
};

// Whether `name` (a DNS name or an IP address) is among the certificate's names, wildcards included.
bool matchesHost(const Certificate& certificate, std::string_view name);

}  // namespace km::pki
