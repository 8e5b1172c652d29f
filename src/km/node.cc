#include "km/node.h"

#include <dirent.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "cri/images.h"
#include "dns/server.h"
#include "km/kubelet_settings.h"
#include "km/own_images.h"

namespace km {
namespace {

constexpr int kDnsPort = 53;

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
  flags.add(&clusterDomain, "cluster-domain", "`Domain` for this cluster.");
  flags.add(&containerRuntimeEndpoint, "container-runtime-endpoint", "The `endpoint` of a container runtime. Without it km runs a containerd of its own under the data directory.");
  flags.add(&cniBinDir, "cni-bin-dir", "The `directory` of the CNI plugins.");
  flags.add(&nodeIp, "node-ip", "IP `address` of the node, where its kubelet serves.");
  flags.add(&kubeletPort, "kubelet-port", "The `port` on which the kubelet serves.");
}

std::string NodeOptions::tableName() const { return "km-" + bridge; }

Node::Node(NodeParts parts, NodeOptions options) : parts_(std::move(parts)), options_(std::move(options)) {}

Node::~Node() { stop(); }

Status Node::importImages(Progress& progress) {
  if (!containerd_) return {};  // a runtime that is given has the images that it has
  cri::ImageStore images(parts_.loops.at(0), socket_);
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

Status Node::startRuntime(Progress& progress) {
  socket_ = options_.containerRuntimeEndpoint;
  if (socket_.empty()) {
    progress.begin("containerd");
    ContainerdOptions c;
    c.directory = options_.dataDir + "/containerd";
    c.cniConfDir = options_.dataDir + "/cni/net.d";
    c.cniBinDir = options_.cniBinDir;
    c.sandboxImage = kPauseImage;
    KM_ASSIGN(containerd_, Containerd::start(parts_.loops.at(0), std::move(c)));
    socket_ = containerd_->socket();
    progress.done("containerd", socket_);
    KM_TRY(importImages(progress));
    progress.done("images", demoImage_);
  }
  runtime_ = cri::connectRuntime(parts_.loops.at(1), socket_);
  return {};
}

Status Node::startKubelet() {
  pool_ = std::make_unique<client::WorkerPool>(8, "km-node");
  events_ = std::make_unique<client::EventBroadcaster>(parts_.client, *pool_, parts_.timers);
  kubelet::Options k;
  k.nodeName = options_.nodeName;
  k.rootDir = options_.dataDir + "/kubelet";
  k.nodeIp = options_.nodeIp;
  k.clusterDns = {options_.clusterDns};
  k.clusterDomain = options_.clusterDomain;
  k.bindAddress = options_.nodeIp;
  k.port = options_.kubeletPort;
  k.tlsCertFile = parts_.certificateFile;
  k.tlsPrivateKeyFile = parts_.keyFile;
  k.clientCaFile = parts_.clientCaFile;
  k.restrictOomScoreAdj = true;
  k.configz = kubeletConfigz(k, socket_);
  kubelet_ = std::make_unique<kubelet::Kubelet>(k, parts_.client, *pool_, parts_.timers, parts_.loops.at(1), *runtime_,
                                                events_->recorder("kubelet", options_.nodeName));
  return kubelet_->start();
}

Status Node::start(Progress& progress) {
  KM_TRY(startRuntime(progress));
  KM_TRY(startKubelet());
  progress.done("kubelet", options_.nodeIp);

  network_ = std::make_unique<PodNetwork>(PodNetworkOptions{options_.nodeName, options_.dataDir, options_.bridge}, parts_.informers);
  proxy::Options p;
  p.nodeName = options_.nodeName;
  p.clusterCidr = options_.clusterCidr;
  p.tableName = options_.tableName();
  p.masqueradePods = true;
  proxy_ = std::make_unique<proxy::Proxy>(p, parts_.informers, parts_.pool, parts_.timers);
  if (!options_.dnsAddress.empty()) {
    dns::Options d;
    d.listenAddresses = {options_.dnsAddress};
    d.port = kDnsPort;
    d.clusterDomain = options_.clusterDomain;
    dns_ = std::make_unique<Dns>(d, parts_.informers, parts_.loops.at(1));
  }
  parts_.informers.start();
  KM_TRY(proxy_->start());
  progress.done("service proxy", p.tableName);
  if (dns_) {
    KM_TRY(dns_->server.start());
    progress.done("dns", options_.clusterDns);
  }
  return {};
}

void Node::stop() {
  if (std::exchange(stopped_, true)) return;
  if (dns_) dns_->server.stop();
  if (proxy_) proxy_->stop();
  network_.reset();
  if (kubelet_) kubelet_->stop();
  if (events_) events_->stop();
  dns_.reset();
  proxy_.reset();
  kubelet_.reset();
  events_.reset();
  if (pool_) pool_->stop();
  runtime_.reset();
  containerd_.reset();
}

}  // namespace km
