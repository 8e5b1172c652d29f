#include "km/kubelet_certificates.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>

#include "api/types/certificates_v1.h"
#include "base/base64.h"
#include "base/files.h"
#include "base/log.h"
#include "base/rand.h"
#include "base/stop_wait.h"
#include "client/kubeconfig.h"
#include "controllers/certificates/requests.h"
#include "pki/request.h"

namespace km {
namespace {

using api::certificates_v1::CertificateSigningRequest;

constexpr Duration kFirstRetry = std::chrono::seconds(2), kLastRetry = std::chrono::minutes(5);

// The outcome of one request: what its watch has told.
class Outcome : public client::WatchSink {
 public:
  void onEvent(const client::WatchEvent& e) override {
    if (e.type == client::EventType::kError) return end(e.error);
    if (e.type == client::EventType::kBookmark || !e.object) return;
    if (e.type == client::EventType::kDeleted) return settle(errors::failed("the certificate signing request was deleted"));
    const auto& r = e.object->as<CertificateSigningRequest>();
    for (const auto& c : r.status.conditions) {
      if (c.type != "Denied" && c.type != "Failed") continue;
      return settle(errors::failed(fmt::format("certificate signing request {} {}, reason: {}, message: {}", c.type == "Denied" ? "is" : "has", c.type == "Denied" ? "denied" : "failed",
                                               c.reason.view(), c.message.view())));
    }
    if (!r.status.certificate.view().empty()) settle(std::string(r.status.certificate.view()));
  }
  void onEnd(const Status& why) override { end(why); }
  // The result, or nothing when the watch ended before one.
  std::optional<Result<std::string>> wait(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [&] { return result_ || ended_; });
    return result_;
  }

 private:
  void settle(Result<std::string> r) {
    std::lock_guard lock(mutex_);
    if (!result_) result_ = std::move(r);
    changed_.notify_all();
  }
  void end(const Status&) {
    std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<Result<std::string>> result_;
  bool ended_ = false;
};

// As upstream's digest of a node's request: one key and one wish give one name, so that a kubelet which starts again takes up its request.
std::string digestedName(const pki::Key& key, const pki::CertificateSpec& spec, const std::vector<std::string>& usages) {
  std::string text;
  auto add = [&](std::string_view part) { text += base64UrlEncode(part) + "|"; };
  add(key.publicDer());
  add(spec.commonName);
  for (const std::string& o : spec.organizations) add(o);
  for (const std::string& u : usages) add(u);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  EVP_Digest(text.data(), text.size(), digest, &length, EVP_sha512_256(), nullptr);
  return "node-csr-" + base64UrlEncode(std::string_view(reinterpret_cast<const char*>(digest), length));
}

bool stillValid(const std::string& kubeconfig) {
  if (!fileExists(kubeconfig)) return false;
  auto config = client::loadKubeconfig(kubeconfig);
  if (!config.ok()) {
    KM_LOG(ERROR, "unable to read existing bootstrap client config from {}: {}", kubeconfig, config.status().message());
    return false;
  }
  std::string pem = config->certData;
  if (pem.empty() && !config->certFile.empty()) pem = readFile(config->certFile).ok() ? *readFile(config->certFile) : "";
  auto chain = pki::Certificate::allFromPem(pem);
  if (!chain.ok()) {
    KM_LOG(ERROR, "unable to read TLS certificates from existing bootstrap client config read from {}: {}", kubeconfig, chain.status().message());
    return false;
  }
  for (const auto& c : *chain) {
    if (c.notAfter().seconds < Clock::system().now().seconds) {
      KM_LOG(ERROR, "part of the existing bootstrap client certificate in {} is expired", kubeconfig);
      return false;
    }
  }
  return true;
}

std::string kubeconfigFor(const client::RestConfig& c, const std::string& pemPath) {
  std::string authority = !c.caData.empty() ? "    certificate-authority-data: " + base64Encode(c.caData) + "\n"
                          : !c.caFile.empty() ? "    certificate-authority: " + c.caFile + "\n" : "";
  return fmt::format("apiVersion: v1\nclusters:\n- cluster:\n{}{}    server: {}\n  name: default-cluster\ncontexts:\n- context:\n    cluster: default-cluster\n"
                     "    namespace: default\n    user: default-auth\n  name: default-context\ncurrent-context: default-context\nkind: Config\nusers:\n- name: default-auth\n"
                     "  user:\n    client-certificate: {}\n    client-key: {}\n", authority, c.insecure ? "    insecure-skip-tls-verify: true\n" : "", c.server, pemPath, pemPath);
}

}  // namespace

Result<pki::KeyPair> CertificateStore::current() const {
  KM_ASSIGN(std::string pem, readFile(currentPath()));
  return pki::KeyPair::fromPem(pem, pem.substr(std::min(pem.size(), pem.rfind("-----BEGIN"))));
}

Status CertificateStore::update(const std::string& certificatePem, const pki::Key& key) const {
  KM_TRY(makeDirs(directory_, 0700));
  std::time_t now = Clock::system().now().seconds;
  std::string file = fmt::format("{}-{:%Y-%m-%d-%H-%M-%S}.pem", prefix_, fmt::gmtime(now)), link = directory_ + "/" + prefix_ + "-updated.pem";
  KM_TRY(writeFileAtomic(directory_ + "/" + file, certificatePem + key.privatePem(), 0600));
  (void)::unlink(link.c_str());
  if (::symlink((directory_ + "/" + file).c_str(), link.c_str()) != 0) return errors::fromErrno("symlink " + link, errno);
  if (::rename(link.c_str(), currentPath().c_str()) != 0) return errors::fromErrno("rename " + link, errno);
  return {};
}

CertificateRequest nodeClientRequest(const std::string& nodeName, const pki::Key& key) {
  CertificateRequest r;
  r.signer = controllers::certificates::kKubeletClientSigner;
  r.usages = {"digital signature", "client auth"};
  if (key.isRsa()) r.usages.push_back("key encipherment");
  r.spec.commonName = "system:node:" + nodeName;
  r.spec.organizations = {"system:nodes"};
  return r;
}

CertificateRequest nodeServingRequest(const std::string& nodeName, const std::vector<std::string>& ips) {
  CertificateRequest r;
  r.signer = controllers::certificates::kKubeletServingSigner;
  r.usages = {"digital signature", "server auth"};
  r.spec.commonName = "system:node:" + nodeName;
  r.spec.organizations = {"system:nodes"};
  r.spec.dnsNames = {nodeName};
  r.spec.ips = ips;
  return r;
}

Result<std::string> requestCertificate(client::Client& client, const CertificateRequest& request, const pki::Key& key, std::stop_token stop) {
  CertificateSigningRequest r;
  r.metadata.name = request.name;
  if (request.name.empty()) r.metadata.generateName = "csr-";
  KM_ASSIGN(std::string pem, pki::makeRequest(request.spec, key));
  r.spec.request = pem;
  r.spec.signerName = request.signer;
  for (const std::string& u : request.usages) r.spec.usages.push_back(u);
  client::Target target = client::target(CertificateSigningRequest::kType);
  auto made = client.create(target, api::Object::of(std::move(r)));
  if (!made.ok() && !made.status().is("AlreadyExists")) return errors::failed("cannot create certificate signing request: " + made.status().message());
  std::string name(made.ok() ? (*made)->name() : std::string_view(request.name));
  logInfo("Waiting for a certificate to be issued", {{"csr", name}, {"signer", request.signer}});
  client::ListOptions one;
  one.fieldSelector = "metadata.name=" + name;
  while (!stop.stop_requested()) {
    auto outcome = std::make_shared<Outcome>();
    auto watch = client.watch(target, one, outcome);
    auto result = outcome->wait(stop);
    watch.reset();
    if (result) return *result;
    waitFor(stop, kFirstRetry);  // the watch ended: a new one soon
  }
  return errors::failed("stopped while waiting for a certificate");
}

Status bootstrapKubelet(async::Loop& loop, const BootstrapOptions& o, std::stop_token stop) {
  if (stillValid(o.kubeconfig)) return {};
  if (!fileExists(o.bootstrapKubeconfig)) return errors::failed(fmt::format("unable to load bootstrap kubeconfig: stat {}: no such file or directory", o.bootstrapKubeconfig));
  KM_ASSIGN(auto config, client::loadKubeconfig(o.bootstrapKubeconfig));
  config.userAgent = "kubelet";
  KM_ASSIGN(auto api, client::makeHttpClient(loop, config));
  CertificateStore store(o.certDir, "kubelet-client");
  // The key is kept until the request has succeeded, so that one which is begun again is the same request.
  std::string keyFile = o.certDir + "/kubelet-client.key.tmp";
  KM_TRY(makeDirs(o.certDir, 0700));
  auto kept = readFile(keyFile);
  auto key = kept.ok() ? pki::Key::fromPem(*kept) : Result<pki::Key>(kept.status());
  if (!key.ok() || !key->isPrivate()) {
    KM_ASSIGN(key, pki::Key::generate());
    KM_TRY(writeFileAtomic(keyFile, key->privatePem(), 0600));
  }
  CertificateRequest request = nodeClientRequest(o.nodeName, *key);
  request.name = digestedName(*key, request.spec, request.usages);
  Duration pause = kFirstRetry;
  for (;;) {
    auto pem = requestCertificate(*api, request, *key, stop);
    if (pem.ok()) {
      KM_TRY(store.update(*pem, *key));
      break;
    }
    if (stop.stop_requested()) return pem.status();
    KM_LOG(ERROR, "no client certificate yet: {}", pem.status().message());
    // A refusal is for good; an API server that is not there yet may come.
    bool refused = pem.status().message().find("denied") != std::string::npos || pem.status().message().find("has failed") != std::string::npos;
    if (refused || !waitFor(stop, pause)) return pem.status();
    pause = std::min<Duration>(pause * 2, std::chrono::seconds(30));
  }
  (void)removeFile(keyFile);
  size_t slash = o.kubeconfig.rfind('/');
  if (slash != std::string::npos && slash > 0) KM_TRY(makeDirs(o.kubeconfig.substr(0, slash), 0755));
  return writeFileAtomic(o.kubeconfig, kubeconfigFor(config, store.currentPath()), 0600);
}

CertificateRotation::CertificateRotation(client::Client& client, CertificateStore store, CertificateRequest request)
    : client_(client), store_(std::move(store)), request_(std::move(request)), thread_([this](std::stop_token stop) { run(stop); }) {}

void CertificateRotation::run(std::stop_token stop) {
  Duration pause = kFirstRetry;
  while (!stop.stop_requested()) {
    Duration due{0};
    auto pair = store_.current();
    // One that the node signed itself is a stopgap.
    bool stopgap = pair.ok() && pair->certificate.signedBy(pair->certificate);
    if (pair.ok() && !stopgap && pair->certificate.notAfter().seconds > Clock::system().now().seconds) {
      int64_t begin = pair->certificate.notBefore().seconds, life = pair->certificate.notAfter().seconds - begin;
      double part = 0.7 + 0.2 * static_cast<double>(randomUint64() >> 11) / static_cast<double>(uint64_t{1} << 53);
      due = std::chrono::seconds(begin + static_cast<int64_t>(static_cast<double>(life) * part) - Clock::system().now().seconds);
    }
    if (due > Duration(0) && !waitFor(stop, due)) return;
    Status s = renew(stop);
    if (s.ok()) {
      pause = kFirstRetry;
      continue;
    }
    if (stop.stop_requested()) return;
    KM_LOG(ERROR, "no new certificate ({}): {}", request_.signer, s.message());
    if (!waitFor(stop, pause)) return;
    pause = std::min<Duration>(pause * 2, kLastRetry);
  }
}

Status CertificateRotation::renew(std::stop_token stop) {
  KM_ASSIGN(pki::Key key, pki::Key::generate());
  KM_ASSIGN(std::string pem, requestCertificate(client_, request_, key, stop));
  KM_TRY(store_.update(pem, key));
  logInfo("Certificate rotated", {{"signer", request_.signer}, {"file", store_.currentPath()}});
  return {};
}

}  // namespace km
