// X.509 certificates: making, signing, reading.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "pki/key.h"

struct x509_st;

namespace km::pki {

// What a certificate is to say. Names are written as given, also those longer than X.520 likes.
struct CertificateSpec {
  std::string commonName;
  std::vector<std::string> organizations;
  std::vector<std::string> dnsNames;
  std::vector<std::string> ips;  // text, v4 or v6
  bool client = false;           // extended key usages
  bool server = false;
  bool ca = false;
  WallTime notBefore;
  WallTime notAfter;
};

// Immutable and shared; any thread.
class Certificate {
 public:
  static Result<Certificate> fromPem(std::string_view pem);  // the first
  static Result<std::vector<Certificate>> allFromPem(std::string_view pem);
  static Result<Certificate> fromDer(std::string_view der);
  static Certificate adopt(x509_st* certificate);  // takes over one reference
  static Certificate share(x509_st* certificate);  // adds one, e.g. of SSL_get0_peer_certificate

  std::string pem() const;
  std::string der() const;
  std::string commonName() const;
  std::vector<std::string> organizations() const;
  std::vector<std::string> dnsNames() const;
  std::vector<std::string> ips() const;
  WallTime notBefore() const;
  WallTime notAfter() const;
  bool isCa() const;
  bool allowsClient() const;  // extended key usages; none at all allows everything
  bool allowsServer() const;
  Key publicKey() const;
  std::string sha256() const;                      // 32 raw bytes of the DER's digest
  bool signedBy(const Certificate& issuer) const;  // the signature only

  x509_st* raw() const { return certificate_.get(); }

 private:
  std::shared_ptr<x509_st> certificate_;
};

std::string toPem(std::span<const Certificate> chain);

// A certificate and its private key. If the certificate is a CA's, it signs.
struct KeyPair {
  Certificate certificate;
  Key key;

  // The first certificate of one text and the key of the other; whether they belong together is the caller's question.
  static Result<KeyPair> fromPem(std::string_view certificatePem, std::string_view keyPem);
  // A certificate for `subject` (its public part) issued by this CA.
  Result<Certificate> sign(const CertificateSpec& spec, const Key& subject) const;
  // Makes a key and its certificate.
  Result<KeyPair> issue(const CertificateSpec& spec, KeyKind kind = KeyKind::kEcdsaP256) const;
};

// A certificate signed by its own key; a CA if spec.ca.
Result<Certificate> selfSigned(const CertificateSpec& spec, const Key& key);
Result<KeyPair> newAuthority(const std::string& commonName, WallTime now, Duration validity,
                             KeyKind kind = KeyKind::kEcdsaP256);

// Seconds and a Duration added; for validity.
WallTime addTo(WallTime time, Duration delay);

}  // namespace km::pki
