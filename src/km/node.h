// Node: the node part of a cluster in one process: container runtime, kubelet, service proxy and cluster DNS.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/flags.h"
#include "cri/runtime.h"
#include "km/containerd.h"
#include "km/pod_network.h"
#include "km/progress.h"
#include "kubelet/kubelet.h"
#include "proxy/proxy.h"

namespace km {

struct NodeOptions {
  std::string dataDir;
  std::string nodeName;                        // empty: the host's name
  std::string bridge = "km0";
  std::string clusterCidr = "10.244.0.0/16";
  std::string clusterDns = "10.96.0.10";
  std::string clusterDomain = "cluster.local";
  std::string containerRuntimeEndpoint;        // empty: a containerd of our own
  std::string cniBinDir = "/usr/lib/cni";
  int32_t kubeletPort = 10250;
  std::string nodeIp;                          // the node's address, where the kubelet serves
  std::string dnsAddress;                      // where this process answers DNS; empty: it does not

  void addTo(FlagSet& flags);
  std::string tableName() const;               // of nftables: one a bridge, so that clusters side by side do not mix
};

// What a node stands on in its process. All of it must outlive the node.
struct NodeParts {
  async::LoopGroup& loops;            // two
  client::Client& client;             // as system:node:NAME
  client::InformerFactory& informers; // of Services, EndpointSlices and Nodes
  client::WorkerPool& pool;           // of the informers
  client::Timers& timers;
  std::string certificateFile, keyFile;  // the kubelet's, for serving
  std::string clientCaFile;              // who may ask it
};

class Node {
 public:
  Node(NodeParts parts, NodeOptions options);
  ~Node();  // stop()
  Status start(Progress& progress);
  void stop();  // containers and rules stay
  // An image that is there for trying things out, or "".
  const std::string& demoImage() const { return demoImage_; }

 private:
  Status importImages(Progress& progress);
  Status startRuntime(Progress& progress);
  Status startKubelet();

  NodeParts parts_;
  const NodeOptions options_;
  std::string demoImage_;
  std::string socket_;
  std::unique_ptr<Containerd> containerd_;
  std::unique_ptr<cri::Runtime> runtime_;
  std::unique_ptr<client::WorkerPool> pool_;
  std::unique_ptr<client::EventBroadcaster> events_;
  std::unique_ptr<kubelet::Kubelet> kubelet_;
  std::unique_ptr<PodNetwork> network_;
  std::unique_ptr<proxy::Proxy> proxy_;
  struct Dns;
  std::unique_ptr<Dns> dns_;
  bool stopped_ = false;
};

}  // namespace km
