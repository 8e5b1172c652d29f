#include "km/pod_network.h"

#include <arpa/inet.h>

#include <cstdlib>

#include "api/types/core_v1.h"
#include "base/files.h"
#include "base/log.h"
#include "km/bridge.h"
#include "proxy/cni_config.h"

namespace km {
namespace {

using api::core_v1::Node;

struct Range {
  std::string address;
  int bits = 0;
};

Range rangeOf(const std::string& cidr) {
  size_t slash = cidr.find('/');
  return {cidr.substr(0, slash), slash == std::string::npos ? 32 : std::atoi(cidr.c_str() + slash + 1)};
}

std::string internalIp(const Node& node) {
  for (const auto& a : node.status.addresses) {
    if (a.type == "InternalIP" && a.address.view().find(':') == std::string_view::npos) return a.address.str();
  }
  return "";
}

}  // namespace

std::string firstAddress(const std::string& cidr) {
  in_addr ip{};
  if (::inet_pton(AF_INET, rangeOf(cidr).address.c_str(), &ip) != 1) return "";
  ip.s_addr = htonl(ntohl(ip.s_addr) + 1);
  char text[INET_ADDRSTRLEN] = {};
  ::inet_ntop(AF_INET, &ip, text, sizeof text);
  return text;
}

Status preparePodNetwork(const PodNetworkOptions& o, const std::string& podCidr) {
  std::string address = firstAddress(podCidr);
  if (address.empty()) return errors::failed("the range of pod addresses is no IPv4 range: " + podCidr);
  KM_TRY(ensureBridge(o.bridge, address, rangeOf(podCidr).bits));
  proxy::CniConfig cni;
  cni.name = "km";
  cni.bridge = o.bridge;
  cni.podRanges = {{podCidr, address}};
  cni.addressesDir = o.dataDir + "/cni/networks";
  return proxy::writeCniConflist(o.dataDir + "/cni/net.d", cni);
}

PodNetwork::PodNetwork(PodNetworkOptions options, client::InformerFactory& informers) : options_(std::move(options)) {
  client::Handler h;
  h.onAdd = [this](const client::ObjectPtr& o, bool) { onNode(o->as<Node>()); };
  h.onUpdate = [this](const client::ObjectPtr&, const client::ObjectPtr& o) { onNode(o->as<Node>()); };
  h.onDelete = [this](const client::ObjectPtr& o, bool) { onGone(o->as<Node>()); };
  registration_ = informers.of<Node>().addHandler(std::move(h));
}

PodNetwork::~PodNetwork() = default;

void PodNetwork::onNode(const Node& node) {
  std::string range = node.spec.podCIDR.str();
  if (range.empty()) return;
  if (node.metadata.name == options_.nodeName) {
    if (range == own_) return;
    Status s = preparePodNetwork(options_, range);
    if (s.ok()) {
      own_ = range;
    } else {
      KM_LOG(ERROR, "the pod network {} cannot be made: {}", range, s.message());
    }
    return;
  }
  std::string gateway = internalIp(node);
  auto at = routes_.find(range);
  if (gateway.empty() || (at != routes_.end() && at->second == gateway)) return;
  if (Status s = ensureRouteVia(range, gateway); !s.ok()) {
    KM_LOG(ERROR, "pods of node {} are out of reach: {}", node.metadata.name.view(), s.message());
    return;
  }
  routes_[range] = gateway;
}

void PodNetwork::onGone(const Node& node) {
  auto at = routes_.find(node.spec.podCIDR.str());
  if (at == routes_.end()) return;
  if (Status s = removeRoute(at->first); !s.ok()) KM_LOG(WARNING, "{}", s.message());
  routes_.erase(at);
}

}  // namespace km
