#include "km/node.h"

#include <dirent.h>
#include <fmt/format.h>

#include <algorithm>

#include "api/types/core_v1.h"
#include "api/types/discovery_v1.h"
#include "base/files.h"
#include "base/log.h"
#include "cri/images.h"
#include "dns/server.h"
#include "km/bridge.h"
#include "km/own_images.h"
#include "proxy/cni_config.h"

namespace km {
namespace {

constexpr int kNodePrefix = 24;
constexpr int kDnsPort = 53;

authn::UserInfo user(std::string name, std::vector<std::string> groups) {
  authn::UserInfo u;
  u.name = std::move(name);
  u.groups = std::move(groups);
  return u;
}

std::vector<std::string> archivesIn(const std::string& directory) {
  std::vector<std::string> out;
  DIR* d = ::opendir(directory.c_str());
  if (d == nullptr) return out;
  while (dirent* e = ::readdir(d)) {
    std::string name = e->d_name;
    if (name.ends_with(".tar") || name.ends_with(".tar.gz") || name.ends_with(".tgz")) out.push_back(directory + "/" + name);
  }
  ::closedir(d);
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

struct Node::Dns {
  Dns(dns::Options options, client::InformerFactory& informers, async::Loop& loop) : server(std::move(options), informers, loop) {}
  dns::Server server;
};

void NodeOptions::addTo(FlagSet& flags) {
  flags.add(&nodeName, "node-name", "The `name` of the node. Default: the host's name.");
  flags.add(&bridge, "bridge", "The `name` of the bridge that pods are on.");
  flags.add(&clusterDns, "cluster-dns", "The IP `address` of the cluster's DNS service.");
  flags.add(&clusterDomain, "cluster-domain", "`Domain` for this cluster.");
  flags.add(&containerRuntimeEndpoint, "container-runtime-endpoint", "The `endpoint` of a container runtime. Without it km runs a containerd of its own under the data directory.");
  flags.add(&cniBinDir, "cni-bin-dir", "The `directory` of the CNI plugins.");
  flags.add(&kubeletPort, "kubelet-port", "The `port` on which the kubelet serves.");
}

std::string NodeOptions::podCidr() const {
  return fmt::format("{}/{}", clusterCidr.substr(0, clusterCidr.find('/')), kNodePrefix);
}

std::string NodeOptions::address() const {
  std::string base = clusterCidr.substr(0, clusterCidr.find('/'));
  size_t dot = base.rfind('.');
  return fmt::format("{}.{}", base.substr(0, dot), std::atoi(base.c_str() + dot + 1) + 1);
}

std::string NodeOptions::tableName() const { return "km-" + bridge; }

Status prepareNetwork(const NodeOptions& o, const std::string& serviceRange) {
  KM_TRY(ensureBridge(o.bridge, o.address(), kNodePrefix));
  size_t slash = serviceRange.find('/');
  if (slash == std::string::npos) return errors::badRequest(fmt::format("--service-cluster-ip-range: invalid CIDR address: {}", serviceRange));
  KM_TRY(ensureRoute(o.bridge, serviceRange.substr(0, slash), std::atoi(serviceRange.c_str() + slash + 1)));
  proxy::CniConfig cni;
  cni.name = "km";
  cni.bridge = o.bridge;
  cni.podCidrs = {o.podCidr()};
  cni.masquerade = false;
  KM_TRY(makeDirs(o.dataDir + "/cni/net.d", 0755));
  return proxy::writeCniConflist(o.dataDir + "/cni/net.d", cni);
}

Node::Node(ControlPlane& plane, Managers& managers, NodeOptions options) : plane_(plane), managers_(managers), options_(std::move(options)) {}

Node::~Node() { stop(); }

Status Node::importImages(Progress& progress) {
  if (!containerd_) return {};  // a runtime that is given has the images that it has
  cri::ImageStore images(plane_.loops().at(0), socket_);
  KM_TRY(images.put(pauseImage()));
  if (auto busybox = busyboxImage()) {
    KM_TRY(images.put(*busybox));
    demoImage_ = busybox->name.substr(busybox->name.rfind('/') + 1);
  }
  for (const std::string& path : archivesIn(options_.dataDir + "/images")) {
    auto names = images.importArchive(path);
    if (!names.ok()) {
      KM_LOG(WARNING, "{} was not imported: {}", path, names.status().message());
      progress.note(fmt::format("   {} was not imported: {}", path, names.status().message()));
      continue;
    }
    for (const std::string& n : *names) KM_LOG(INFO, "imported image {}", n);
  }
  return {};
}

// The Service kube-dns, whose only endpoint is this process.
Status Node::publishDns() {
  auto client = plane_.api().localClient(user("system:kube-dns", {std::string(authn::kMasters)}), "km-dns");
  api::core_v1::Service s;
  s.metadata.name = "kube-dns";
  s.metadata.namespace_ = "kube-system";
  s.metadata.labels["k8s-app"] = "kube-dns";
  s.metadata.labels["kubernetes.io/name"] = "CoreDNS";
  s.metadata.labels["kubernetes.io/cluster-service"] = "true";
  s.spec.clusterIP = options_.clusterDns;
  api::discovery_v1::EndpointSlice slice;
  slice.metadata.name = "kube-dns";
  slice.metadata.namespace_ = "kube-system";
  slice.metadata.labels["kubernetes.io/service-name"] = "kube-dns";
  slice.addressType = "IPv4";
  auto& endpoint = slice.endpoints.add();
  endpoint.addresses.push_back(options_.address());
  endpoint.conditions.ready = true;
  for (std::string_view protocol : {"UDP", "TCP"}) {
    std::string name = protocol == "UDP" ? "dns" : "dns-tcp";
    auto& p = s.spec.ports.add();
    p.name = name;
    p.port = kDnsPort;
    p.protocol = protocol;
    p.targetPort = codec::IntOrString(kDnsPort);
    auto& sp = slice.ports.add();
    sp.name = codec::String(name);
    sp.port = kDnsPort;
    sp.protocol = codec::String(protocol);
  }
  for (api::MutableObject o : {api::Object::of(std::move(s)), api::Object::of(std::move(slice))}) {
    if (client->get(client::target(o->type(), "kube-system", o->name())).ok()) continue;  // from an earlier start
    auto r = client->create(client::target(o->type(), "kube-system"), o);
    if (!r.ok() && !r.status().is("AlreadyExists")) return r.status();
  }
  return {};
}

Status Node::start(Progress& progress) {
  socket_ = options_.containerRuntimeEndpoint;
  if (socket_.empty()) {
    progress.begin("containerd");
    ContainerdOptions c;
    c.directory = options_.dataDir + "/containerd";
    c.cniConfDir = options_.dataDir + "/cni/net.d";
    c.cniBinDir = options_.cniBinDir;
    c.sandboxImage = kPauseImage;
    KM_ASSIGN(containerd_, Containerd::start(plane_.loops().at(0), std::move(c)));
    socket_ = containerd_->socket();
    progress.done("containerd", socket_);
    KM_TRY(importImages(progress));
    progress.done("images", demoImage_);
  }
  runtime_ = cri::connectRuntime(plane_.loops().at(1), socket_);

  pool_ = std::make_unique<client::WorkerPool>(8, "km-node");
  client_ = plane_.api().localClient(user(std::string(authn::kNodePrefix) + options_.nodeName, {std::string(authn::kNodes)}), "kubelet");
  events_ = std::make_unique<client::EventBroadcaster>(*client_, *pool_, managers_.timers());
  kubelet::Options k;
  k.nodeName = options_.nodeName;
  k.rootDir = options_.dataDir + "/kubelet";
  k.nodeIp = options_.address();
  k.clusterDns = {options_.clusterDns};
  k.clusterDomain = options_.clusterDomain;
  k.bindAddress = options_.address();
  k.port = options_.kubeletPort;
  k.tlsCertFile = plane_.pki().certificatePath("kubelet-server");
  k.tlsPrivateKeyFile = plane_.pki().keyPath("kubelet-server");
  k.clientCaFile = plane_.pki().certificatePath("ca");
  k.restrictOomScoreAdj = true;
  kubelet_ = std::make_unique<kubelet::Kubelet>(k, *client_, *pool_, managers_.timers(), plane_.loops().at(1), *runtime_,
                                                events_->recorder("kubelet", options_.nodeName));
  KM_TRY(kubelet_->start());
  progress.done("kubelet", options_.address());

  proxy::Options p;
  p.nodeName = options_.nodeName;
  p.clusterCidr = options_.clusterCidr;
  p.tableName = options_.tableName();
  p.masqueradePods = true;
  proxy_ = std::make_unique<proxy::Proxy>(p, managers_.informers(), managers_.pool(), managers_.timers());
  dns::Options d;
  d.listenAddresses = {options_.address()};
  d.port = kDnsPort;
  d.clusterDomain = options_.clusterDomain;
  dns_ = std::make_unique<Dns>(d, managers_.informers(), plane_.loops().at(1));
  managers_.informers().start();
  KM_TRY(proxy_->start());
  progress.done("service proxy", p.tableName);
  KM_TRY(dns_->server.start());
  KM_TRY(publishDns());
  progress.done("dns", options_.clusterDns);
  return {};
}

void Node::stop() {
  if (std::exchange(stopped_, true)) return;
  if (dns_) dns_->server.stop();
  if (proxy_) proxy_->stop();
  if (kubelet_) kubelet_->stop();
  if (events_) events_->stop();
  dns_.reset();
  proxy_.reset();
  kubelet_.reset();
  events_.reset();
  client_.reset();
  if (pool_) pool_->stop();
  runtime_.reset();
  containerd_.reset();
}

}  // namespace km
