"""Rows about a control plane with many nodes: `km hollow-node` pretends them, over HTTPS, with real kubelets over a runtime in memory."""
import json
import re
import subprocess
import time
import urllib.parse

import api
import lib


def quantile(before, after, share):
    """Of apiserver_request_duration_seconds between two scrapes, without watches: the upper bound of the bucket that holds it."""
    buckets = {}
    for text, sign in ((before, -1), (after, 1)):
        for line in text.splitlines():
            m = re.match(r'apiserver_request_duration_seconds_bucket\{(.*)\} (\S+)$', line)
            if m and 'verb="WATCH"' not in m[1] and 'verb="CONNECT"' not in m[1]:
                le = re.search(r'le="([^"]+)"', m[1])[1]
                buckets[float(le)] = buckets.get(float(le), 0) + sign * float(m[2])
    total = buckets.get(float("inf"), 0)
    return next((le for le in sorted(buckets) if buckets[le] >= share * total), 0), total


class Hollow(lib.Process):
    def __init__(self, server, count):
        super().__init__(subprocess.Popen([lib.KM, "hollow-node", "--kubeconfig", server.dir + "/kubeconfig", "--count", str(count)],
                                          stdout=server.log, stderr=server.log))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def left(s, selector):
    """How many pods the field selector finds."""
    answer = json.loads(s.request("GET", "/api/v1/pods?limit=1&fieldSelector=" + urllib.parse.quote(selector)))
    return len(answer["items"])


def hollow(nodes=1000, pods=5000):
    with lib.Server("server", "--write-kubeconfig", "{dir}/kubeconfig") as s, Hollow(s, nodes) as h:
        while json.loads(s.request("GET", "/api/v1/nodes?limit=1"))["metadata"].get("remainingItemCount", 0) + 1 < nodes:
            time.sleep(0.2)
        time.sleep(5)
        h_empty, first, before, begin = h.rss_mb(), s.request("GET", "/metrics").decode(), s.cpu_seconds(), time.monotonic()
        s.load("/api/v1/namespaces/default/pods", pods, api.pod(generate="bench-"))
        created = time.monotonic() - begin
        for selector in ("spec.nodeName=", "status.phase!=Running"):
            while left(s, selector):
                time.sleep(0.1)
        running = time.monotonic() - begin
        cpu, second = s.cpu_seconds() - before, s.request("GET", "/metrics").decode()
        p99, count = quantile(first, second, 0.99)
        lib.report("hollow-rollout", f"pods created, bound and Running/s, {nodes} hollow nodes", pods / running, "", creates_took=created,
                   cpu_seconds=cpu, requests=count, requests_p99_s_below=p99, at_once_mb=s.rss_mb())
        time.sleep(200)
        before, h_before, third = s.cpu_seconds(), h.cpu_seconds(), s.request("GET", "/metrics").decode()
        time.sleep(30)
        p99, count = quantile(third, s.request("GET", "/metrics").decode(), 0.99)
        lib.report("hollow-rest", f"MB resident, {nodes} nodes with Leases every 10 s and {pods} pods Running", s.rss_mb(), "",
                   cpu_percent=(s.cpu_seconds() - before) / 30 * 100, requests_per_second=count / 30, requests_p99_s_below=p99,
                   hollow_mb=h.rss_mb(), hollow_kb_per_node=h.rss_mb() * 1024 / nodes, hollow_kb_per_node_without_pods=h_empty * 1024 / nodes,
                   hollow_cpu_percent=(h.cpu_seconds() - h_before) / 30 * 100)


ROWS = {"hollow": hollow}
BY_NAME = {"hollow-10000": lambda: hollow(10000, 150000)}
