# What an operator has at hand: images by archive, completion, the watched status, a unit for systemd.
. test/e2e/lib.sh
start_cluster

say "an image from an archive"
mkdir "$DATA/image"
cp /bin/busybox "$DATA/image/"
umoci init --layout "$DATA/layout" >/dev/null
umoci new --image "$DATA/layout:1" >/dev/null
umoci insert --image "$DATA/layout:1" "$DATA/image" /bin >/dev/null 2>&1
umoci config --image "$DATA/layout:1" --config.cmd /bin/busybox --config.cmd echo --config.cmd "from an archive" >/dev/null
skopeo copy -q "oci:$DATA/layout:1" "docker-archive:$DATA/image.tar:example.test/hello:1"
expect "example.test/hello:1" inside "$KM" images import --data-dir "$DATA/d" "$DATA/image.tar"
k run hello --image=example.test/hello:1 --restart=Never --image-pull-policy=Never
eventually "from an archive" k logs hello
refuses "none.tar" inside "$KM" images import --data-dir "$DATA/d" "$DATA/none.tar"

if [ -n "${KM_PARTS:-}" ]; then
  say "what follows is about a cluster in one process"
  exit 0
fi

say "status"
expect "km is running on $DATA/d" "$KM" status --data-dir "$DATA/d"
nsenter --net="/run/netns/$NS" "$KM" status --watch --data-dir "$DATA/d" --kubeconfig "$KUBECONFIG" >"$DATA/watched" &
watcher=$!
eventually "1 nodes, 1 ready" cat "$DATA/watched"
k create configmap unrelated
k run wrong --image=example.test/none:1 --image-pull-policy=Never
eventually "ErrImageNeverPull" cat "$DATA/watched"
kill $watcher
wait $watcher || fail "the watched status ended with $?"

say "completion and unit"
expect "--data-dir" bash -c "source <($KM completion bash); COMP_WORDS=($KM up --data-d); COMP_CWORD=2; _km_complete; echo \${COMPREPLY[@]}"
expect "ExecStart=$KM up --data-dir $DATA/d" "$KM" install --print up --data-dir "$DATA/d"
refuses "up would not start: unknown flag: --data-dirr" "$KM" install --print up --data-dirr "$DATA/d"
refuses "apiserver would not start: invalid argument \"x\" for \"--secure-port\"" "$KM" install --print apiserver --secure-port x
refuses "not supported: there is no audit log" "$KM" install --print apiserver --audit-policy-file x
refuses "is no server to install" "$KM" install --print completion
say "end"
