#include "km/upstream_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/log.h"
#include "base/strings.h"

namespace km {
namespace {

constexpr uint8_t kApi = 1, kManager = 2, kScheduler = 4, kProxy = 8, kKubelet = 16;

// clang-format off
constexpr UpstreamFlag kFlags[] = {
    // parts, flag, type, value when bare, what becomes of it, accepted values, why
    {kApi, "admission-control", "stringSlice", "", Treatment::kOnly, "", "plugins have no configuration files"},
    {kApi, "admission-control-config-file", "string", "", Treatment::kOnly, "", "plugins have no configuration files"},
    {kApi, "aggregator-reject-forwarding-redirect", "bool", "true", Treatment::kNoEffect, "", "there is no aggregation"},
    {kApi | kManager | kScheduler, "allow-metric-labels", "stringToString", "", Treatment::kNoEffect, "", "metrics are always told as they are"},
    {kApi | kManager | kScheduler, "allow-metric-labels-manifest", "string", "", Treatment::kNoEffect, "", "metrics are always told as they are"},
    {kManager, "allow-untagged-cloud", "bool", "true", Treatment::kNoEffect, "", "clouds are not spoken to"},
    {kApi, "apiserver-count", "int", "", Treatment::kNoEffect, "", "deprecated, without effect upstream, too"},
    {kKubelet, "application-metrics-count-limit", "int", "", Treatment::kNoEffect, "", "there is no cAdvisor"},
    {kManager, "attach-detach-reconcile-sync-period", "duration", "", Treatment::kNoEffect, "", "there are no controllers of volumes yet"},
    {kApi, "audit-log-batch-buffer-size", "int", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-log-batch-max-size", "int", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-log-batch-max-wait", "duration", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-log-batch-throttle-burst", "int", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-log-batch-throttle-enable", "bool", "true", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-log-batch-throttle-qps", "float32", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-log-compress", "bool", "true", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-log-format", "string", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-log-maxage", "int", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-log-maxbackup", "int", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-log-maxsize", "int", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-log-mode", "string", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-log-path", "string", "", Treatment::kOnly, "", "there is no audit log: whoever asks for one must not believe that it is written"},
    {kApi, "audit-log-truncate-enabled", "bool", "true", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-log-truncate-max-batch-size", "int64", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-log-truncate-max-event-size", "int64", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-log-version", "string", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-policy-file", "string", "", Treatment::kOnly, "", "there is no audit log: whoever asks for one must not believe that it is written"},
    {kApi, "audit-webhook-batch-buffer-size", "int", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-webhook-batch-initial-backoff", "duration", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-webhook-batch-max-size", "int", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-webhook-batch-max-wait", "duration", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-webhook-batch-throttle-burst", "int", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-webhook-batch-throttle-enable", "bool", "true", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-webhook-batch-throttle-qps", "float32", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-webhook-config-file", "string", "", Treatment::kOnly, "", "there is no audit log: whoever asks for one must not believe that it is written"},
    {kApi, "audit-webhook-initial-backoff", "duration", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-webhook-mode", "string", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-webhook-truncate-enabled", "bool", "true", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-webhook-truncate-max-batch-size", "int64", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-webhook-truncate-max-event-size", "int64", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "audit-webhook-version", "string", "", Treatment::kNoEffect, "", "there is no audit log"},
    {kApi, "authentication-config", "string", "", Treatment::kOnly, "", "of tokens only those of service accounts, of files and for bootstrapping are known"},
    {kManager | kScheduler, "authentication-kubeconfig", "string", "", Treatment::kNoEffect, "", "the part asks about callers under its own kubeconfig"},
    {kManager | kScheduler, "authentication-skip-lookup", "bool", "true", Treatment::kNoEffect, "", "nothing is looked up: --client-ca-file says whose certificates count"},
    {kApi | kManager | kScheduler, "authentication-token-webhook-cache-ttl", "duration", "", Treatment::kNoEffect, "", "how long answers are remembered is fixed"},
    {kApi, "authentication-token-webhook-config-file", "string", "", Treatment::kOnly, "", "of tokens only those of service accounts, of files and for bootstrapping are known"},
    {kApi, "authentication-token-webhook-version", "string", "", Treatment::kNoEffect, "", "without --oidc-issuer-url or a webhook, which are refused"},
    {kManager | kScheduler, "authentication-tolerate-lookup-failure", "bool", "true", Treatment::kNoEffect, "", "nothing is looked up: --client-ca-file says whose certificates count"},
    {kApi, "authorization-config", "string", "", Treatment::kOnly, "", "authorization is Node and RBAC"},
    {kManager | kScheduler, "authorization-kubeconfig", "string", "", Treatment::kNoEffect, "", "the part asks about callers under its own kubeconfig"},
    {kApi, "authorization-policy-file", "string", "", Treatment::kOnly, "", "authorization is Node and RBAC"},
    {kApi | kManager | kScheduler, "authorization-webhook-cache-authorized-ttl", "duration", "", Treatment::kNoEffect, "", "how long answers are remembered is fixed"},
    {kApi | kManager | kScheduler, "authorization-webhook-cache-unauthorized-ttl", "duration", "", Treatment::kNoEffect, "", "how long answers are remembered is fixed"},
    {kApi, "authorization-webhook-config-file", "string", "", Treatment::kOnly, "", "authorization is Node and RBAC"},
    {kApi, "authorization-webhook-version", "string", "", Treatment::kNoEffect, "", "without a webhook, which is refused"},
    {kProxy | kKubelet, "boot-id-file", "string", "", Treatment::kNoEffect, "", "the machine's usual files are read"},
    {kApi | kManager | kScheduler, "cert-dir", "string", "", Treatment::kNoEffect, "", "without --tls-cert-file a certificate is made in memory or in the data directory"},
    {kManager, "cidr-allocator-type", "string", "", Treatment::kOnly, "RangeAllocator", "ranges are given by the cluster"},
    {kManager, "cloud-config", "string", "", Treatment::kOnly, "external", "clouds are not spoken to"},
    {kManager | kKubelet, "cloud-provider", "string", "", Treatment::kOnly, "external", "clouds are not spoken to"},
    {kManager, "cluster-name", "string", "", Treatment::kNoEffect, "", "clouds are not spoken to"},
    {kManager, "concurrent-cron-job-syncs", "int32", "", Treatment::kNoEffect, "", "of a controller with one worker, or of one that is not built"},
    {kManager, "concurrent-daemonset-syncs", "int32", "", Treatment::kNoEffect, "", "of a controller with one worker, or of one that is not built"},
    {kManager, "concurrent-device-taint-eviction-syncs", "int32", "", Treatment::kNoEffect, "", "of a controller with one worker, or of one that is not built"},
    {kManager, "concurrent-ephemeralvolume-syncs", "int32", "", Treatment::kNoEffect, "", "of a controller with one worker, or of one that is not built"},
    {kManager, "concurrent-horizontal-pod-autoscaler-syncs", "int32", "", Treatment::kNoEffect, "", "of a controller with one worker, or of one that is not built"},
    {kManager, "concurrent-job-syncs", "int32", "", Treatment::kNoEffect, "", "of a controller with one worker, or of one that is not built"},
    {kManager, "concurrent-rc-syncs", "int32", "", Treatment::kNoEffect, "", "of a controller with one worker, or of one that is not built"},
    {kManager, "concurrent-resourceclaim-syncs", "int32", "", Treatment::kNoEffect, "", "of a controller with one worker, or of one that is not built"},
    {kManager, "concurrent-service-syncs", "int32", "", Treatment::kNoEffect, "", "of a controller with one worker, or of one that is not built"},
    {kManager, "concurrent-statefulset-syncs", "int32", "", Treatment::kNoEffect, "", "of a controller with one worker, or of one that is not built"},
    {kManager, "concurrent-ttl-after-finished-syncs", "int32", "", Treatment::kNoEffect, "", "of a controller with one worker, or of one that is not built"},
    {kManager, "concurrent-validating-admission-policy-status-syncs", "int32", "", Treatment::kNoEffect, "", "of a controller with one worker, or of one that is not built"},
    {kManager, "configure-cloud-routes", "bool", "true", Treatment::kNoEffect, "", "clouds are not spoken to"},
    {kKubelet, "container-hints", "string", "", Treatment::kNoEffect, "", "there is no cAdvisor"},
    {kKubelet, "containerd", "string", "", Treatment::kNoEffect, "", "there is no cAdvisor"},
    {kKubelet, "containerd-namespace", "string", "", Treatment::kNoEffect, "", "there is no cAdvisor"},
    {kApi | kManager | kScheduler, "contention-profiling", "bool", "true", Treatment::kNoEffect, "", "there is no Go runtime to profile"},
    {kManager, "controller-shutdown-timeout", "duration", "", Treatment::kNoEffect, "", "controllers start and end at once"},
    {kManager, "controller-start-interval", "duration", "", Treatment::kNoEffect, "", "controllers start and end at once"},
    {kApi, "coordinated-leadership-lease-duration", "duration", "", Treatment::kNoEffect, "", "leads are held by Leases alone"},
    {kApi, "coordinated-leadership-renew-deadline", "duration", "", Treatment::kNoEffect, "", "leads are held by Leases alone"},
    {kApi, "coordinated-leadership-retry-period", "duration", "", Treatment::kNoEffect, "", "leads are held by Leases alone"},
    {kApi, "cors-allowed-origins", "stringSlice", "", Treatment::kOnly, "", "no CORS headers are sent"},
    {kApi, "debug-socket-path", "string", "", Treatment::kOnly, "", "there is no debug socket"},
    {kApi, "default-not-ready-toleration-seconds", "int64", "", Treatment::kOnly, "300", "the time is fixed"},
    {kApi, "default-unreachable-toleration-seconds", "int64", "", Treatment::kOnly, "300", "the time is fixed"},
    {kApi, "default-watch-cache-size", "int", "", Treatment::kNoEffect, "", "deprecated, without effect upstream, too"},
    {kApi, "delete-collection-workers", "int", "", Treatment::kNoEffect, "", "collections are deleted in one go"},
    {kManager, "disable-attach-detach-reconcile-sync", "bool", "true", Treatment::kNoEffect, "", "there are no controllers of volumes yet"},
    {kManager, "disable-force-detach-on-timeout", "bool", "true", Treatment::kNoEffect, "", "there are no controllers of volumes yet"},
    {kApi | kManager | kScheduler, "disabled-metrics", "stringSlice", "", Treatment::kNoEffect, "", "metrics are always told as they are"},
    {kApi, "egress-selector-config-file", "string", "", Treatment::kOnly, "", "there is one way out"},
    {kApi | kManager | kScheduler, "emulated-version", "stringSlice", "", Treatment::kOnly, "", "the version is fixed"},
    {kApi, "emulation-forward-compatible", "bool", "true", Treatment::kOnly, "", "the version is fixed"},
    {kApi, "enable-aggregator-routing", "bool", "true", Treatment::kNoEffect, "", "there is no aggregation"},
    {kManager, "enable-dynamic-provisioning", "bool", "true", Treatment::kNoEffect, "", "there are no controllers of volumes yet"},
    {kApi | kManager, "enable-garbage-collector", "bool", "true", Treatment::kOnly, "true", "the garbage collector is a controller: --controllers"},
    {kManager, "enable-hostpath-provisioner", "bool", "true", Treatment::kNoEffect, "", "there are no controllers of volumes yet"},
    {kManager, "enable-leader-migration", "bool", "true", Treatment::kOnly, "", "there is no migration of leads"},
    {kKubelet, "enable-load-reader", "bool", "true", Treatment::kNoEffect, "", "there is no cAdvisor"},
    {kApi, "enable-logs-handler", "bool", "true", Treatment::kNoEffect, "", "deprecated, without effect upstream, too"},
    {kApi, "enable-priority-and-fairness", "bool", "true", Treatment::kOnly, "true", "requests are always queued fairly"},
    {kApi, "encryption-provider-config", "string", "", Treatment::kOnly, "", "data are not encrypted at rest"},
    {kApi, "encryption-provider-config-automatic-reload", "bool", "true", Treatment::kOnly, "", "data are not encrypted at rest"},
    {kApi, "endpoint-reconciler-type", "string", "", Treatment::kOnly, "lease", "servers tell of themselves by leases"},
    {kManager, "endpoint-updates-batch-period", "duration", "", Treatment::kNoEffect, "", "changes are written as they come"},
    {kManager, "endpointslice-updates-batch-period", "duration", "", Treatment::kNoEffect, "", "changes are written as they come"},
    {kApi, "etcd-count-metric-poll-period", "duration", "", Treatment::kNoEffect, "", "counts are read when metrics are asked for"},
    {kApi, "etcd-db-metric-poll-interval", "duration", "", Treatment::kNoEffect, "", "counts are read when metrics are asked for"},
    {kApi, "etcd-servers-overrides", "stringSlice", "", Treatment::kOnly, "", "one etcd holds all"},
    {kKubelet, "event-storage-age-limit", "string", "", Treatment::kNoEffect, "", "there is no cAdvisor"},
    {kKubelet, "event-storage-event-limit", "string", "", Treatment::kNoEffect, "", "there is no cAdvisor"},
    {kKubelet, "exit-on-lock-contention", "bool", "true", Treatment::kOnly, "", "no lock file is kept"},
    {kKubelet, "experimental-allocatable-ignore-eviction", "bool", "true", Treatment::kNoEffect, "", "there is no eviction by pressure"},
    {kKubelet, "experimental-mounter-path", "string", "", Treatment::kOnly, "", "volumes are mounted by the kubelet itself"},
    {kManager, "external-cloud-volume-plugin", "string", "", Treatment::kOnly, "external", "clouds are not spoken to"},
    {kApi, "external-hostname", "string", "", Treatment::kNoEffect, "", "no URLs are made of it"},
    {kApi | kManager | kScheduler, "feature-gates", "colonSeparatedMultimapStringString", "", Treatment::kNoEffect, "", "features are fixed: what is built is on"},
    {kManager, "flex-volume-plugin-dir", "string", "", Treatment::kNoEffect, "", "there are no controllers of volumes yet"},
    {kKubelet, "global-housekeeping-interval", "duration", "", Treatment::kNoEffect, "", "there is no cAdvisor"},
    {kApi, "goaway-chance", "float64", "", Treatment::kNoEffect, "", "connections are kept"},
    {kManager, "horizontal-pod-autoscaler-cpu-initialization-period", "duration", "", Treatment::kNoEffect, "", "there is no such controller yet"},
    {kManager, "horizontal-pod-autoscaler-downscale-stabilization", "duration", "", Treatment::kNoEffect, "", "there is no such controller yet"},
    {kManager, "horizontal-pod-autoscaler-initial-readiness-delay", "duration", "", Treatment::kNoEffect, "", "there is no such controller yet"},
    {kManager, "horizontal-pod-autoscaler-sync-period", "duration", "", Treatment::kNoEffect, "", "there is no such controller yet"},
    {kManager, "horizontal-pod-autoscaler-tolerance", "float64", "", Treatment::kNoEffect, "", "there is no such controller yet"},
    {kKubelet, "housekeeping-interval", "duration", "", Treatment::kNoEffect, "", "there is no cAdvisor"},
    {kApi | kManager | kScheduler, "http2-max-streams-per-connection", "int", "", Treatment::kNoEffect, "", "the number is fixed"},
    {kKubelet, "image-credential-provider-bin-dir", "string", "", Treatment::kOnly, "", "credential plugins are not run"},
    {kKubelet, "image-credential-provider-config", "string", "", Treatment::kOnly, "", "credential plugins are not run"},
    {kProxy, "init-only", "bool", "true", Treatment::kOnly, "", "start and rights are one"},
    {kManager | kScheduler, "kube-api-burst", "int32", "", Treatment::kNoEffect, "", "the API server's priority and fairness limits"},
    {kManager | kScheduler, "kube-api-content-type", "string", "", Treatment::kNoEffect, "", "always protobuf"},
    {kManager | kScheduler, "kube-api-qps", "float32", "", Treatment::kNoEffect, "", "the API server's priority and fairness limits"},
    {kApi, "kubelet-port", "uint", "", Treatment::kNoEffect, "", "deprecated, without effect upstream, too"},
    {kApi, "kubelet-preferred-address-types", "stringSlice", "", Treatment::kNoEffect, "", "InternalIP, ExternalIP, Hostname, in this order"},
    {kApi, "kubelet-read-only-port", "uint", "", Treatment::kNoEffect, "", "deprecated, without effect upstream, too"},
    {kApi, "kubelet-timeout", "duration", "", Treatment::kNoEffect, "", "a kubelet is waited for as long as the client waits"},
    {kApi, "kubernetes-service-node-port", "int", "", Treatment::kOnly, "", "the Service kubernetes has a cluster IP"},
    {kManager | kScheduler, "leader-elect-resource-lock", "string", "", Treatment::kOnly, "leases", "only Leases lock"},
    {kManager, "leader-migration-config", "string", "", Treatment::kOnly, "", "there is no migration of leads"},
    {kApi, "lease-reuse-duration-seconds", "int64", "", Treatment::kNoEffect, "", "of the inside of the other server; here it is fixed"},
    {kManager, "legacy-service-account-token-clean-up-period", "duration", "", Treatment::kNoEffect, "", "unused legacy tokens are not removed"},
    {kApi, "livez-grace-period", "duration", "", Treatment::kNoEffect, "", "of the inside of the other server; here it is fixed"},
    {kKubelet, "lock-file", "string", "", Treatment::kOnly, "", "no lock file is kept"},
    {kKubelet, "log-cadvisor-usage", "bool", "true", Treatment::kNoEffect, "", "lines go to stderr, unbuffered"},
    {kApi | kManager | kScheduler, "log-json-info-buffer-size", "quantity", "", Treatment::kNoEffect, "", "lines go to stderr, unbuffered"},
    {kApi | kManager | kScheduler, "log-json-split-stream", "bool", "true", Treatment::kNoEffect, "", "lines go to stderr, unbuffered"},
    {kApi | kManager | kScheduler, "log-text-info-buffer-size", "quantity", "", Treatment::kNoEffect, "", "lines go to stderr, unbuffered"},
    {kApi | kManager | kScheduler, "log-text-split-stream", "bool", "true", Treatment::kNoEffect, "", "lines go to stderr, unbuffered"},
    {kProxy | kKubelet, "machine-id-file", "string", "", Treatment::kNoEffect, "", "the machine's usual files are read"},
    {kApi, "max-connection-bytes-per-sec", "int64", "", Treatment::kNoEffect, "", "of the inside of the other server; here it is fixed"},
    {kKubelet, "max-housekeeping-interval", "duration", "", Treatment::kNoEffect, "", "there is no cAdvisor"},
    {kKubelet, "maximum-dead-containers", "int32", "", Treatment::kNoEffect, "", "dead containers are kept as their pods need them"},
    {kKubelet, "maximum-dead-containers-per-container", "int32", "", Treatment::kNoEffect, "", "dead containers are kept as their pods need them"},
    {kApi | kManager | kScheduler, "min-compatibility-version", "stringSlice", "", Treatment::kOnly, "", "the version is fixed"},
    {kApi, "min-request-timeout", "int", "", Treatment::kNoEffect, "", "of the inside of the other server; here it is fixed"},
    {kManager, "min-resync-period", "duration", "", Treatment::kNoEffect, "", "nothing is looked at again without a cause"},
    {kKubelet, "minimum-container-ttl-duration", "duration", "", Treatment::kNoEffect, "", "dead containers are kept as their pods need them"},
    {kManager, "mirroring-concurrent-service-endpoint-syncs", "int32", "", Treatment::kNoEffect, "", "of a controller with one worker, or of one that is not built"},
    {kManager, "mirroring-endpointslice-updates-batch-period", "duration", "", Treatment::kNoEffect, "", "changes are written as they come"},
    {kManager, "mirroring-max-endpoints-per-subset", "int32", "", Treatment::kNoEffect, "", "changes are written as they come"},
    {kManager, "namespace-sync-period", "duration", "", Treatment::kNoEffect, "", "nothing is looked at again without a cause"},
    {kManager, "node-sync-period", "duration", "", Treatment::kNoEffect, "", "clouds are not spoken to"},
    {kApi, "oidc-ca-file", "string", "", Treatment::kNoEffect, "", "without --oidc-issuer-url or a webhook, which are refused"},
    {kApi, "oidc-client-id", "string", "", Treatment::kNoEffect, "", "without --oidc-issuer-url or a webhook, which are refused"},
    {kApi, "oidc-groups-claim", "string", "", Treatment::kNoEffect, "", "without --oidc-issuer-url or a webhook, which are refused"},
    {kApi, "oidc-groups-prefix", "string", "", Treatment::kNoEffect, "", "without --oidc-issuer-url or a webhook, which are refused"},
    {kApi, "oidc-issuer-url", "string", "", Treatment::kOnly, "", "of tokens only those of service accounts, of files and for bootstrapping are known"},
    {kApi, "oidc-required-claim", "mapStringString", "", Treatment::kNoEffect, "", "without --oidc-issuer-url or a webhook, which are refused"},
    {kApi, "oidc-signing-algs", "stringSlice", "", Treatment::kNoEffect, "", "without --oidc-issuer-url or a webhook, which are refused"},
    {kApi, "oidc-username-claim", "string", "", Treatment::kNoEffect, "", "without --oidc-issuer-url or a webhook, which are refused"},
    {kApi, "oidc-username-prefix", "string", "", Treatment::kNoEffect, "", "without --oidc-issuer-url or a webhook, which are refused"},
    {kApi, "peer-advertise-ip", "string", "", Treatment::kNoEffect, "", "every server can answer every request"},
    {kApi, "peer-advertise-port", "string", "", Treatment::kNoEffect, "", "every server can answer every request"},
    {kApi, "peer-ca-file", "string", "", Treatment::kNoEffect, "", "every server can answer every request"},
    {kApi | kManager | kScheduler, "permit-address-sharing", "bool", "true", Treatment::kOnly, "", "ports are not shared"},
    {kApi | kManager | kScheduler, "permit-port-sharing", "bool", "true", Treatment::kOnly, "", "ports are not shared"},
    {kScheduler, "pod-max-in-unschedulable-pods-duration", "duration", "", Treatment::kOnly, "5m0s", "the time is fixed"},
    {kApi | kManager | kScheduler, "profiling", "bool", "true", Treatment::kNoEffect, "", "there is no Go runtime to profile"},
    {kApi, "proxy-client-cert-file", "string", "", Treatment::kNoEffect, "", "there is no aggregation that would show it"},
    {kApi, "proxy-client-key-file", "string", "", Treatment::kNoEffect, "", "there is no aggregation that would show it"},
    {kManager, "pv-recycler-increment-timeout-nfs", "int32", "", Treatment::kNoEffect, "", "there are no controllers of volumes yet"},
    {kManager, "pv-recycler-minimum-timeout-hostpath", "int32", "", Treatment::kNoEffect, "", "there are no controllers of volumes yet"},
    {kManager, "pv-recycler-minimum-timeout-nfs", "int32", "", Treatment::kNoEffect, "", "there are no controllers of volumes yet"},
    {kManager, "pv-recycler-pod-template-filepath-hostpath", "string", "", Treatment::kNoEffect, "", "there are no controllers of volumes yet"},
    {kManager, "pv-recycler-pod-template-filepath-nfs", "string", "", Treatment::kNoEffect, "", "there are no controllers of volumes yet"},
    {kManager, "pv-recycler-timeout-increment-hostpath", "int32", "", Treatment::kNoEffect, "", "there are no controllers of volumes yet"},
    {kManager, "pvclaimbinder-sync-period", "duration", "", Treatment::kNoEffect, "", "there are no controllers of volumes yet"},
    {kApi, "request-timeout", "duration", "", Treatment::kNoEffect, "", "of the inside of the other server; here it is fixed"},
    {kApi | kManager | kScheduler, "requestheader-allowed-names", "stringSlice", "", Treatment::kNoEffect, "", "no front proxy is believed: whoever is behind one is who the proxy is"},
    {kApi | kManager | kScheduler, "requestheader-client-ca-file", "string", "", Treatment::kNoEffect, "", "no front proxy is believed: whoever is behind one is who the proxy is"},
    {kApi | kManager | kScheduler, "requestheader-extra-headers-prefix", "stringSlice", "", Treatment::kNoEffect, "", "no front proxy is believed: whoever is behind one is who the proxy is"},
    {kApi | kManager | kScheduler, "requestheader-group-headers", "stringSlice", "", Treatment::kNoEffect, "", "no front proxy is believed: whoever is behind one is who the proxy is"},
    {kApi | kManager | kScheduler, "requestheader-uid-headers", "stringSlice", "", Treatment::kNoEffect, "", "no front proxy is believed: whoever is behind one is who the proxy is"},
    {kApi | kManager | kScheduler, "requestheader-username-headers", "stringSlice", "", Treatment::kNoEffect, "", "no front proxy is believed: whoever is behind one is who the proxy is"},
    {kManager, "route-reconciliation-period", "duration", "", Treatment::kNoEffect, "", "clouds are not spoken to"},
    {kKubelet, "runtime-cgroups", "string", "", Treatment::kNoEffect, "", "cgroups of the system are left alone"},
    {kApi, "runtime-config", "mapStringString", "", Treatment::kNoEffect, "", "the versions that are served are fixed: those of upstream's default"},
    {kApi, "runtime-config-emulation-forward-compatible", "bool", "true", Treatment::kOnly, "", "the version is fixed"},
    {kKubelet, "seccomp-default", "bool", "true", Treatment::kOnly, "", "pods without a profile run unconfined"},
    {kApi, "send-retry-after-while-not-ready-once", "bool", "true", Treatment::kNoEffect, "", "of the inside of the other server; here it is fixed"},
    {kApi, "service-account-extend-token-expiration", "bool", "true", Treatment::kOnly, "true", "it is always on"},
    {kApi, "service-account-jwks-uri", "string", "", Treatment::kOnly, "", "the keys are served at /openid/v1/jwks"},
    {kApi, "service-account-lookup", "bool", "true", Treatment::kOnly, "true", "it is always on"},
    {kApi, "service-account-max-token-expiration", "duration", "", Treatment::kOnly, "", "tokens last as long as is asked for"},
    {kApi, "service-account-signing-endpoint", "string", "", Treatment::kOnly, "", "tokens are signed with --service-account-signing-key-file"},
    {kApi | kManager | kScheduler, "show-hidden-metrics-for-version", "string", "", Treatment::kNoEffect, "", "metrics are always told as they are"},
    {kApi, "shutdown-delay-duration", "duration", "", Treatment::kNoEffect, "", "of the inside of the other server; here it is fixed"},
    {kApi, "shutdown-send-retry-after", "bool", "true", Treatment::kNoEffect, "", "of the inside of the other server; here it is fixed"},
    {kApi, "shutdown-watch-termination-grace-period", "duration", "", Treatment::kNoEffect, "", "of the inside of the other server; here it is fixed"},
    {kApi, "storage-backend", "string", "", Treatment::kOnly, "etcd3", "etcd, or the store in the data directory"},
    {kKubelet, "storage-driver-buffer-duration", "duration", "", Treatment::kNoEffect, "", "there is no cAdvisor"},
    {kKubelet, "storage-driver-db", "string", "", Treatment::kNoEffect, "", "there is no cAdvisor"},
    {kKubelet, "storage-driver-host", "string", "", Treatment::kNoEffect, "", "there is no cAdvisor"},
    {kKubelet, "storage-driver-password", "string", "", Treatment::kNoEffect, "", "there is no cAdvisor"},
    {kKubelet, "storage-driver-secure", "bool", "true", Treatment::kNoEffect, "", "there is no cAdvisor"},
    {kKubelet, "storage-driver-table", "string", "", Treatment::kNoEffect, "", "there is no cAdvisor"},
    {kKubelet, "storage-driver-user", "string", "", Treatment::kNoEffect, "", "there is no cAdvisor"},
    {kApi, "storage-initialization-timeout", "duration", "", Treatment::kNoEffect, "", "of the inside of the other server; here it is fixed"},
    {kApi, "storage-media-type", "string", "", Treatment::kOnly, "application/vnd.kubernetes.protobuf", "objects are stored as protobuf"},
    {kApi, "strict-transport-security-directives", "stringSlice", "", Treatment::kOnly, "", "the header is not sent"},
    {kApi | kManager | kScheduler, "tls-curve-preferences", "int32Slice", "", Treatment::kOnly, "", "the curves are OpenSSL's choice"},
    {kApi | kManager | kScheduler, "tls-sni-cert-key", "namedCertKey", "", Treatment::kOnly, "", "one certificate is served"},
    {kApi, "tracing-config-file", "string", "", Treatment::kOnly, "", "there is no tracing"},
    {kApi, "watch-cache", "bool", "true", Treatment::kNoEffect, "", "of the inside of the other server; here it is fixed"},
    {kApi, "watch-cache-sizes", "stringSlice", "", Treatment::kNoEffect, "", "of the inside of the other server; here it is fixed"},
    {kScheduler, "write-config-to", "string", "", Treatment::kOnly, "", "the configuration is shown by /configz"},
};
// clang-format on

uint8_t bitOf(std::string_view part) {
  constexpr std::pair<std::string_view, uint8_t> kParts[] = {
      {"kube-apiserver", kApi}, {"kube-controller-manager", kManager}, {"kube-scheduler", kScheduler}, {"kube-proxy", kProxy}, {"kubelet", kKubelet}};
  for (const auto& [name, bit] : kParts) {
    if (name == part) return bit;
  }
  return 0;
}

// Says nothing and changes nothing: the texts that all types have for it.
bool isNothing(std::string_view v) { return v.empty() || v == "false" || v == "0" || v == "0s" || v == "[]"; }

Status take(const UpstreamFlag& flag, std::string_view text) {
  if (isNothing(text) && !(flag.treatment == Treatment::kOnly && flag.accepted == "true")) return {};
  if (flag.treatment == Treatment::kNoEffect) {
    KM_LOG(INFO, "--{}={} has no effect: {}", flag.name, text, flag.why);
    return {};
  }
  if (text == flag.accepted) return {};
  return errors::badRequest(fmt::format("not supported: {}", flag.why));
}

}  // namespace

std::span<const UpstreamFlag> upstreamFlags() { return kFlags; }

bool concerns(const UpstreamFlag& flag, std::string_view part) { return (flag.parts & bitOf(part)) != 0; }

void addUpstreamFlags(FlagSet& flags, std::string_view part) {
  for (const UpstreamFlag& f : kFlags) {
    if (!concerns(f, part) || flags.lookup(f.name) != nullptr) continue;
    Flag& added = flags.addFunc([&f](std::string_view text) { return take(f, text); }, f.type, f.name,
                                fmt::format("{}: {}", f.treatment == Treatment::kNoEffect ? "No effect" : "Not supported", f.why));
    added.hidden();
    if (!f.bare.empty()) added.noOptDefault(std::string(f.bare));
  }
}

}  // namespace km
