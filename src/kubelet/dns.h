// resolv.conf of a pod, and its host name and /etc/hosts.
#pragma once

#include <string>
#include <vector>

#include "api/types/cri_runtime_v1.h"
#include "kubelet/options.h"
#include "kubelet/pod_util.h"

namespace km::kubelet {

// `hostResolvConf`: the text of the node's file.
api::cri_runtime_v1::DNSConfig podDns(const Options& options, const v1::Pod& pod, std::string_view hostResolvConf);
std::string podHostname(const v1::Pod& pod);
// "" without a subdomain.
std::string podHostDomain(const Options& options, const v1::Pod& pod);
// The managed file. `hostFile`: the node's own, for pods in its network.
std::string hostsFile(const Options& options, const v1::Pod& pod, const std::vector<std::string>& ips, std::string_view hostFile);

}  // namespace km::kubelet
