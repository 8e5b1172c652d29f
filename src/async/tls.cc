#include "async/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <fstream>
#include <sstream>

namespace km::async {

namespace {

struct Free {
  void operator()(BIO* p) const { BIO_free(p); }
  void operator()(X509* p) const { X509_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
};
using BioPtr = std::unique_ptr<BIO, Free>;
using X509Ptr = std::unique_ptr<X509, Free>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free>;

Result<std::string> load(const std::string& pem, const std::string& file) {
  if (!pem.empty()) return pem;
  std::ifstream in(file, std::ios::binary);
  if (!in) return errors::failed("open " + file + ": cannot be read");
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<X509Ptr> parseCertificates(const std::string& pem) {
  std::vector<X509Ptr> all;
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  while (X509* one = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) all.emplace_back(one);
  ERR_clear_error();
  return all;
}

Status useCertificate(SSL_CTX* ctx, const std::string& pem, const std::string& keyPem) {
  auto chain = parseCertificates(pem);
  if (chain.empty()) return errors::failed("tls: no certificate found in PEM input");
  if (SSL_CTX_use_certificate(ctx, chain[0].get()) != 1) return errors::failed("tls: " + tlsErrorText());
  for (size_t i = 1; i < chain.size(); ++i) SSL_CTX_add1_chain_cert(ctx, chain[i].get());
  BioPtr bio(BIO_new_mem_buf(keyPem.data(), static_cast<int>(keyPem.size())));
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  if (!key) return errors::failed("tls: no private key found in PEM input: " + tlsErrorText());
  if (SSL_CTX_use_PrivateKey(ctx, key.get()) != 1 || SSL_CTX_check_private_key(ctx) != 1) {
    return errors::failed("tls: private key does not match the certificate: " + tlsErrorText());
  }
  return {};
}

Status useAuthorities(SSL_CTX* ctx, const std::string& pem, bool announce) {
  auto all = parseCertificates(pem);
  if (all.empty()) return errors::failed("tls: no CA certificate found in PEM input");
  X509_STORE* store = SSL_CTX_get_cert_store(ctx);
  for (auto& one : all) {
    X509_STORE_add_cert(store, one.get());
    if (announce) SSL_CTX_add_client_CA(ctx, one.get());
  }
  // An intermediate named as authority is believed as it is.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
  return {};
}

std::string wire(const std::vector<std::string>& protocols) {
  std::string out;
  for (const auto& p : protocols) {
    out.push_back(static_cast<char>(p.size()));
    out += p;
  }
  return out;
}

int selectAlpn(SSL*, const unsigned char** out, unsigned char* outLength, const unsigned char* in,
               unsigned inLength, void* arg) {
  auto* settings = static_cast<TlsContext::Settings*>(arg);
  auto* ours = reinterpret_cast<const unsigned char*>(settings->alpnWire.data());
  unsigned char* chosen = nullptr;
  int rc = SSL_select_next_proto(&chosen, outLength, ours, settings->alpnWire.size(), in, inLength);
  *out = chosen;
  return rc == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

// The outcome is kept in the verify result; who is let in is decided by those who read it.
int verifyButContinue(X509_STORE_CTX* store, void*) {
  X509_verify_cert(store);
  ERR_clear_error();
  return 1;
}

void setCommon(SSL_CTX* ctx) {
  SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
  SSL_CTX_set_mode(
      ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(ctx, 0);
  SSL_CTX_set_read_ahead(ctx, 1);  // one system call a record instead of two
}

// What upstream's flags ask for. Versions below 1.2 are not spoken, whoever asks.
Status restrict(SSL_CTX* ctx, const TlsServerOptions& o) {
  const std::string& v = o.minVersion;
  if (v == "VersionTLS13") {
    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
  } else if (v == "VersionTLS10" || v == "VersionTLS11") {
    return errors::badRequest(v + " is not spoken; the least is VersionTLS12");
  } else if (!v.empty() && v != "VersionTLS12") {
    return errors::badRequest("unknown tls version \"" + v + "\"");
  }
  if (o.cipherSuites.empty()) return {};
  std::string list;
  for (const std::string& name : o.cipherSuites) {
    // By its standard name, among those that this library has.
    const SSL_CIPHER* found = nullptr;
    STACK_OF(SSL_CIPHER)* all = SSL_CTX_get_ciphers(ctx);
    std::string wanted = name;
    // Go names two of them without their hash.
    if (wanted.ends_with("_CHACHA20_POLY1305")) wanted += "_SHA256";
    for (int i = 0; i < sk_SSL_CIPHER_num(all); i++) {
      const SSL_CIPHER* c = sk_SSL_CIPHER_value(all, i);
      if (wanted == SSL_CIPHER_standard_name(c)) found = c;
    }
    if (found == nullptr) return errors::badRequest("Cipher suite " + name + " not supported or doesn't exist");
    if (name.starts_with("TLS_AES_") || name.starts_with("TLS_CHACHA20_")) continue;  // always on, as in Go
    if (!list.empty()) list += ':';
    list += SSL_CIPHER_get_name(found);
  }
  if (!list.empty() && SSL_CTX_set_cipher_list(ctx, list.c_str()) != 1) return errors::badRequest(tlsErrorText());
  return {};
}

Result<std::shared_ptr<TlsContext::Settings>> makeServer(const TlsServerOptions& o) {
  auto settings = std::make_shared<TlsContext::Settings>();
  SSL_CTX* ctx = settings->context = SSL_CTX_new(TLS_server_method());
  setCommon(ctx);
  KM_TRY(restrict(ctx, o));
  KM_ASSIGN(std::string cert, load(o.certificatePem, o.certificateFile));
  KM_ASSIGN(std::string key, load(o.keyPem, o.keyFile));
  KM_TRY(useCertificate(ctx, cert, key));
  bool haveCa = !o.clientCaPem.empty() || !o.clientCaFile.empty();
  if (haveCa) {
    KM_ASSIGN(std::string ca, load(o.clientCaPem, o.clientCaFile));
    KM_TRY(useAuthorities(ctx, ca, true));
  }
  if (haveCa || o.requestClientCertificate) {
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_cert_verify_callback(ctx, verifyButContinue, nullptr);
  }
  settings->alpnWire = wire(o.alpn);
  if (!o.alpn.empty()) SSL_CTX_set_alpn_select_cb(ctx, selectAlpn, settings.get());
  return settings;
}

Result<std::shared_ptr<TlsContext::Settings>> makeClient(const TlsClientOptions& o) {
  auto settings = std::make_shared<TlsContext::Settings>();
  SSL_CTX* ctx = settings->context = SSL_CTX_new(TLS_client_method());
  setCommon(ctx);
  if (!o.certificatePem.empty() || !o.certificateFile.empty()) {
    KM_ASSIGN(std::string cert, load(o.certificatePem, o.certificateFile));
    KM_ASSIGN(std::string key, load(o.keyPem, o.keyFile));
    KM_TRY(useCertificate(ctx, cert, key));
  }
  if (!o.caPem.empty() || !o.caFile.empty()) {
    KM_ASSIGN(std::string ca, load(o.caPem, o.caFile));
    KM_TRY(useAuthorities(ctx, ca, false));
  } else if (!o.insecure) {
    SSL_CTX_set_default_verify_paths(ctx);
  }
  settings->verify = !o.insecure;
  SSL_CTX_set_verify(ctx, o.insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  settings->serverName = o.serverName;
  settings->alpnWire = wire(o.alpn);
  if (!o.alpn.empty()) {
    SSL_CTX_set_alpn_protos(ctx, reinterpret_cast<const unsigned char*>(settings->alpnWire.data()),
                            settings->alpnWire.size());
  }
  return settings;
}

}  // namespace

TlsContext::Settings::~Settings() {
  SSL_CTX_free(context);
}

Result<std::shared_ptr<TlsContext>> TlsContext::server(const TlsServerOptions& options) {
  auto context = std::make_shared<TlsContext>();
  KM_TRY(context->reload(options));
  return context;
}

Result<std::shared_ptr<TlsContext>> TlsContext::client(const TlsClientOptions& options) {
  auto context = std::make_shared<TlsContext>();
  KM_TRY(context->reload(options));
  return context;
}

Status TlsContext::reload(const TlsServerOptions& options) {
  KM_ASSIGN(auto settings, makeServer(options));
  std::lock_guard lock(mutex_);
  settings_ = std::move(settings);
  return {};
}

Status TlsContext::reload(const TlsClientOptions& options) {
  KM_ASSIGN(auto settings, makeClient(options));
  std::lock_guard lock(mutex_);
  settings_ = std::move(settings);
  return {};
}

std::shared_ptr<TlsContext::Settings> TlsContext::current() const {
  std::lock_guard lock(mutex_);
  return settings_;
}

std::string tlsErrorText() {
  unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown error";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "error " + std::to_string(code);
}

std::shared_ptr<const PeerCertificates> PeerCertificates::of(ssl_st* ssl) {
  if (ssl == nullptr) return nullptr;
  X509* leaf = SSL_get0_peer_certificate(ssl);
  if (leaf == nullptr) return nullptr;
  std::shared_ptr<PeerCertificates> made(new PeerCertificates);
  auto add = [&](X509* x) {
    unsigned char* der = nullptr;
    int size = i2d_X509(x, &der);
    if (size > 0) made->der_.emplace_back(reinterpret_cast<char*>(der), size);
    OPENSSL_free(der);
  };
  add(leaf);
  STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl);
  // On the server the chain leaves out the leaf, on the client it begins with it.
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    X509* x = sk_X509_value(chain, i);
    if (X509_cmp(x, leaf) != 0) add(x);
  }
  made->verified_ = SSL_get_verify_result(ssl) == X509_V_OK;
  return made;
}

PeerCertificates::~PeerCertificates() = default;

const PeerCertificates::Leaf& PeerCertificates::leaf() const {
  std::call_once(once_, [this] { parse(); });
  return leaf_;
}

const std::vector<std::string>& PeerCertificates::der() const {
  return der_;
}

namespace {

std::vector<std::string> subjectValues(X509* x, int nid) {
  std::vector<std::string> out;
  X509_NAME* name = X509_get_subject_name(x);
  for (int i = -1; (i = X509_NAME_get_index_by_NID(name, nid, i)) >= 0;) {
    unsigned char* text = nullptr;
    int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i)));
    if (size >= 0) out.emplace_back(reinterpret_cast<char*>(text), size);
    OPENSSL_free(text);
  }
  return out;
}

int64_t seconds(const ASN1_TIME* time) {
  struct tm parts {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return 0;
  return timegm(&parts);
}

}  // namespace

void PeerCertificates::parse() const {
  if (der_.empty()) return;
  auto* bytes = reinterpret_cast<const unsigned char*>(der_[0].data());
  X509Ptr x(d2i_X509(nullptr, &bytes, static_cast<long>(der_[0].size())));
  if (!x) return;
  auto names = subjectValues(x.get(), NID_commonName);
  if (!names.empty()) leaf_.commonName = names.back();
  leaf_.organizations = subjectValues(x.get(), NID_organizationName);
  leaf_.notBefore = seconds(X509_get0_notBefore(x.get()));
  leaf_.notAfter = seconds(X509_get0_notAfter(x.get()));
  BIGNUM* serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x.get()), nullptr);
  char* text = BN_bn2dec(serial);
  if (text != nullptr) leaf_.serial = text;
  OPENSSL_free(text);
  BN_free(serial);
  auto* sans = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(x.get(), NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(sans); ++i) {
    GENERAL_NAME* name = sk_GENERAL_NAME_value(sans, i);
    if (name->type != GEN_DNS && name->type != GEN_URI) continue;
    ASN1_IA5STRING* value = name->type == GEN_DNS ? name->d.dNSName : name->d.uniformResourceIdentifier;
    std::string copy(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)), ASN1_STRING_length(value));
    (name->type == GEN_DNS ? leaf_.dnsNames : leaf_.uris).push_back(std::move(copy));
  }
  GENERAL_NAMES_free(sans);
}

}  // namespace km::async
