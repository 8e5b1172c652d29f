#include "kubelet/dns.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace km::kubelet {
namespace {

using api::cri_runtime_v1::DNSConfig;

DNSConfig parseResolvConf(std::string_view text) {
  DNSConfig out;
  for (std::string_view line : split(text, '\n')) {
    line = trimSpace(line.substr(0, line.find_first_of("#;")));
    std::string spaced = replaceAll(line, "\t", " ");
    std::vector<std::string_view> words;
    for (std::string_view w : split(spaced, ' ')) {
      if (!w.empty()) words.push_back(w);
    }
    if (words.size() < 2) continue;
    if (words[0] == "nameserver") out.servers.push_back(words[1]);
    if (words[0] == "search") {
      out.searches.clear();
      for (size_t i = 1; i < words.size(); i++) {
        if (words[i] != ".") out.searches.push_back(words[i]);
      }
    }
    if (words[0] == "options") {
      for (size_t i = 1; i < words.size(); i++) out.options.push_back(words[i]);
    }
  }
  return out;
}

void addUnique(codec::List<codec::String>& list, std::string_view v) {
  if (std::find(list.begin(), list.end(), v) == list.end()) list.push_back(v);
}

void clusterFirst(const Options& options, const v1::Pod& pod, DNSConfig& dns) {
  DNSConfig host = std::move(dns);
  dns = DNSConfig();
  for (const auto& s : options.clusterDns) dns.servers.push_back(s);
  if (!options.clusterDomain.empty()) {
    dns.searches.push_back(fmt::format("{}.svc.{}", pod.metadata.namespace_.view(), options.clusterDomain));
    dns.searches.push_back("svc." + options.clusterDomain);
    dns.searches.push_back(options.clusterDomain);
  }
  for (const auto& s : host.searches) addUnique(dns.searches, s);
  dns.options.push_back("ndots:5");
}

void addCustom(const v1::PodDNSConfig& custom, DNSConfig& dns) {
  for (const auto& s : custom.nameservers) addUnique(dns.servers, s);
  for (const auto& s : custom.searches) addUnique(dns.searches, s);
  for (const auto& o : custom.options) {
    dns.options.eraseIf(
        [&](const codec::String& e) { return e.view().substr(0, e.view().find(':')) == o.name.view(); });
    dns.options.push_back(o.value && !o.value->empty() ? fmt::format("{}:{}", o.name.view(), o.value->view())
                                                       : o.name.str());
  }
}

}  // namespace

DNSConfig podDns(const Options& options, const v1::Pod& pod, std::string_view hostResolvConf) {
  DNSConfig dns = parseResolvConf(hostResolvConf);
  std::string_view policy = pod.spec.dnsPolicy;
  bool cluster = policy == "ClusterFirstWithHostNet" ||
                 ((policy == "ClusterFirst" || policy.empty()) && !pod.spec.hostNetwork);
  if (policy == "None") {
    dns = DNSConfig();
  } else if (cluster && !options.clusterDns.empty()) {
    clusterFirst(options, pod, dns);
  }
  if (pod.spec.dnsConfig) addCustom(*pod.spec.dnsConfig, dns);
  while (dns.servers.size() > 3) dns.servers.pop_back();
  while (dns.searches.size() > 32) dns.searches.pop_back();
  return dns;
}

std::string podHostname(const v1::Pod& pod) {
  std::string name = pod.spec.hostnameOverride    ? pod.spec.hostnameOverride->str()
                     : !pod.spec.hostname.empty() ? pod.spec.hostname.str()
                                                  : pod.metadata.name.str();
  if (name.size() > 63) name.resize(63);
  while (!name.empty() && (name.back() == '-' || name.back() == '.')) name.pop_back();
  return name;
}

std::string podHostDomain(const Options& options, const v1::Pod& pod) {
  if (pod.spec.subdomain.empty() || pod.spec.hostnameOverride) return "";
  return fmt::format("{}.{}.svc.{}", pod.spec.subdomain.view(), pod.metadata.namespace_.view(),
                     options.clusterDomain);
}

std::string hostsFile(const Options& options, const v1::Pod& pod, const std::vector<std::string>& ips,
                      std::string_view hostFile) {
  std::string out;
  if (pod.spec.hostNetwork) {
    out = "# Kubernetes-managed hosts file (host network).\n";
    out += hostFile;
  } else {
    out =
        "# Kubernetes-managed hosts file.\n"
        "127.0.0.1\tlocalhost\n"
        "::1\tlocalhost ip6-localhost ip6-loopback\n"
        "fe00::0\tip6-localnet\n"
        "fe00::0\tip6-mcastprefix\n"
        "fe00::1\tip6-allnodes\n"
        "fe00::2\tip6-allrouters\n";
    std::string host = podHostname(pod), domain = podHostDomain(options, pod);
    for (const auto& ip : ips) {
      out += domain.empty() ? fmt::format("{}\t{}\n", ip, host)
                            : fmt::format("{}\t{}.{}\t{}\n", ip, host, domain, host);
    }
  }
  if (!pod.spec.hostAliases.empty()) {
    out += "\n# Entries added by HostAliases.\n";
    for (const auto& a : pod.spec.hostAliases) {
      out += a.ip.view();
      for (const auto& h : a.hostnames) {
        out += '\t';
        out += h.view();
      }
      out += '\n';
    }
  }
  return out;
}

}  // namespace km::kubelet
