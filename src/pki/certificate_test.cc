#include "pki/certificate.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include "pki/request.h"
#include "pki/trust.h"

namespace km::pki {
namespace {

constexpr WallTime kNow{1'800'000'000, 0};
constexpr Duration kDay = std::chrono::hours(24);

CertificateSpec clientSpec() {
  CertificateSpec spec;
  spec.commonName = "alice";
  spec.organizations = {"devs", "testers"};
  spec.client = true;
  spec.notBefore = kNow;
  spec.notAfter = addTo(kNow, kDay);
  return spec;
}

TEST(Key, PemBothWays) {
  for (KeyKind kind : {KeyKind::kEcdsaP256, KeyKind::kRsa2048}) {
    Key key = Key::generate(kind).value();
    EXPECT_TRUE(key.privatePem().starts_with(kind == KeyKind::kRsa2048 ? "-----BEGIN RSA PRIVATE KEY-----"
                                                                       : "-----BEGIN EC PRIVATE KEY-----"));
    Key again = Key::fromPem(key.privatePem()).value();
    Key publicOne = Key::fromPem(key.publicPem()).value();
    EXPECT_TRUE(again.isPrivate());
    EXPECT_FALSE(publicOne.isPrivate());
    EXPECT_TRUE(publicOne.samePublicKey(again));
    EXPECT_EQ(publicOne.id(), key.id());
    EXPECT_EQ(key.id().size(), 43u);
  }
  EXPECT_EQ(Key::fromPem("nothing").status().message(), "data does not contain a valid RSA or ECDSA key");
  Key a = Key::generate().value(), b = Key::generate().value();
  EXPECT_EQ(Key::allFromPem(a.publicPem() + b.privatePem()).value().size(), 2u);
}

TEST(Key, RsaNumbersFitTogether) {
  for (int i = 0; i < 3; i++) {
    Key key = Key::generate(KeyKind::kRsa2048).value();
    EXPECT_EQ(key.bits(), 2048);
    std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> ctx(EVP_PKEY_CTX_new(key.raw(), nullptr), EVP_PKEY_CTX_free);
    EXPECT_EQ(EVP_PKEY_check(ctx.get()), 1);  // primes, exponents, product
    EXPECT_EQ(EVP_PKEY_pairwise_check(ctx.get()), 1);
  }
}

TEST(Certificate, SaysWhatWasAskedFor) {
  KeyPair ca = newAuthority("kubernetes", kNow, kDay * 365).value();
  EXPECT_TRUE(ca.certificate.isCa());
  EXPECT_EQ(ca.certificate.commonName(), "kubernetes");
  CertificateSpec spec = clientSpec();
  spec.server = true;
  spec.dnsNames = {"web.example", "*.pods.example"};
  spec.ips = {"10.0.0.1", "fd00::1"};
  KeyPair pair = ca.issue(spec).value();
  Certificate read = Certificate::fromPem(pair.certificate.pem()).value();
  EXPECT_EQ(read.commonName(), "alice");
  EXPECT_EQ(read.organizations(), (std::vector<std::string>{"devs", "testers"}));
  EXPECT_EQ(read.dnsNames(), spec.dnsNames);
  EXPECT_EQ(read.ips(), spec.ips);
  EXPECT_EQ(read.notBefore(), kNow);
  EXPECT_EQ(read.notAfter(), addTo(kNow, kDay));
  EXPECT_FALSE(read.isCa());
  EXPECT_TRUE(read.signedBy(ca.certificate));
  EXPECT_TRUE(matchesHost(read, "web.example"));
  EXPECT_TRUE(matchesHost(read, "a.pods.example"));
  EXPECT_TRUE(matchesHost(read, "[fd00:0::1]"));
  EXPECT_FALSE(matchesHost(read, "10.0.0.2"));
  EXPECT_FALSE(matchesHost(read, "alice"));
  EXPECT_EQ(Certificate::fromDer(read.der()).value().sha256(), pair.certificate.sha256());
}

TEST(Certificate, LongNamesAreWrittenWhole) {
  CertificateSpec spec = clientSpec();
  spec.commonName = "system:node:" + std::string(200, 'n');
  KeyPair ca = newAuthority("ca", kNow, kDay).value();
  EXPECT_EQ(ca.issue(spec).value().certificate.commonName(), spec.commonName);
  spec.ips = {"no address"};
  EXPECT_FALSE(ca.issue(spec).ok());
}

TEST(Certificate, ReadsBundlesAndRefusesDamage) {
  KeyPair a = newAuthority("a", kNow, kDay).value(), b = newAuthority("b", kNow, kDay).value();
  std::string bundle = "comment\n" + a.certificate.pem() + b.key.privatePem() + b.certificate.pem();
  EXPECT_EQ(Certificate::allFromPem(bundle).value().size(), 2u);
  EXPECT_FALSE(Certificate::allFromPem("").ok());
  std::string damaged = a.certificate.pem();
  damaged[100] = damaged[100] == 'A' ? 'B' : 'A';
  damaged.erase(120, 2);
  EXPECT_FALSE(Certificate::allFromPem(damaged).ok());
}

TEST(TrustPool, ChecksAuthorityTimeAndUsage) {
  KeyPair ca = newAuthority("ca", kNow, kDay * 10).value(), other = newAuthority("ca", kNow, kDay).value();
  Certificate leaf = ca.issue(clientSpec()).value().certificate;
  TrustPool pool = TrustPool::fromPem(ca.certificate.pem()).value();
  EXPECT_TRUE(pool.verify(leaf, {}, Usage::kClient, addTo(kNow, kDay / 2)).ok());
  EXPECT_TRUE(pool.verify(leaf, {}, Usage::kAny, addTo(kNow, kDay / 2)).ok());
  EXPECT_EQ(pool.verify(leaf, {}, Usage::kServer, addTo(kNow, kDay / 2)).message(),
            "x509: certificate specifies an incompatible key usage");
  EXPECT_EQ(pool.verify(leaf, {}, Usage::kClient, addTo(kNow, kDay * 2)).message(),
            "x509: certificate has expired or is not yet valid: current time 2027-01-17T08:00:00Z is after "
            "2027-01-16T08:00:00Z");
  EXPECT_FALSE(pool.verify(leaf, {}, Usage::kClient, addTo(kNow, -kDay)).ok());
  TrustPool stranger = TrustPool::fromPem(other.certificate.pem()).value();
  EXPECT_EQ(stranger.verify(leaf, {}, Usage::kClient, addTo(kNow, kDay / 2)).message(),
            "x509: certificate signed by unknown authority");
}

TEST(TrustPool, FollowsIntermediates) {
  KeyPair root = newAuthority("root", kNow, kDay * 10).value();
  CertificateSpec spec;
  spec.commonName = "middle";
  spec.ca = true;
  spec.notBefore = kNow;
  spec.notAfter = addTo(kNow, kDay * 5);
  KeyPair middle = root.issue(spec).value();
  Certificate leaf = middle.issue(clientSpec()).value().certificate;
  WallTime then = addTo(kNow, kDay / 2);
  TrustPool pool = TrustPool::fromPem(root.certificate.pem()).value();
  EXPECT_FALSE(pool.verify(leaf, {}, Usage::kClient, then).ok());
  EXPECT_TRUE(pool.verify(leaf, std::vector{middle.certificate}, Usage::kClient, then).ok());
  EXPECT_TRUE(
      TrustPool::fromPem(middle.certificate.pem()).value().verify(leaf, {}, Usage::kClient, then).ok());
  // A leaf does not sign.
  KeyPair forger = middle.issue(clientSpec()).value();
  Result<KeyPair> attempt = forger.issue(clientSpec());
  ASSERT_TRUE(attempt.ok()) << attempt.status().message();
  Certificate forged = attempt->certificate;
  EXPECT_FALSE(
      pool.verify(forged, std::vector{forger.certificate, middle.certificate}, Usage::kClient, then).ok());
}

TEST(Request, ProvesItsKey) {
  Key key = Key::generate().value();
  CertificateSpec spec = clientSpec();
  spec.dnsNames = {"node1"};
  spec.ips = {"10.0.0.1"};
  std::string pem = makeRequest(spec, key).value();
  RequestedCertificate read = parseRequest(pem).value();
  EXPECT_EQ(read.commonName, "alice");
  EXPECT_EQ(read.organizations, spec.organizations);
  EXPECT_EQ(read.dnsNames, spec.dnsNames);
  EXPECT_EQ(read.ips, spec.ips);
  EXPECT_TRUE(read.publicKey.samePublicKey(key));
  KeyPair ca = newAuthority("ca", kNow, kDay).value();
  EXPECT_TRUE(ca.sign(spec, read.publicKey).value().publicKey().samePublicKey(key));
  EXPECT_EQ(parseRequest("x").status().message(), "PEM block type must be CERTIFICATE REQUEST");
  pem[pem.size() / 2] = pem[pem.size() / 2] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(parseRequest(pem).ok());
}

TEST(Time, AddsAcrossSeconds) {
  EXPECT_EQ(addTo({10, 900'000'000}, Duration(200'000'000)), (WallTime{11, 100'000'000}));
  EXPECT_EQ(addTo({10, 100'000'000}, Duration(-200'000'000)), (WallTime{9, 900'000'000}));
}

}  // namespace
}  // namespace km::pki
