// What a kubelet is told at its start.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

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
  int maxPods = 110;
  bool registerNode = true;
  std::map<std::string, std::string> nodeLabels;
  std::string version = "v1.36.3";
  // Without CAP_SYS_RESOURCE nobody here can lower oom_score_adj: containers are never asked for less than our own.
  bool restrictOomScoreAdj = false;
};

}  // namespace km::kubelet
