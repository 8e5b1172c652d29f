// `km kubeconfig`: prints a kubeconfig of a new client certificate, signed by the authority in the data directory.
#include "base/clock.h"
#include "base/files.h"
#include "base/flags.h"
#include "km/commands.h"
#include "pki/certificate.h"
#include "pki/kubeconfig_file.h"

namespace km {
namespace {

struct KubeconfigOptions {
  std::string dataDir = "/var/lib/km", clientName, server = "https://127.0.0.1:6443";
  std::vector<std::string> organizations;
  Duration validity = std::chrono::hours(24 * 365);
};

Result<std::string> makeKubeconfig(const KubeconfigOptions& o) {
  if (o.clientName.empty()) return errors::badRequest("--client-name is needed");
  std::string directory = o.dataDir + "/pki/";
  KM_ASSIGN(std::string caPem, readFile(directory + "ca.crt"));
  KM_ASSIGN(std::string keyPem, readFile(directory + "ca.key"));
  KM_ASSIGN(pki::KeyPair ca, pki::KeyPair::fromPem(caPem, keyPem));
  WallTime now = Clock::system().now();
  pki::CertificateSpec spec;
  spec.commonName = o.clientName;
  spec.organizations = o.organizations;
  spec.client = true;
  spec.notBefore = now;
  spec.notAfter = pki::addTo(now, o.validity);
  KM_ASSIGN(pki::KeyPair pair, ca.issue(spec));
  pki::KubeconfigSpec conf;
  conf.server = o.server;
  conf.caPem = caPem;
  conf.user = o.clientName;
  conf.certificatePem = pair.certificate.pem();
  conf.keyPem = pair.key.privatePem();
  return pki::kubeconfigYaml(conf);
}

}  // namespace

int runKubeconfig(ServerCall& call) {
  KubeconfigOptions o;
  FlagSet flags(std::string(call.server->name));
  flags.add(&o.dataDir, "data-dir", "The `directory` of the control plane, whose authority signs.");
  flags.add(&o.clientName, "client-name", "The `name` of the user, as system:node:n2. It is the common name of the certificate.");
  flags.add(&o.organizations, "org", "The `groups` of the user, as system:nodes. They are the organizations of the certificate.");
  flags.add(&o.server, "server", "The `URL` of the API server.");
  flags.add(&o.validity, "validity-period", "How `long` the certificate is valid.");
  if (auto done = parseServerFlags(call, flags)) return *done;
  if (!flags.args().empty()) return finish(call, errors::badRequest("kubeconfig takes no arguments"));
  auto text = makeKubeconfig(o);
  if (!text.ok()) return finish(call, text.status());
  call.answer(*text);
  return 0;
}

}  // namespace km
