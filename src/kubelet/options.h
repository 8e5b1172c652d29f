// What a kubelet is told at its start.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/types/core_v1.h"
#include "base/clock.h"

namespace km::kubelet {

struct Options {
  std::string nodeName;
  std::string rootDir = "/var/lib/kubelet";  // pods, volumes, seccomp profiles
  std::string podLogsDir = "/var/log/pods";
  std::string containerLogsDir = "/var/log/containers";
  std::string nodeIp;
  std::vector<std::string> clusterDns;
  std::string clusterDomain = "cluster.local";
  std::string resolvConf = "/etc/resolv.conf";
  std::string cgroupDriver = "cgroupfs";
  std::string cgroupRoot = "/sys/fs/cgroup";  // where the hierarchies are mounted
  bool podCgroups = true;                     // make /kubepods/... with the limits of pods; off in unit tests
  std::string bindAddress = "0.0.0.0";
  int port = 10250;                           // 0: any; -1: no server
  std::string tlsCertFile, tlsPrivateKeyFile, clientCaFile;
  std::string tlsMinVersion;
  std::vector<std::string> tlsCipherSuites;
  // Who may ask the server: certificates of clientCaFile always count.
  bool anonymousAuth = false;      // whoever shows nothing is system:anonymous
  bool webhookAuth = true;         // the API server is asked about tokens
  bool alwaysAllow = false;        // whoever is known may do everything
  bool debuggingHandlers = true;   // logs, exec, attach, port-forward
  std::string configz;             // what /configz answers, JSON
  int maxPods = 110;
  bool registerNode = true;
  std::map<std::string, std::string> nodeLabels;
  std::vector<api::core_v1::Taint> nodeTaints;  // of a new node
  std::string providerId;
  // How often the status is looked at, told though nothing changed, and how long the node's Lease lasts.
  Duration statusUpdate = std::chrono::seconds(10), statusReport = std::chrono::minutes(5);
  int leaseSeconds = 40;
  int maxImages = 50;  // in the status; -1: all
  std::string version = "v1.36.3";
  // Without CAP_SYS_RESOURCE nobody here can lower oom_score_adj: containers are never asked for less than our own.
  bool restrictOomScoreAdj = false;
  // Set: nothing is made or asked on this machine. The runtime is one in memory, files of volumes are not written (what they hold is still
  // fetched), probes and hooks succeed, and the node says that it has this much.
  struct Hollow {
    int cpus = 32;
    int64_t memory = int64_t{256} << 30, storage = int64_t{1} << 40;
  };
  std::optional<Hollow> hollow;
};

}  // namespace km::kubelet
