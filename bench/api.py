"""Rows about the API server under load: h2load with 100 requests in flight over TLS, as an authenticated and authorized user."""
import json
import os
import time
import urllib.error

import lib

NODES, PODS = 1000, 5000
JSON = "application/json"
PROTOBUF = "application/vnd.kubernetes.protobuf"


def pod(name=None, generate=None, node=None):
    meta = {"name": name} if name else {"generateName": generate}
    meta["namespace"] = "default"
    meta["labels"] = {"app": "web", "pod-template-hash": "5d8f9c7b6d", "tier": "frontend"}
    container = {"name": "web", "image": "registry.example/web:1.2.3", "ports": [{"containerPort": 8080, "name": "http"}],
                 "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}, {"name": "MODE", "value": "production"}],
                 "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
                 "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 5}}
    spec = {"containers": [container]}
    if node:
        spec["nodeName"] = node
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def node(i):
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"node-{i}", "labels": {"kubernetes.io/hostname": f"node-{i}"}},
            "status": {"capacity": {"cpu": "32", "memory": "128Gi", "pods": "110"}, "allocatable": {"cpu": "32", "memory": "128Gi", "pods": "110"}}}


def ready(s):
    """Pods need their namespace's service account, which a controller would make."""
    try:
        s.request("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    except urllib.error.HTTPError as e:
        if e.code != 409:  # the controller was faster
            raise


def get_pod():
    with lib.Server() as s:
        ready(s)
        s.request("POST", "/api/v1/namespaces/default/pods", pod("one"))
        path = "/api/v1/namespaces/default/pods/one"
        body = s.request("GET", path)
        s.load(path, 20000)
        figure = s.load(path, 200000)
        lib.report("get-pod", f"GET/s, {len(body)} bytes", figure, "over 60,000", lib.nghttpd_per_second(body, 200000))


def create_config_map():
    with lib.Server() as s:
        fsyncs = lib.fsyncs_per_second()
        body = {"metadata": {"generateName": "bench-"}, "data": {"key": "x" * 200}}
        path = "/api/v1/namespaces/default/configmaps"
        s.load(path, 5000, body)
        figure = s.load(path, 50000, body)
        lib.report("create-configmap", "durable creates/s", figure, "over 25,000", per_fsync=figure / fsyncs, fsyncs=fsyncs)


def create_pod():
    with lib.Server() as s:
        ready(s)
        fsyncs = lib.fsyncs_per_second()
        path = "/api/v1/namespaces/default/pods"
        s.load(path, 2000, pod(generate="bench-"))
        figure = s.load(path, 30000, pod(generate="bench-"))
        lib.report("create-pod", "durable creates/s", figure, "over 15,000", per_fsync=figure / fsyncs, fsyncs=fsyncs)


def list_pods(accept, row, goal):
    with lib.Server() as s:
        ready(s)
        path = "/api/v1/namespaces/default/pods"
        s.load(path, PODS, pod(generate="bench-"))
        body = s.request("GET", path, accept=accept)
        s.load(path, 20, accept=accept)
        figure = s.load(path, 300, accept=accept)
        lib.report(row, f"LIST/s of {PODS} pods, {len(body) / 1e6:.1f} MB", figure, goal, lib.nghttpd_per_second(body, 300))


RUNNING = {"status": {
    "phase": "Running", "hostIP": "10.1.2.3", "podIP": "10.244.3.17", "startTime": "2026-01-02T03:04:05Z", "qosClass": "Burstable",
    "podIPs": [{"ip": "10.244.3.17"}], "hostIPs": [{"ip": "10.1.2.3"}],
    "conditions": [{"type": t, "status": "True", "lastTransitionTime": "2026-01-02T03:04:06Z"}
                   for t in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")],
    "containerStatuses": [{"name": "web", "ready": True, "started": True, "restartCount": 0, "image": "registry.example/web:1.2.3",
                           "imageID": "registry.example/web@sha256:" + "5e" * 32, "containerID": "containerd://" + "ab" * 32,
                           "state": {"running": {"startedAt": "2026-01-02T03:04:05Z"}}}]}}


def store_cluster(s):
    """Nodes, and pods that are bound to them and have the status that a kubelet writes."""
    ready(s)
    for i in range(NODES):
        s.request("POST", "/api/v1/nodes", node(i))
    each = PODS // NODES
    for i in range(0, NODES, 100):  # the pods of a hundred nodes have one node's name: what is measured does not depend on it
        s.load("/api/v1/namespaces/default/pods", each * 100, pod(generate="bench-", node=f"node-{i}"))
    pods = json.loads(s.request("GET", "/api/v1/namespaces/default/pods"))["items"]
    s.load([f"/api/v1/namespaces/default/pods/{p['metadata']['name']}/status" for p in pods], len(pods), RUNNING, method="PATCH",
           content="application/strategic-merge-patch+json")


def at_rest(s, row, unit, goal):
    """Memory and CPU once nothing happens, and the requests that came nevertheless."""
    at_once = s.rss_mb()
    time.sleep(130)  # recent events are kept for 75 s, and encodings of objects while they are used
    requests, before, seconds = s.requests_answered(), s.cpu_seconds(), 30
    time.sleep(seconds)
    cpu = (s.cpu_seconds() - before) / seconds * 100
    lib.report(row, unit, s.rss_mb(), goal, cpu_percent=cpu, requests_meanwhile=s.requests_answered() - requests, at_once=at_once)


def stored():
    """Memory and CPU with a cluster's objects stored and nothing happening; then the same after the loads of the other rows. No kubelets: their Leases
    would be requests."""
    with lib.Server("server", "--controllers=-node-lifecycle-controller,-pod-garbage-collector-controller,*") as s:
        store_cluster(s)
        size = len(s.request("GET", "/api/v1/pods")) / PODS
        at_rest(s, "stored", f"MB resident with {NODES} nodes and {PODS} pods of {size:.0f} bytes", "under 100")
        pods = "/api/v1/namespaces/default/pods"
        for accept in (JSON, PROTOBUF):
            s.load(pods, 200, accept=accept)
        made = "/api/v1/namespaces/default/configmaps"
        s.load(made, 20000, {"metadata": {"generateName": "bench-"}, "data": {"key": "x" * 200}})
        s.fanout("--watchers", "400", "--writes", "1000")
        s.request("DELETE", made)
        at_rest(s, "stored-after-loads", "MB resident after lists, creates, deletions and watches", "")


def watch_fanout():
    """400 watchers of one namespace's ConfigMaps, 1,000 changes: events that reach them a second of the server's CPU, without what the writes cost by
    themselves. Changes come as fast as the server takes them (100 under way), and one after the other; over HTTP/2 with 100 watches a connection,
    as clients of one process share it, and over HTTP/1.1 with a connection for each."""
    rows = (("watch-fanout", [], 1000), ("watch-fanout-http1", ["--http1"], 1000), ("watch-fanout-serial", ["--in-flight", "1"], 1000),
            ("watch-fanout-serial-http1", ["--in-flight", "1", "--http1"], 1000), ("watch-fanout-told", ["--await"], 300))
    for row, flags, changes in rows:
        with lib.Server() as s:
            r = s.fanout("--watchers", "400", "--writes", str(changes), *flags)
            goal = "over 1,500,000" if row == "watch-fanout" else ""
            lib.report(row, "events/CPU-second", r.pop("events_per_cpu_second"), goal, **r)


def schedule():
    """5,000 pods onto 1,000 nodes through the API, from the first create to the last binding."""
    with lib.Server("server", "--controllers=serviceaccount-controller") as s:
        for i in range(NODES):
            s.request("POST", "/api/v1/nodes", node(i))
        waiting = pod(generate="bench-")
        waiting["spec"]["tolerations"] = [{"operator": "Exists"}]
        begin = time.monotonic()
        s.load("/api/v1/namespaces/default/pods", PODS, waiting)
        created = time.monotonic() - begin
        while True:
            left = json.loads(s.request("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3D&limit=1"))
            if not left["items"]:
                break
            time.sleep(0.02)
        lib.report("schedule", f"pods bound/s, {PODS} pods, {NODES} nodes", PODS / (time.monotonic() - begin), "over 10,000", creates_took=created)


ROWS = {
    "get-pod": get_pod,
    "create-configmap": create_config_map,
    "create-pod": create_pod,
    "list-pods": lambda: list_pods(JSON, "list-pods", "over 40"),
    "list-pods-protobuf": lambda: list_pods(PROTOBUF, "list-pods-protobuf", "over 60"),
    "stored": stored,
    "watch-fanout": watch_fanout,
    "schedule": schedule,
}
