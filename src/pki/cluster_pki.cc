#include "pki/cluster_pki.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>

#include "base/files.h"
#include "base/log.h"
#include "pki/kubeconfig_file.h"

namespace km::pki {
namespace {

constexpr Duration kYear = std::chrono::hours(24 * 365);
constexpr Duration kSkew = std::chrono::minutes(5);  // clocks of other machines may be behind ours

bool isAddress(const std::string& text) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, text.c_str(), bytes) == 1 || inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

// "::1" and "0:0:0:0:0:0:0:1" are one address.
std::string canonicalAddress(const std::string& text) {
  unsigned char bytes[16];
  char out[INET6_ADDRSTRLEN];
  for (int family : {AF_INET, AF_INET6}) {
    if (inet_pton(family, text.c_str(), bytes) == 1 && inet_ntop(family, bytes, out, sizeof out)) return out;
  }
  return text;
}

void addName(CertificateSpec& spec, const std::string& name) {
  if (name.empty()) return;
  bool address = isAddress(name);
  auto& list = address ? spec.ips : spec.dnsNames;
  std::string text = address ? canonicalAddress(name) : name;
  if (std::find(list.begin(), list.end(), text) == list.end()) list.push_back(text);
}

bool nearEnd(const Certificate& certificate, WallTime now) {
  int64_t life = certificate.notAfter().seconds - certificate.notBefore().seconds;
  return now.seconds < certificate.notBefore().seconds ||
         certificate.notAfter().seconds - now.seconds < life / 3;
}

// Why a certificate is to be made again; "" if it is good.
std::string_view whyRenew(const Certificate& have, const CertificateSpec& want, const Key& key,
                          const Certificate& authority, WallTime now) {
  if (nearEnd(have, now)) return "near its end";
  if (!have.publicKey().samePublicKey(key)) return "of another key";
  if (!have.signedBy(authority)) return "of another authority";
  if (have.commonName() != want.commonName || have.organizations() != want.organizations)
    return "for another subject";
  if (have.dnsNames() != want.dnsNames || have.ips() != want.ips) return "for other names";
  if (have.allowsClient() != want.client || have.allowsServer() != want.server) return "for other usages";
  return "";
}

}  // namespace

std::string ClusterPki::certificatePath(std::string_view name) const {
  return options_.directory + "/" + std::string(name) + ".crt";
}
std::string ClusterPki::keyPath(std::string_view name) const {
  return options_.directory + "/" + std::string(name) + ".key";
}
std::string ClusterPki::confPath(std::string_view name) const {
  return options_.confDirectory + "/" + std::string(name) + ".conf";
}

Result<UniqueFd> ClusterPki::lock() const {
  KM_ASSIGN(UniqueFd fd, openFile(options_.directory + "/.lock", O_RDWR | O_CREAT, 0600));
  while (::flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return errors::fromErrno("lock " + options_.directory, errno);
  }
  return fd;
}

Result<Key> ClusterPki::ensureKey(const std::string& name, KeyKind kind) {
  std::string path = keyPath(name);
  if (fileExists(path)) {
    KM_ASSIGN(std::string pem, readFile(path));
    Result<Key> key = Key::fromPem(pem);
    if (!key.ok() || !key->isPrivate()) return errors::failed(path + " holds no private key");
    return key;
  }
  KM_ASSIGN(Key key, Key::generate(kind));
  KM_TRY(writeFileAtomic(path, key.privatePem(), 0600));
  return key;
}

Result<KeyPair> ClusterPki::ensureAuthority(const std::string& name, const std::string& commonName) {
  std::string path = certificatePath(name);
  CertificateSpec spec;
  spec.commonName = commonName;
  spec.dnsNames = {commonName};
  spec.ca = true;
  spec.notBefore = addTo(now_, -kSkew);
  spec.notAfter = addTo(now_, kYear * 10);
  bool exists = fileExists(path);
  if (exists && !fileExists(keyPath(name))) {
    return errors::failed(path + " is there and its key " + keyPath(name) +
                          " is not: put the key back, or remove the "
                          "certificate to make a new authority");
  }
  KM_ASSIGN(Key key, ensureKey(name, options_.keyKind));
  if (exists) {
    KM_ASSIGN(std::string pem, readFile(path));
    Result<Certificate> have = Certificate::fromPem(pem);
    if (!have.ok()) return errors::failed(path + ": " + have.status().message());
    if (!have->publicKey().samePublicKey(key) || !have->isCa()) {
      return errors::failed(path + " is not the certificate of an authority with the key " + keyPath(name));
    }
    if (!nearEnd(*have, now_)) return KeyPair{std::move(*have), std::move(key)};
    spec.commonName = have->commonName();  // its subject and names stay: what it signed refers to them
    spec.organizations = have->organizations();
    spec.dnsNames = have->dnsNames();
    spec.ips = have->ips();
    logInfo("Renewing authority", {{"path", path}});
  }
  KM_ASSIGN(Certificate certificate, selfSigned(spec, key));
  KM_TRY(writeFileAtomic(path, certificate.pem(), 0644));
  return KeyPair{std::move(certificate), std::move(key)};
}

Result<KeyPair> ClusterPki::ensureSigned(const std::string& name, CertificateSpec spec,
                                         const KeyPair& authority) {
  std::string path = certificatePath(name);
  spec.notBefore = addTo(now_, -kSkew);
  spec.notAfter = std::min(addTo(now_, kYear), authority.certificate.notAfter());
  KM_ASSIGN(Key key, ensureKey(name, options_.keyKind));
  if (fileExists(path)) {
    KM_ASSIGN(std::string pem, readFile(path));
    Result<Certificate> have = Certificate::fromPem(pem);
    std::string_view why =
        have.ok() ? whyRenew(*have, spec, key, authority.certificate, now_) : std::string_view("unreadable");
    if (why.empty()) return KeyPair{std::move(*have), std::move(key)};
    logInfo("Making a certificate again", {{"path", path}, {"because", why}});
  }
  KM_ASSIGN(Certificate certificate, authority.sign(spec, key));
  KM_TRY(writeFileAtomic(path, certificate.pem(), 0644));
  return KeyPair{std::move(certificate), std::move(key)};
}

Status ClusterPki::ensureServers() {
  CertificateSpec api;
  api.commonName = "kube-apiserver";
  api.server = true;
  for (const char* name : {"kubernetes", "kubernetes.default", "kubernetes.default.svc"}) addName(api, name);
  addName(api, "kubernetes.default.svc." + options_.clusterDomain);
  for (const char* name : {"localhost", "127.0.0.1", "::1"}) addName(api, name);
  addName(api, options_.nodeName);
  addName(api, options_.serviceIp);
  for (const std::string& ip : options_.nodeIps) addName(api, ip);
  for (const std::string& name : options_.apiserverNames) addName(api, name);
  KM_TRY(ensureSigned("apiserver", api, ca_).status());
  if (options_.nodeName.empty()) return {};
  CertificateSpec kubelet;
  kubelet.commonName = "system:node:" + options_.nodeName;
  kubelet.organizations = {"system:nodes"};
  kubelet.server = true;
  for (const std::string& name : {options_.nodeName, std::string("localhost"), std::string("127.0.0.1")}) {
    addName(kubelet, name);
  }
  for (const std::string& ip : options_.nodeIps) addName(kubelet, ip);
  return ensureSigned("kubelet-server", kubelet, ca_).status();
}

// A client certificate and the kubeconfig file that uses it.
Status ClusterPki::ensureClient(const std::string& name, const std::string& user,
                                std::vector<std::string> groups) {
  CertificateSpec spec;
  spec.commonName = user;
  spec.organizations = std::move(groups);
  spec.client = true;
  KM_ASSIGN(KeyPair pair, ensureSigned(name, spec, ca_));
  KubeconfigSpec conf;
  conf.cluster = options_.clusterName;
  conf.server = options_.server;
  conf.caPem = ca_.certificate.pem();
  conf.user = user;
  conf.certificatePem = pair.certificate.pem();
  conf.keyPem = pair.key.privatePem();
  return writeKubeconfig(confPath(name), conf);
}

Status ClusterPki::ensureClients() {
  CertificateSpec toKubelet;
  toKubelet.commonName = "kube-apiserver-kubelet-client";
  toKubelet.organizations = {"system:masters"};
  toKubelet.client = true;
  KM_TRY(ensureSigned("apiserver-kubelet-client", toKubelet, ca_).status());
  CertificateSpec frontProxy;
  frontProxy.commonName = "front-proxy-client";
  frontProxy.client = true;
  KM_TRY(ensureSigned("front-proxy-client", frontProxy, frontProxyCa_).status());
  KM_TRY(ensureClient("admin", "kubernetes-admin", {"system:masters"}));
  KM_TRY(ensureClient("controller-manager", "system:kube-controller-manager", {}));
  KM_TRY(ensureClient("scheduler", "system:kube-scheduler", {}));
  KM_TRY(ensureClient("kube-proxy", "system:kube-proxy", {}));
  if (options_.nodeName.empty()) return {};
  return ensureClient("kubelet", "system:node:" + options_.nodeName, {"system:nodes"});
}

Status ClusterPki::ensureServiceAccountKey() {
  // Tokens are signed as a real cluster signs them: every verifier knows RS256.
  KM_ASSIGN(serviceAccountKey_, ensureKey("sa", KeyKind::kRsa2048));
  std::string path = options_.directory + "/sa.pub", pem = serviceAccountKey_.publicPem();
  if (Result<std::string> have = readFile(path); have.ok() && *have == pem) return {};
  return writeFileAtomic(path, pem, 0644);
}

Result<ClusterPki> ClusterPki::ensure(ClusterPkiOptions options, const Clock& clock) {
  while (options.directory.size() > 1 && options.directory.back() == '/') options.directory.pop_back();
  if (options.confDirectory.empty()) {
    size_t slash = options.directory.rfind('/');
    options.confDirectory = slash == std::string::npos ? "." : options.directory.substr(0, slash);
  }
  ClusterPki pki(std::move(options), clock.now());
  KM_TRY(makeDirs(pki.options_.directory, 0700));
  KM_TRY(makeDirs(pki.options_.confDirectory, 0700));
  KM_ASSIGN(UniqueFd held, pki.lock());
  KM_ASSIGN(pki.ca_, pki.ensureAuthority("ca", "kubernetes"));
  KM_ASSIGN(pki.frontProxyCa_, pki.ensureAuthority("front-proxy-ca", "front-proxy-ca"));
  KM_TRY(pki.ensureServers());
  KM_TRY(pki.ensureClients());
  KM_TRY(pki.ensureServiceAccountKey());
  return pki;
}

}  // namespace km::pki
