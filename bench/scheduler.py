"""Rows about the scheduler: its core alone under upstream's loads on 5,000 nodes, and the same through the API."""
import json
import os
import subprocess
import time

import api
import lib

BENCH = os.environ.get("KM_SCHEDULER_BENCH", os.path.join(os.path.dirname(os.path.abspath(lib.KM)), "..", "build", "scheduler_bench"))
GOALS = {"basic": "over 8,000", "spread": "over 4,000", "anti-affinity": "over 2,000"}
NODES = 5000


def core(load):
    """CPU time of the core, a fake API server answering at once (src/scheduler/bench_main.cc)."""
    print(subprocess.run([BENCH, load, str(NODES)], check=True, capture_output=True, text=True).stdout, end="", flush=True)


def node(i):
    n = api.node(i)
    n["metadata"]["labels"]["topology.kubernetes.io/zone"] = f"moon-{i % 3 + 1}"
    return n


def waiting(load):
    p = api.pod(generate="bench-")
    p["spec"]["tolerations"] = [{"operator": "Exists"}]
    selector = {"matchLabels": {"app": "web"}}
    if load == "spread":
        p["spec"]["topologySpreadConstraints"] = [{"maxSkew": 5, "topologyKey": "topology.kubernetes.io/zone",
                                                   "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector}]
    elif load == "anti-affinity":
        p["spec"]["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": selector}]}}
    return p


def bound(s):
    return not json.loads(s.request("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3D&limit=1"))["items"]


def through_api(load, pods=2000):
    """From the first create to the last binding, with a server that does nothing else."""
    with lib.Server("server", "--controllers=serviceaccount-controller") as s:
        for i in range(NODES):
            s.request("POST", "/api/v1/nodes", node(i))
        before, begin = s.cpu_seconds(), time.monotonic()
        s.load("/api/v1/namespaces/default/pods", pods, waiting(load))
        created = time.monotonic() - begin
        while not bound(s):
            time.sleep(0.005)
        took = time.monotonic() - begin
        lib.report(f"schedule-5000-{load}", f"pods bound/s through the API, {pods} pods, {NODES} nodes", pods / took, GOALS[load],
                   creates_took=created, cpu_microseconds_a_pod=(s.cpu_seconds() - before) / pods * 1e6)


class Restarted(lib.Process):
    """`km server` on what another server has stored."""

    def __init__(self, first):
        log = open(os.path.join(first.dir, "log2"), "w")
        super().__init__(subprocess.Popen(
            [lib.KM, "server", "--data-dir", first.dir + "/d", "--secure-port", str(first.port), "--bind-address", "127.0.0.1",
             "--token-auth-file", first.dir + "/tokens.csv", "--service-cluster-ip-range", "10.96.0.0/16",
             "--controllers=serviceaccount-controller"], stdout=log, stderr=log))


def stored(pods=5000):
    """Pods that wait when the scheduler starts: the time between its first binding and its last, by its own metrics."""
    s = lib.Server("apiserver")
    try:
        api.ready(s)
        for i in range(api.NODES):
            s.request("POST", "/api/v1/nodes", node(i))
        s.load("/api/v1/namespaces/default/pods", pods, waiting("basic"))
        s.stop()
        again = Restarted(s)
        try:
            samples = []
            while not samples or samples[-1][1] < pods:
                try:
                    text = s.request("GET", "/metrics").decode()
                except OSError:
                    time.sleep(0.001)
                    continue
                count = [line.split()[-1] for line in text.splitlines() if line.startswith("scheduler_pod_scheduling_attempts_count")]
                if count and float(count[0]) > 0:
                    samples.append((time.monotonic(), float(count[0]), again.cpu_seconds()))
                time.sleep(0.02)
            (t0, n0, c0), (t1, n1, c1) = samples[0], samples[-1]
            lib.report("schedule-stored", f"pods bound/s, {pods} pods wait when the scheduler starts, {api.NODES} nodes",
                       (n1 - n0) / max(t1 - t0, 0.001), "over 10,000", counted=n1 - n0, cpu_microseconds_a_pod=(c1 - c0) / max(n1 - n0, 1) * 1e6)
        finally:
            again.stop()
    finally:
        s.close()


ROWS = {"schedule-stored": stored}
for _load in GOALS:
    ROWS[f"scheduler-5000-{_load}"] = lambda load=_load: core(load)
    ROWS[f"schedule-5000-{_load}"] = lambda load=_load: through_api(load)
