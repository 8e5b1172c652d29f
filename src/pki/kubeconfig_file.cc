#include "pki/kubeconfig_file.h"

#include "base/base64.h"
#include "base/files.h"
#include "base/strings.h"

namespace km::pki {
namespace {

// A YAML scalar: bare where that is surely a string, else in double quotes (JSON's escapes suffice).
std::string scalar(std::string_view text) {
  bool plain = !text.empty() && ((text[0] >= 'a' && text[0] <= 'z') || (text[0] >= 'A' && text[0] <= 'Z'));
  for (char c : text) {
    bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    plain = plain && (word || std::string_view("-_./:@").find(c) != std::string_view::npos);
  }
  for (std::string_view other : {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}) {
    plain = plain && !equalFold(text, other);
  }
  if (plain && text.back() != ':') return std::string(text);
  return quote(text);
}

}  // namespace

std::string kubeconfigYaml(const KubeconfigSpec& spec) {
  std::string context = scalar(spec.user + "@" + spec.cluster);
  std::string cluster = scalar(spec.cluster), user = scalar(spec.user);
  std::string out = "apiVersion: v1\nclusters:\n- cluster:\n";
  out += "    certificate-authority-data: " + base64Encode(spec.caPem) + "\n";
  out += "    server: " + scalar(spec.server) + "\n";
  out += "  name: " + cluster + "\n";
  out += "contexts:\n- context:\n    cluster: " + cluster + "\n    user: " + user + "\n  name: " + context +
         "\n";
  out += "current-context: " + context + "\nkind: Config\n";
  out += "users:\n- name: " + user + "\n  user:\n";
  out += "    client-certificate-data: " + base64Encode(spec.certificatePem) + "\n";
  out += "    client-key-data: " + base64Encode(spec.keyPem) + "\n";
  return out;
}

Status writeKubeconfig(const std::string& path, const KubeconfigSpec& spec) {
  std::string yaml = kubeconfigYaml(spec);
  if (Result<std::string> now = readFile(path); now.ok() && *now == yaml) return {};
  return writeFileAtomic(path, yaml, 0600);
}

}  // namespace km::pki
