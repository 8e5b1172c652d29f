#include "km/proxy_settings.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

#include "api/field_error.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/strings.h"

namespace km {
namespace {

bool isIp(const std::string& text) {
  unsigned char bytes[16];
  return ::inet_pton(AF_INET, text.c_str(), bytes) == 1 || ::inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

bool isCidr(const std::string& text) {
  size_t slash = text.rfind('/');
  if (slash == std::string::npos || !isIp(text.substr(0, slash))) return false;
  auto bits = parseInt64(text.substr(slash + 1));
  return bits && *bits >= 0 && *bits <= (text.find(':') == std::string::npos ? 32 : 128);
}

class Checks {
 public:
  explicit Checks(const ComponentConfig& c) : c_(c) {}

  void invalid(std::string_view path, const std::string& value, std::string_view why, bool quoted = true) {
    errors.push_back(fmt::format("KubeProxyConfiguration.{}: Invalid value: {}: {}", path, quoted ? api::goQuote(value) : value, why));
  }
  void inRange(std::string_view field, std::string_view path, int64_t least, int64_t most, std::string_view why) {
    int64_t v = c_.integer(field);
    if (v < least || v > most) invalid(path, std::to_string(v), why, false);
  }
  void notNegative(std::string_view field, std::string_view path) {
    Duration d = c_.duration(field);
    if (d < Duration(0)) invalid(path, formatDuration(d), "must be greater than or equal to 0");
  }
  void hostPort(std::string_view field, std::string_view path) {
    std::string v = c_.text(field);
    size_t colon = v.rfind(':');
    std::string host = colon == std::string::npos ? "" : v.substr(0, colon);
    bool brackets = host.starts_with('[') && host.ends_with(']');
    if (colon == std::string::npos || (!brackets && host.find(':') != std::string::npos)) return invalid(path, v, "must be IP:port");
    if (brackets) host = host.substr(1, host.size() - 2);
    if (!isIp(host)) invalid(path, host, "must be a valid IP");
    auto port = parseInt64(v.substr(colon + 1));
    if (!port || *port < 1 || *port > 65535) invalid(path, v.substr(colon + 1), "must be a valid port");
  }
  std::vector<std::string> errors;

 private:
  const ComponentConfig& c_;
};

}  // namespace

Status validateProxyConfig(const ComponentConfig& c) {
  Checks k(c);
  for (const char* mode : {"iptables", "nftables"}) {
    k.inRange(fmt::format("{}.masqueradeBit", mode), *mode == 'i' ? "KubeProxyIPTablesConfiguration.MasqueradeBit" : "KubeProxyNFTablesConfiguration.MasqueradeBit", 0, 31,
              "must be within the range [0, 31]");
  }
  k.notNegative("ipvs.tcpTimeout", "KubeProxyIPVSConfiguration.TCPTimeout");
  k.notNegative("ipvs.tcpFinTimeout", "KubeProxyIPVSConfiguration.TCPFinTimeout");
  k.notNegative("ipvs.udpTimeout", "KubeProxyIPVSConfiguration.UDPTimeout");
  const std::string kTracking = "Linux.KubeProxyConntrackConfiguration.";
  k.inRange("conntrack.maxPerCore", kTracking + "MaxPerCore", 0, INT32_MAX, "must be greater than or equal to 0");
  k.inRange("conntrack.min", kTracking + "Min", 0, INT32_MAX, "must be greater than or equal to 0");
  k.notNegative("conntrack.tcpEstablishedTimeout", kTracking + "TCPEstablishedTimeout");
  k.notNegative("conntrack.tcpCloseWaitTimeout", kTracking + "TCPCloseWaitTimeout");
  k.notNegative("conntrack.udpTimeout", kTracking + "UDPTimeout");
  k.notNegative("conntrack.udpStreamTimeout", kTracking + "UDPStreamTimeout");
  k.inRange("oomScoreAdj", "Linux.OOMScoreAdj", -1000, 1000, "must be within the range [-1000, 1000]");
  std::string mode = c.text("mode");
  if (!mode.empty() && mode != "iptables" && mode != "ipvs" && mode != "nftables") {
    k.invalid("Mode.ProxyMode", mode, "must be iptables, ipvs, nftables or blank (blank means the best-available proxy [currently iptables])");
  }
  k.inRange("clientConnection.burst", "ClientConnection.Burst", 0, INT32_MAX, "must be greater than or equal to 0");
  if (Duration d = c.duration("configSyncPeriod"); d <= Duration(0)) k.invalid("ConfigSyncPeriod", formatDuration(d), "must be greater than 0");
  if (!isIp(c.text("bindAddress"))) k.invalid("BindAddress", c.text("bindAddress"), "not a valid textual representation of an IP address");
  if (!c.text("healthzBindAddress").empty()) k.hostPort("healthzBindAddress", "HealthzBindAddress");
  if (!c.text("metricsBindAddress").empty()) k.hostPort("metricsBindAddress", "MetricsBindAddress");
  auto addresses = c.texts("nodePortAddresses");
  for (size_t i = 0; i < addresses.size(); i++) {
    std::string path = fmt::format("NodePortAddresses[{}]", i);
    if (addresses[i] == "primary") {
      if (addresses.size() != 1) k.invalid(path, addresses[i], "can't use both 'primary' and CIDRs");
      break;
    }
    if (!isCidr(addresses[i])) k.invalid(path, addresses[i], "must be a valid CIDR");
  }
  std::string local = c.text("detectLocalMode");
  if (!local.empty() && local != "ClusterCIDR" && local != "NodeCIDR" && local != "BridgeInterface" && local != "InterfaceNamePrefix") {
    k.errors.push_back(fmt::format("KubeProxyConfiguration.DetectLocalMode: Unsupported value: {}: supported values: \"BridgeInterface\", \"ClusterCIDR\", "
                                   "\"InterfaceNamePrefix\", \"NodeCIDR\", \"\"", api::goQuote(local)));
  }
  std::string cidrs = c.text("clusterCIDR");
  for (std::string_view one : split(cidrs, ',')) {
    if (!cidrs.empty() && !isCidr(std::string(trimSpace(one)))) {
      k.invalid("ClusterCIDR", cidrs, "must be a valid CIDR block (e.g. 10.100.0.0/16 or fde4:8dba:82e1::/48)");
      break;
    }
  }
  return k.errors.empty() ? Status() : errors::badRequest("failed validate: " + aggregate(k.errors));
}

Status applyProxyConfig(const ComponentConfig& c, proxy::Options& o) {
  std::string mode = c.text("mode");
  if (mode == "iptables" || mode == "ipvs") {
    return errors::badRequest(fmt::format("mode (--proxy-mode) {} is not supported: leave it empty or say nftables, and remove the rules of the other proxy first "
                                          "(kube-proxy --cleanup)", mode));
  }
  std::string local = c.text("detectLocalMode");
  if (!local.empty() && local != "ClusterCIDR") return errors::badRequest(fmt::format("detectLocalMode (--detect-local-mode) {} is not supported; ClusterCIDR is", local));
  o.clusterCidr = c.text("clusterCIDR");
  o.masqueradeAll = c.boolean("nftables.masqueradeAll") || (mode.empty() && c.boolean("iptables.masqueradeAll"));
  // Our own default is shorter than upstream's second: a sync writes what differs only.
  if (c.isSet("nftables.minSyncPeriod")) o.minSyncPeriod = c.duration("nftables.minSyncPeriod");
  if (mode.empty() && c.isSet("iptables.minSyncPeriod")) o.minSyncPeriod = c.duration("iptables.minSyncPeriod");
  o.nodeName = toLower(trimSpace(c.text("hostnameOverride")));
  for (const std::string& a : c.texts("nodePortAddresses")) {
    size_t slash = a.find('/');
    bool whole = slash != std::string::npos && a.substr(slash + 1) == (a.find(':') == std::string::npos ? "32" : "128");
    bool all = a == "0.0.0.0/0" || a == "::/0";
    if (all) continue;
    if (!whole) return errors::badRequest(fmt::format("nodePortAddresses (--nodeport-addresses) {} is not supported: only single addresses (/32, /128) are", a));
    o.nodeIps.push_back(a.substr(0, slash));
  }
  return {};
}

}  // namespace km
