# The cluster of a story made of separate processes, as kubeadm lays one out: a PKI in $DATA/pki, a kubeconfig of its own for each part, HTTPS
# between all of them; two controller managers and two schedulers, of which one leads. Read by lib.sh when KM_PARTS is set: it takes the place of
# `km up` there. Each process is kept up as systemd would keep it.

NODE_ADDRESS=172.30.0.1
SERVER_URL=https://$NODE_ADDRESS:6443
PKI=$DATA/pki
CONTAINERD=$DATA/d/containerd
PARTS="apiserver controller-manager-1 controller-manager-2 scheduler-1 scheduler-2 kubelet proxy dns"
# Of the elections: short, so that a takeover is.
LEASE="--leader-elect-lease-duration=${LEASE_SECONDS:-4}s --leader-elect-renew-deadline=3s --leader-elect-retry-period=500ms"

# An authority: `authority NAME COMMON-NAME`.
authority() {
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=$2" -keyout "$PKI/$1.key" -out "$PKI/$1.crt" \
    -addext keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign 2>/dev/null
}
# A certificate: `certificate NAME AUTHORITY SUBJECT USAGE [ALTERNATIVE-NAMES]`.
certificate() {
  openssl req -new -newkey rsa:2048 -nodes -subj "$3" -keyout "$PKI/$1.key" -out "$PKI/$1.csr" 2>/dev/null
  openssl x509 -req -days 365 -in "$PKI/$1.csr" -CA "$PKI/$2.crt" -CAkey "$PKI/$2.key" -CAcreateserial -out "$PKI/$1.crt" \
    -extfile <(echo "keyUsage=critical,digitalSignature,keyEncipherment"; echo "extendedKeyUsage=$4"; [ -z "${5:-}" ] || echo "subjectAltName=$5") 2>/dev/null
}
# A kubeconfig: `conf FILE USER GROUP`.
conf() {
  local name
  name=$(basename "$1" .conf)
  certificate "$name" ca "${3:+/O=$3}/CN=$2" clientAuth
  cat >"$1" <<END
apiVersion: v1
kind: Config
clusters: [{name: kubernetes, cluster: {server: "$SERVER_URL", certificate-authority: "$PKI/ca.crt"}}]
contexts: [{name: c, context: {cluster: kubernetes, user: u}}]
current-context: c
users: [{name: u, user: {client-certificate: "$PKI/$name.crt", client-key: "$PKI/$name.key"}}]
END
}
make_pki() {
  mkdir -p "$PKI" "$DATA/d"
  authority ca kubernetes
  authority front-proxy-ca front-proxy-ca
  certificate apiserver ca /CN=kube-apiserver serverAuth \
    "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:10.96.0.1,IP:$NODE_ADDRESS,IP:127.0.0.1"
  certificate apiserver-kubelet-client ca /O=kubeadm:cluster-admins/CN=kube-apiserver-kubelet-client clientAuth
  certificate front-proxy-client front-proxy-ca /CN=front-proxy-client clientAuth
  openssl genrsa -out "$PKI/sa.key" 2048 2>/dev/null
  openssl rsa -in "$PKI/sa.key" -pubout -out "$PKI/sa.pub" 2>/dev/null
  conf "$KUBECONFIG" kubernetes-super-admin system:masters
  conf "$DATA/controller-manager.conf" system:kube-controller-manager
  conf "$DATA/scheduler.conf" system:kube-scheduler
  cat >"$DATA/bootstrap-kubelet.conf" <<END
apiVersion: v1
kind: Config
clusters: [{name: kubernetes, cluster: {server: "$SERVER_URL", certificate-authority: "$PKI/ca.crt"}}]
contexts: [{name: c, context: {cluster: kubernetes, user: tls-bootstrap-token-user}}]
current-context: c
users: [{name: tls-bootstrap-token-user, user: {token: abcdef.0123456789abcdef}}]
END
  conf "$DATA/kube-proxy.conf" system:kube-proxy
  conf "$DATA/dns.conf" system:coredns
}
# What a node needs that is not of Kubernetes: an address, a runtime, a pod network.
make_node() {
  ip -n "$NS" link add node type veth peer name wire
  ip -n "$NS" link set wire up
  ip -n "$NS" addr add "$NODE_ADDRESS/24" dev node
  ip -n "$NS" link set node up
  ip -n "$NS" route add default dev node  # packets to service addresses need a route before the rules turn them
  mkdir -p "$CONTAINERD" "$DATA/d/cni/net.d"
  cat >"$CONTAINERD/config.toml" <<END
version = 2
root = "$CONTAINERD/root"
state = "$CONTAINERD/state"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "$CONTAINERD/containerd.sock"
[ttrpc]
  address = "$CONTAINERD/containerd.sock.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "$CONTAINERD/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "km.local/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "$DATA/d/cni/net.d"
END
  cat >"$DATA/d/cni/net.d/10-bridge.conflist" <<END
{"cniVersion": "0.4.0", "name": "km", "plugins": [{"type": "bridge", "bridge": "$BRIDGE", "isGateway": true, "hairpinMode": true,
 "ipam": {"type": "host-local", "dataDir": "$DATA/d/cni/networks", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
END
}
# What `kubeadm init` makes in a new cluster (the rights of cluster-admins, among them the API server towards kubelets), and the name service, here
# no pod.
make_first_objects() {
  k apply -f - >/dev/null <<END
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {clusterIP: 10.96.0.10, ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
endpoints: [{addresses: [$NODE_ADDRESS], conditions: {ready: true}}]
ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: system:coredns}
rules:
- {apiGroups: [""], resources: [endpoints, services, pods, namespaces, nodes], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: system:coredns}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:coredns}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: system:coredns}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: kubeadm:cluster-admins}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: kubeadm:cluster-admins}]
---
apiVersion: v1
kind: Secret
metadata: {name: bootstrap-token-abcdef, namespace: kube-system}
type: bootstrap.kubernetes.io/token
stringData: {token-id: abcdef, token-secret: 0123456789abcdef, usage-bootstrap-authentication: "true", usage-bootstrap-signing: "true",
  auth-extra-groups: "system:bootstrappers:kubeadm:default-node-token"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: cluster-info, namespace: kube-public}
data: {kubeconfig: "the cluster"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: kubeadm:kubelet-bootstrap}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:node-bootstrapper}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: system:bootstrappers:kubeadm:default-node-token}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: kubeadm:node-autoapprove-bootstrap}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:certificates.k8s.io:certificatesigningrequests:nodeclient}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: system:bootstrappers:kubeadm:default-node-token}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: kubeadm:node-autoapprove-certificate-rotation}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:certificates.k8s.io:certificatesigningrequests:selfnodeclient}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: system:nodes}]
END
}

# The configuration files of the node's parts, as kubeadm fills them in: zeroes for what it does not decide.
make_configs() {
  cat >"$DATA/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {cacheTTL: 0s, enabled: true}, x509: {clientCAFile: "$PKI/ca.crt"}}
authorization: {mode: Webhook, webhook: {cacheAuthorizedTTL: 0s, cacheUnauthorizedTTL: 0s}}
cgroupDriver: cgroupfs
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
containerRuntimeEndpoint: ""
cpuManagerReconcilePeriod: 0s
crashLoopBackOff: {}
evictionPressureTransitionPeriod: 0s
fileCheckFrequency: 0s
healthzBindAddress: 127.0.0.1
healthzPort: 10248
httpCheckFrequency: 0s
imageMaximumGCAge: 0s
imageMinimumGCAge: 0s
logging: {flushFrequency: 0, options: {json: {infoBufferSize: "0"}, text: {infoBufferSize: "0"}}, verbosity: 0}
memorySwap: {}
nodeStatusReportFrequency: 0s
nodeStatusUpdateFrequency: 0s
rotateCertificates: true
runtimeRequestTimeout: 0s
shutdownGracePeriod: 0s
shutdownGracePeriodCriticalPods: 0s
streamingConnectionIdleTimeout: 0s
syncFrequency: 0s
volumeStatsAggPeriod: 0s
END
  cat >"$DATA/proxy.yaml" <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
bindAddress: 0.0.0.0
bindAddressHardFail: false
clientConnection: {acceptContentTypes: "", burst: 0, contentType: "", kubeconfig: "$DATA/kube-proxy.conf", qps: 0}
clusterCIDR: 10.244.0.0/16
configSyncPeriod: 0s
conntrack: {maxPerCore: null, min: null, tcpBeLiberal: false, tcpCloseWaitTimeout: null, tcpEstablishedTimeout: null, udpStreamTimeout: 0s, udpTimeout: 0s}
detectLocal: {bridgeInterface: "", interfaceNamePrefix: ""}
detectLocalMode: ""
enableProfiling: false
healthzBindAddress: ""
hostnameOverride: ""
iptables: {localhostNodePorts: null, masqueradeAll: false, masqueradeBit: null, minSyncPeriod: 0s, syncPeriod: 0s}
ipvs: {excludeCIDRs: null, minSyncPeriod: 0s, scheduler: "", strictARP: false, syncPeriod: 0s, tcpFinTimeout: 0s, tcpTimeout: 0s, udpTimeout: 0s}
logging: {flushFrequency: 0, options: {json: {infoBufferSize: "0"}, text: {infoBufferSize: "0"}}, verbosity: 0}
metricsBindAddress: ""
mode: ""
nftables: {masqueradeAll: false, masqueradeBit: null, minSyncPeriod: 0s, syncPeriod: 0s}
nodePortAddresses: null
oomScoreAdj: null
portRange: ""
showHiddenMetricsForVersion: ""
winkernel: {enableDSR: false, forwardHealthCheckVip: false, networkName: "", rootHnsEndpointName: "", sourceVip: ""}
END
}

# The command line of a part, in the array COMMAND.
command_of() {
  case $1 in
    containerd) COMMAND=(containerd --config "$CONTAINERD/config.toml" --log-level warn) ;;
    # What kubeadm writes into its static pods and the kubelet's unit, as it is, but for the paths, the ports of the second of two and the store.
    apiserver)
      COMMAND=("$KM" kube-apiserver "--advertise-address=$NODE_ADDRESS" --allow-privileged=true --authorization-mode=Node,RBAC "--client-ca-file=$PKI/ca.crt"
        --enable-admission-plugins=NodeRestriction --enable-bootstrap-token-auth=true
        "--kubelet-client-certificate=$PKI/apiserver-kubelet-client.crt" "--kubelet-client-key=$PKI/apiserver-kubelet-client.key"
        --kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname
        "--proxy-client-cert-file=$PKI/front-proxy-client.crt" "--proxy-client-key-file=$PKI/front-proxy-client.key"
        --requestheader-allowed-names=front-proxy-client "--requestheader-client-ca-file=$PKI/front-proxy-ca.crt"
        --requestheader-extra-headers-prefix=X-Remote-Extra- --requestheader-group-headers=X-Remote-Group --requestheader-username-headers=X-Remote-User
        --secure-port=6443 --service-account-issuer=https://kubernetes.default.svc.cluster.local "--service-account-key-file=$PKI/sa.pub"
        "--service-account-signing-key-file=$PKI/sa.key" --service-cluster-ip-range=10.96.0.0/12
        "--tls-cert-file=$PKI/apiserver.crt" "--tls-private-key-file=$PKI/apiserver.key"
        "--data-dir=$DATA/cp" --bind-address=0.0.0.0) ;;
    controller-manager-*)
      COMMAND=("$KM" kube-controller-manager --allocate-node-cidrs=true "--authentication-kubeconfig=$DATA/controller-manager.conf"
        "--authorization-kubeconfig=$DATA/controller-manager.conf" --bind-address=127.0.0.1 "--client-ca-file=$PKI/ca.crt" --cluster-cidr=10.244.0.0/16
        --cluster-name=kubernetes "--cluster-signing-cert-file=$PKI/ca.crt" "--cluster-signing-key-file=$PKI/ca.key" "--controllers=*,bootstrapsigner,tokencleaner"
        "--kubeconfig=$DATA/controller-manager.conf" --leader-elect=true "--requestheader-client-ca-file=$PKI/front-proxy-ca.crt" "--root-ca-file=$PKI/ca.crt"
        "--service-account-private-key-file=$PKI/sa.key" --service-cluster-ip-range=10.96.0.0/12 --use-service-account-credentials=true
        $LEASE --secure-port=$((10257 + 10 * (${1##*-} - 1)))) ;;
    scheduler-*)
      COMMAND=("$KM" kube-scheduler "--authentication-kubeconfig=$DATA/scheduler.conf" "--authorization-kubeconfig=$DATA/scheduler.conf" --bind-address=127.0.0.1
        "--kubeconfig=$DATA/scheduler.conf" --leader-elect=true $LEASE --secure-port=$((10259 + 10 * (${1##*-} - 1)))) ;;
    kubelet)
      COMMAND=("$KM" kubelet "--bootstrap-kubeconfig=$DATA/bootstrap-kubelet.conf" "--kubeconfig=$DATA/d/kubelet.conf" "--config=$DATA/kubelet.yaml"
        "--container-runtime-endpoint=unix://$CONTAINERD/containerd.sock" --hostname-override=n1 "--node-ip=$NODE_ADDRESS"
        "--root-dir=$DATA/d/kubelet" "--cert-dir=$DATA/d/kubelet/pki") ;;
    proxy) COMMAND=("$KM" kube-proxy "--config=$DATA/proxy.yaml" --hostname-override=n1) ;;
    dns) COMMAND=("$KM" dns "--kubeconfig=$DATA/dns.conf" --bind-address=$NODE_ADDRESS --cluster-domain=cluster.local) ;;
  esac
}

declare -A KEEPERS=()
# Starts a part and starts it again whenever it ends, until `end_part`. The pid of its process is in $DATA/run/NAME.
keep_up() {
  local name=$1
  mkdir -p "$DATA/run" "$DATA/logs"
  command_of "$name"
  rm -f "$DATA/run/$name.stop"
  (
    trap - EXIT
    set +e
    while [ ! -e "$DATA/run/$name.stop" ]; do
      nsenter --net="/run/netns/$NS" "${COMMAND[@]}" >>"$DATA/logs/$name" 2>&1 &
      echo $! >"$DATA/run/$name"
      [ "$name" != containerd ] || cp "$DATA/run/$name" "$CONTAINERD/pid"
      wait $!
      [ -e "$DATA/run/$name.stop" ] || moment 0.2
    done
  ) &
  KEEPERS[$name]=$!
}
pid_of() { cat "$DATA/run/$1" 2>/dev/null || true; }
# `end_parts SIGNAL NAME...`: ends them for good.
end_parts() {
  local signal=$1 name pid
  shift
  for name in "$@"; do
    [ -n "${KEEPERS[$name]:-}" ] || continue
    touch "$DATA/run/$name.stop"
    pid=$(pid_of "$name")
    [ -z "$pid" ] || kill "$signal" "$pid" 2>/dev/null || true
  done
  for name in "$@"; do
    [ -z "${KEEPERS[$name]:-}" ] || wait "${KEEPERS[$name]}" 2>/dev/null || true
    unset "KEEPERS[$name]"
  done
}

launch_km() {
  [ -d "$PKI" ] || { make_pki && make_node && make_configs; }
  [ -n "${KEEPERS[containerd]:-}" ] || keep_up containerd
  for part in $PARTS; do keep_up "$part"; done
}
await_km() {
  eventually ok inside curl -sk "$SERVER_URL/readyz"
  [ -e "$DATA/first-objects" ] || { make_first_objects && touch "$DATA/first-objects"; }
  [ -e "$DATA/own-images" ] || { eventually busybox "$KM" images own --container-runtime-endpoint "$CONTAINERD/containerd.sock" && touch "$DATA/own-images"; }
  eventually True k get node n1 -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
  eventually busybox k get node n1 -o jsonpath='{.status.images[*].names[*]}'
  eventually ok inside curl -s http://127.0.0.1:10256/healthz
}
stop_km() { end_parts "${1:--TERM}" $PARTS; }
reset_cluster() {
  end_parts -TERM containerd
  inside "$KM" proxy --cleanup || true
  inside "$KM" reset --data-dir "$DATA/d" --bridge "$BRIDGE" --yes
}
cluster_jobs() { echo "${KEEPERS[@]}"; }
tell_logs() {
  local log
  for log in "$DATA"/logs/*; do
    echo "--- $log"
    tail -n 12 "$log"
  done
}
