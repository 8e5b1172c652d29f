// TLS settings over OpenSSL: what a listener or a client presents, and whom it believes.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"

struct ssl_ctx_st;
struct ssl_st;

namespace km::async {

// In each pair the PEM text is used if it is not empty, else the file.
struct TlsServerOptions {
  std::string certificateFile, certificatePem;  // the chain, leaf first
  std::string keyFile, keyPem;
  // Whose client certificates count as verified. A client certificate is asked for if set; none, or one
  // that does not verify, still connects: see PeerCertificates::verified().
  std::string clientCaFile, clientCaPem;
  bool requestClientCertificate = false;  // ask even without a client CA
  std::vector<std::string> alpn = {"h2", "http/1.1"};
  // As upstream's --tls-min-version ("VersionTLS12", the default, or "VersionTLS13") and --tls-cipher-suites (IANA names; those of TLS 1.3 are
  // not for choosing). Others are errors.
  std::string minVersion;
  std::vector<std::string> cipherSuites;
};

struct TlsClientOptions {
  std::string caFile, caPem;  // neither: the system's
  std::string certificateFile, certificatePem;
  std::string keyFile, keyPem;
  std::string serverName;  // empty: the host connected to
  bool insecure = false;   // does not verify the server
  std::vector<std::string> alpn = {"h2", "http/1.1"};
};

// Thread-safe. Connections in being keep the settings they began with.
class TlsContext {
 public:
  static Result<std::shared_ptr<TlsContext>> server(const TlsServerOptions& options);
  static Result<std::shared_ptr<TlsContext>> client(const TlsClientOptions& options);

  // New connections use the new settings; on an error the old ones stay.
  Status reload(const TlsServerOptions& options);
  Status reload(const TlsClientOptions& options);

  struct Settings;
  std::shared_ptr<Settings> current() const;

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<Settings> settings_;
};

struct TlsContext::Settings {
  ~Settings();
  ssl_ctx_st* context = nullptr;
  std::string alpnWire;  // of this side, in wire format
  std::string serverName;
  bool verify = true;
};

// The oldest error in OpenSSL's queue of this thread, which is cleared.
std::string tlsErrorText();

// What the peer showed. One for a connection, shared by its requests; parsed on first use. Thread-safe.
class PeerCertificates {
 public:
  struct Leaf {
    std::string commonName;
    std::vector<std::string> organizations;  // in the order of the subject
    std::vector<std::string> dnsNames;
    std::vector<std::string> uris;
    int64_t notBefore = 0, notAfter = 0;  // seconds since 1970
    std::string serial;                   // decimal
  };

  // Null if the peer showed none.
  static std::shared_ptr<const PeerCertificates> of(ssl_st* ssl);
  ~PeerCertificates();
  bool verified() const { return verified_; }  // against the CA of the TLS settings, at the handshake
  const Leaf& leaf() const;
  const std::vector<std::string>& der() const;  // leaf first

 private:
  PeerCertificates() = default;
  void parse() const;
  bool verified_ = false;
  std::vector<std::string> der_;
  mutable std::once_flag once_;
  mutable Leaf leaf_;
};

}  // namespace km::async
