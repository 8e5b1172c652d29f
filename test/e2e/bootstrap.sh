# A node that joins with a bootstrap token: its client certificate is asked for, approved and signed; cluster-info is signed; expired tokens go; serving
# certificates are signed after approval; who may not is refused.
export KM_PARTS=1
. test/e2e/lib.sh
start_cluster

say "the node's certificate"
current=$DATA/d/kubelet/pki/kubelet-client-current.pem
[ -L "$current" ] || fail "no $current"
expect "O = system:nodes, CN = system:node:n1" openssl x509 -in "$current" -noout -subject
expect "TLS Web Client Authentication" openssl x509 -in "$current" -noout -ext extendedKeyUsage
openssl verify -CAfile "$PKI/ca.crt" "$current" >/dev/null || fail "not of the cluster's authority"
expect "client-certificate: $current" cat "$DATA/d/kubelet.conf"
expect "system:bootstrap:abcdef" k get csr -o jsonpath='{.items[*].spec.username}'
expect "Auto approving kubelet client certificate after SubjectAccessReview." k get csr -o jsonpath='{.items[*].status.conditions[*].message}'
[ ! -e "$DATA/d/kubelet/pki/kubelet-client.key.tmp" ] || fail "the key of the request is left"

say "what a token may, and who is none"
boot=(--kubeconfig "$DATA/bootstrap-kubelet.conf")
expect "system:bootstrap:abcdef" k "${boot[@]}" auth whoami
expect "system:bootstrappers:kubeadm:default-node-token" k "${boot[@]}" auth whoami
refuses "Forbidden" k "${boot[@]}" get nodes
for wrong in abcdef.0123456789abcdee abcdeg.0123456789abcdef abcdef.0123456789abcde ABCDEF.0123456789abcdef; do
  expect 401 inside curl -sk -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $wrong" "$SERVER_URL/api"
done

say "cluster-info is signed"
jws=$(k get configmap -n kube-public cluster-info -o jsonpath='{.data.jws-kubeconfig-abcdef}')
header=$(printf '{"alg":"HS256","kid":"abcdef"}' | base64 -w0 | tr '+/' '-_' | tr -d =)
body=$(printf 'the cluster' | base64 -w0 | tr '+/' '-_' | tr -d =)
mac=$(printf '%s.%s' "$header" "$body" | openssl dgst -sha256 -hmac 0123456789abcdef -binary | base64 -w0 | tr '+/' '-_' | tr -d =)
[ "$jws" = "$header..$mac" ] || fail "the signature is $jws, not $header..$mac"

say "a token that expires is removed, and its signature with it"
soon=$(date -u -d '+3 seconds' +%FT%TZ)
k create secret generic bootstrap-token-fedcba -n kube-system --type bootstrap.kubernetes.io/token --from-literal token-id=fedcba \
  --from-literal token-secret=fedcba9876543210 --from-literal usage-bootstrap-signing=true --from-literal usage-bootstrap-authentication=true --from-literal "expiration=$soon"
eventually "HS256" bash -c "nsenter --net=/run/netns/$NS $KUBECTL get configmap -n kube-public cluster-info -o jsonpath='{.data.jws-kubeconfig-fedcba}' | cut -d. -f1 | base64 -d 2>/dev/null"
k wait --for=delete -n kube-system secret/bootstrap-token-fedcba --timeout=20s
[ -z "$(k get configmap -n kube-public cluster-info -o jsonpath='{.data.jws-kubeconfig-fedcba}')" ] || moment 1
[ -z "$(k get configmap -n kube-public cluster-info -o jsonpath='{.data.jws-kubeconfig-fedcba}')" ] || fail "the signature is left"

say "a serving certificate from the cluster"
stop_part() { end_parts -TERM kubelet; }
stop_part
echo "serverTLSBootstrap: true" >>"$DATA/kubelet.yaml"
keep_up kubelet
eventually kubelet-serving k get csr -o jsonpath='{.items[*].spec.signerName}'
csr=$(k get csr --field-selector spec.signerName=kubernetes.io/kubelet-serving -o jsonpath='{.items[0].metadata.name}')
expect "" k get csr "$csr" -o jsonpath='{.status.conditions}'
k certificate approve "$csr"
shown() { inside openssl s_client -connect "$NODE_ADDRESS:10250" </dev/null 2>/dev/null | openssl x509 -noout -issuer -ext subjectAltName; }
eventually "issuer=CN = kubernetes" shown
expect "IP Address:$NODE_ADDRESS" shown

say "a kubelet that starts again keeps its certificate"
before=$(readlink "$current")
stop_part
keep_up kubelet
eventually ok inside curl -s http://127.0.0.1:10248/healthz
[ "$before" = "$(readlink "$current")" ] || fail "a new certificate was asked for"

say "configuration as it runs"
expect '"clusterDNS":["10.96.0.10"]' k get --raw /api/v1/nodes/n1/proxy/configz
expect '"serverTLSBootstrap":true' k get --raw /api/v1/nodes/n1/proxy/configz
expect '"kubeproxy.config.k8s.io":{' inside curl -s http://127.0.0.1:10249/configz
expect nftables inside curl -s http://127.0.0.1:10249/proxyMode
admin=(curl -sk --cert "$PKI/kubeconfig.crt" --key "$PKI/kubeconfig.key")
expect '"resourceName":"kube-controller-manager"' inside "${admin[@]}" https://127.0.0.1:10257/configz
expect '"componentconfig":{' inside "${admin[@]}" https://127.0.0.1:10259/configz
say "health, and metrics of the lead and of the node"
expect "[+]leaderElection ok" inside curl -sk "https://127.0.0.1:10257/healthz?verbose"
leads() { for p in 10257 10267; do inside "${admin[@]}" https://127.0.0.1:$p/metrics | grep '^leader_election_master_status'; done | awk '{s += $2} END {print "leaders: " s}'; }
expect "leaders: 1" leads
web web 1
expect 'kubelet_node_name{node="n1"} 1' k get --raw /api/v1/nodes/n1/proxy/metrics
expect "kubelet_pod_start_duration_seconds_count 1" k get --raw /api/v1/nodes/n1/proxy/metrics
expect 'probe_type="Readiness",result="successful"' k get --raw /api/v1/nodes/n1/proxy/metrics/probes
expect 'container_memory_working_set_bytes{container="web"' k get --raw /api/v1/nodes/n1/proxy/metrics/resource
say "end"
