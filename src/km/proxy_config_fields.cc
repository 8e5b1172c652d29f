// The fields of KubeProxyConfiguration v1alpha1, with upstream's defaults.
#include "km/component_config.h"

namespace km {
namespace {

// clang-format off
constexpr ConfigField kFields[] = {
    // path, type, default, flag, its type, support, why, whether zero counts
    {"featureGates", FieldType::kBoolMap, "", "feature-gates", "mapStringBool", Support::kNoEffect, "features are fixed", false},
    {"clientConnection.kubeconfig", FieldType::kText, "\"\"", "kubeconfig", "string", Support::kYes, "Path to kubeconfig `file` with authorization information (the master location can be overridden by the master flag).", false},
    {"clientConnection.acceptContentTypes", FieldType::kText, "\"\"", "", "", Support::kNoEffect, "always protobuf", false},
    {"clientConnection.contentType", FieldType::kText, "\"application/vnd.kubernetes.protobuf\"", "kube-api-content-type", "string", Support::kNoEffect, "always protobuf", false},
    {"clientConnection.qps", FieldType::kFloat, "5", "kube-api-qps", "float32", Support::kNoEffect, "the API server's priority and fairness limits", false},
    {"clientConnection.burst", FieldType::kInt, "10", "kube-api-burst", "int32", Support::kNoEffect, "the API server's priority and fairness limits", false},
    {"logging.format", FieldType::kText, "\"text\"", "logging-format", "string", Support::kYes, "", false},
    {"logging.flushFrequency", FieldType::kAny, "", "log-flush-frequency", "duration", Support::kYes, "", false},
    {"logging.verbosity", FieldType::kInt, "0", "v", "Level", Support::kYes, "", false},
    {"logging.vmodule", FieldType::kAny, "", "vmodule", "pattern=N,...", Support::kYes, "", false},
    {"logging.options.text.splitStream", FieldType::kBool, "", "log-text-split-stream", "bool", Support::kNoEffect, "lines go to stderr, unbuffered", false},
    {"logging.options.text.infoBufferSize", FieldType::kAny, "\"0\"", "log-text-info-buffer-size", "quantity", Support::kNoEffect, "lines go to stderr, unbuffered", false},
    {"logging.options.json.splitStream", FieldType::kBool, "", "log-json-split-stream", "bool", Support::kNoEffect, "lines go to stderr, unbuffered", false},
    {"logging.options.json.infoBufferSize", FieldType::kAny, "\"0\"", "log-json-info-buffer-size", "quantity", Support::kNoEffect, "lines go to stderr, unbuffered", false},
    {"hostnameOverride", FieldType::kText, "\"\"", "hostname-override", "string", Support::kYes, "", false},
    {"bindAddress", FieldType::kText, "\"0.0.0.0\"", "bind-address", "ip", Support::kNoEffect, "nothing is bound to it, here or upstream", false},
    {"healthzBindAddress", FieldType::kText, "\"0.0.0.0:10256\"", "healthz-bind-address", "ipport", Support::kYes, "", false},
    {"metricsBindAddress", FieldType::kText, "\"127.0.0.1:10249\"", "metrics-bind-address", "ipport", Support::kYes, "", false},
    {"bindAddressHardFail", FieldType::kBool, "false", "bind-address-hard-fail", "bool", Support::kNoEffect, "a port that cannot be had always ends the start", false},
    {"enableProfiling", FieldType::kBool, "false", "profiling", "bool", Support::kNoEffect, "there is no Go runtime to profile", false},
    {"showHiddenMetricsForVersion", FieldType::kText, "\"\"", "show-hidden-metrics-for-version", "string", Support::kNoEffect, "no metrics are hidden", false},
    {"mode", FieldType::kText, "\"\"", "proxy-mode", "ProxyMode", Support::kYes, "", false},
    {"iptables.masqueradeBit", FieldType::kInt, "14", "iptables-masquerade-bit", "int32", Support::kNoEffect, "of another mode than nftables", true},
    {"iptables.masqueradeAll", FieldType::kBool, "false", "", "", Support::kNoEffect, "of another mode than nftables", false},
    {"iptables.localhostNodePorts", FieldType::kBool, "true", "iptables-localhost-nodeports", "bool", Support::kNoEffect, "of another mode than nftables", true},
    {"iptables.syncPeriod", FieldType::kDuration, "\"30s\"", "iptables-sync-period", "duration", Support::kNoEffect, "of another mode than nftables", false},
    {"iptables.minSyncPeriod", FieldType::kDuration, "\"1s\"", "iptables-min-sync-period", "duration", Support::kNoEffect, "of another mode than nftables", false},
    {"ipvs.syncPeriod", FieldType::kDuration, "\"30s\"", "ipvs-sync-period", "duration", Support::kNoEffect, "of another mode than nftables", false},
    {"ipvs.minSyncPeriod", FieldType::kDuration, "\"0s\"", "ipvs-min-sync-period", "duration", Support::kNoEffect, "of another mode than nftables", false},
    {"ipvs.scheduler", FieldType::kText, "\"\"", "ipvs-scheduler", "string", Support::kNoEffect, "of another mode than nftables", false},
    {"ipvs.excludeCIDRs", FieldType::kTexts, "", "ipvs-exclude-cidrs", "stringSlice", Support::kNoEffect, "of another mode than nftables", false},
    {"ipvs.strictARP", FieldType::kBool, "false", "ipvs-strict-arp", "bool", Support::kNoEffect, "of another mode than nftables", false},
    {"ipvs.tcpTimeout", FieldType::kDuration, "\"0s\"", "ipvs-tcp-timeout", "duration", Support::kNoEffect, "of another mode than nftables", false},
    {"ipvs.tcpFinTimeout", FieldType::kDuration, "\"0s\"", "ipvs-tcpfin-timeout", "duration", Support::kNoEffect, "of another mode than nftables", false},
    {"ipvs.udpTimeout", FieldType::kDuration, "\"0s\"", "ipvs-udp-timeout", "duration", Support::kNoEffect, "of another mode than nftables", false},
    {"nftables.masqueradeBit", FieldType::kInt, "14", "", "", Support::kNoEffect, "packets are masqueraded without a mark", true},
    {"nftables.masqueradeAll", FieldType::kBool, "false", "masquerade-all", "bool", Support::kYes, "", false},
    {"nftables.syncPeriod", FieldType::kDuration, "\"30s\"", "", "", Support::kNoEffect, "after a failure the table is made anew", false},
    {"nftables.minSyncPeriod", FieldType::kDuration, "\"1s\"", "", "", Support::kYes, "", false},
    {"winkernel.networkName", FieldType::kText, "\"\"", "", "", Support::kNoEffect, "this is Linux", false},
    {"winkernel.sourceVip", FieldType::kText, "\"\"", "", "", Support::kNoEffect, "this is Linux", false},
    {"winkernel.enableDSR", FieldType::kBool, "false", "", "", Support::kNoEffect, "this is Linux", false},
    {"winkernel.rootHnsEndpointName", FieldType::kText, "\"\"", "", "", Support::kNoEffect, "this is Linux", false},
    {"winkernel.forwardHealthCheckVip", FieldType::kBool, "false", "", "", Support::kNoEffect, "this is Linux", false},
    {"detectLocalMode", FieldType::kText, "\"\"", "detect-local-mode", "LocalMode", Support::kYes, "", false},
    {"detectLocal.bridgeInterface", FieldType::kText, "\"\"", "pod-bridge-interface", "string", Support::kNo, "only ClusterCIDR is", false},
    {"detectLocal.interfaceNamePrefix", FieldType::kText, "\"\"", "pod-interface-name-prefix", "string", Support::kNo, "only ClusterCIDR is", false},
    {"clusterCIDR", FieldType::kText, "\"\"", "cluster-cidr", "string", Support::kYes, "", false},
    {"nodePortAddresses", FieldType::kTexts, "", "nodeport-addresses", "stringSlice", Support::kYes, "", false},
    {"oomScoreAdj", FieldType::kInt, "-999", "oom-score-adj", "int32", Support::kNoEffect, "left as the service manager set it", true},
    {"conntrack.maxPerCore", FieldType::kInt, "32768", "conntrack-max-per-core", "int32", Support::kNo, "the kernel's connection tracking is left as it is", true},
    {"conntrack.min", FieldType::kInt, "131072", "conntrack-min", "int32", Support::kNo, "the kernel's connection tracking is left as it is", true},
    {"conntrack.tcpEstablishedTimeout", FieldType::kDuration, "\"24h0m0s\"", "conntrack-tcp-timeout-established", "duration", Support::kNo, "the kernel's connection tracking is left as it is", true},
    {"conntrack.tcpCloseWaitTimeout", FieldType::kDuration, "\"1h0m0s\"", "conntrack-tcp-timeout-close-wait", "duration", Support::kNo, "the kernel's connection tracking is left as it is", true},
    {"conntrack.tcpBeLiberal", FieldType::kBool, "false", "conntrack-tcp-be-liberal", "bool", Support::kNo, "the kernel's connection tracking is left as it is", false},
    {"conntrack.udpTimeout", FieldType::kDuration, "\"0s\"", "conntrack-udp-timeout", "duration", Support::kNo, "the kernel's connection tracking is left as it is", false},
    {"conntrack.udpStreamTimeout", FieldType::kDuration, "\"0s\"", "conntrack-udp-timeout-stream", "duration", Support::kNo, "the kernel's connection tracking is left as it is", false},
    {"configSyncPeriod", FieldType::kDuration, "\"15m0s\"", "config-sync-period", "duration", Support::kNoEffect, "changes are watched", false},
    {"portRange", FieldType::kText, "\"\"", "", "", Support::kNoEffect, "ignored by upstream, too", false},
    {"windowsRunAsService", FieldType::kBool, "", "", "", Support::kNoEffect, "this is Linux", false},
};
// clang-format on

}  // namespace

const ConfigSchema kProxyConfig{"KubeProxyConfiguration", "kubeproxy.config.k8s.io/v1alpha1", kFields};

}  // namespace km
