# Of two controller managers and two schedulers the leading one is killed: the other takes over within the lease, and nothing is lost or done twice.
export KM_PARTS=1
. test/e2e/lib.sh
start_cluster

# The process that leads: `leader controller-manager`.
leader() {
  local holder
  holder=$(k get lease -n kube-system "kube-$1" -o jsonpath='{.spec.holderIdentity}')
  grep -l "Became the leader.*$holder" "$DATA/logs/$1-1" "$DATA/logs/$1-2" | xargs -n 1 basename
}
# `kill_leader PART`: for good; what is asked for next finds nobody at work.
kill_leader() {
  DEAD=$(leader "$1")
  HOLDER=$(k get lease -n kube-system "kube-$1" -o jsonpath='{.spec.holderIdentity}')
  end_parts -KILL "$DEAD"
  say "killed $DEAD"
  BEGIN=$(date +%s%N)
}
# The lease lasts four seconds; the other tries every half.
took_over() {
  local holder=$HOLDER took
  while [ "$holder" = "$HOLDER" ]; do
    [ $((($(date +%s%N) - BEGIN) / 1000000)) -lt 10000 ] || fail "nobody took over"
    holder=$(k get lease -n kube-system "kube-$1" -o jsonpath='{.spec.holderIdentity}')
  done
  took=$((($(date +%s%N) - BEGIN) / 1000000))
  say "taken over after $took ms"
  [ "$took" -lt 6500 ] || fail "the takeover took $took ms"
  [ "$(leader "$1")" != "$DEAD" ] || fail "the dead one leads"
}

web web 2
k create namespace doomed
k create configmap -n doomed x
kill_leader controller-manager
# While nobody reacts: more replicas, a new Deployment, a namespace to empty.
k scale deployment web --replicas=4
k create deployment late --image="$IMAGE" --replicas=2 -- sleep 1000
k delete namespace doomed --wait=false
took_over controller-manager
k rollout status deployment web --timeout=30s
k rollout status deployment late --timeout=30s
k wait --for=delete namespace/doomed --timeout=30s
[ "$(k get pods --no-headers | wc -l)" = 6 ] || fail "not six pods: $(k get pods)"
[ "$(k get rs --no-headers | wc -l)" = 2 ] || fail "not two replica sets: $(k get rs)"

kill_leader scheduler
k scale deployment late --replicas=4
k run alone --image="$IMAGE" --restart=Never -- sleep 1000
expect "" k get pod alone -o jsonpath='{.spec.nodeName}'
took_over scheduler
k rollout status deployment late --timeout=30s
k wait --for=condition=Ready pod/alone --timeout=30s

say "the dead come back as those who wait"
for part in controller-manager scheduler; do
  now=$(leader $part)
  other=${now%-*}-$((3 - ${now##*-}))
  keep_up "$other"
  eventually '"New leader"' cat "$DATA/logs/$other"
  [ "$(leader $part)" = "$now" ] || fail "$part: the lead has moved"
done
say "a stop by signal hands the scheduler's lease over at once"
HOLDER=$(k get lease -n kube-system kube-scheduler -o jsonpath='{.spec.holderIdentity}')
DEAD=$(leader scheduler)
BEGIN=$(date +%s%N)
end_parts -TERM "$DEAD"
took_over scheduler
[ $((($(date +%s%N) - BEGIN) / 1000000)) -lt 3000 ] || fail "the scheduler's lease was not given back"
k run last --image="$IMAGE" --restart=Never -- sleep 1000
k wait --for=condition=Ready pod/last --timeout=30s
say "end"
