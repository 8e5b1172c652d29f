"""Rows about pods that run: `km up` with containerd and runc, in a network namespace of its own. Needs root."""
import ctypes
import json
import os
import shutil
import statistics
import subprocess
import time

import lib

CLONE_NEWNET = 0x40000000


class Cluster(lib.Process):
    """`km up` on an empty data directory; this process is in the cluster's network namespace meanwhile."""

    def __init__(self):
        self.name = f"km-bench-{os.getpid()}"
        self.dir = f"/tmp/{self.name}"
        self.bridge = f"kmb{os.getpid() % 10000}"
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        subprocess.run(["ip", "-n", self.name, "link", "set", "lo", "up"], check=True)
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self._enter(f"/run/netns/{self.name}")
        os.makedirs(self.dir)
        self.begin = time.monotonic()
        super().__init__(subprocess.Popen(
            [lib.KM, "up", "--data-dir", self.dir + "/d", "--secure-port", "6443", "--write-kubeconfig", self.dir + "/kubeconfig",
             "--node-name", "n1", "--bridge", self.bridge], stdout=open(self.dir + "/out", "w"), stderr=open(self.dir + "/err", "w")))
        while "The cluster is ready" not in open(self.dir + "/out").read():
            if self.process.poll() is not None:
                raise SystemExit(open(self.dir + "/err").read())
            time.sleep(0.005)
        self.ready = time.monotonic() - self.begin
        self.image = next(n for i in json.loads(self.kubectl("get", "node", "n1", "-o", "json"))["status"]["images"]
                          for n in i["names"] if "busybox" in n and "sha256" not in n)

    @staticmethod
    def _enter(path):
        fd = os.open(path, os.O_RDONLY)
        if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.close(fd)

    def kubectl(self, *args, body=None):
        return subprocess.run(["kubectl", "--kubeconfig", self.dir + "/kubeconfig", *args], check=True, capture_output=True, text=True,
                              input=None if body is None else json.dumps(body)).stdout

    def pods(self, count, name):
        """Makes pods by one request of a list, and gives back the seconds until all are Ready."""
        items = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"{name}-{i}", "namespace": "default"},
                  "spec": {"terminationGracePeriodSeconds": 0,
                           "containers": [{"name": "c", "image": self.image, "command": ["sleep", "100000"]}]}} for i in range(count)]
        begin = time.time()
        self.kubectl("create", "-f", "-", body={"apiVersion": "v1", "kind": "List", "items": items})
        self.kubectl("wait", "--for=condition=Ready", "pod", *[f"{name}-{i}" for i in range(count)], "--timeout=120s")
        return time.time() - begin

    def close(self):
        self.stop()
        subprocess.run([lib.KM, "reset", "--data-dir", self.dir + "/d", "--bridge", self.bridge, "--yes"], check=True, capture_output=True)
        self._enter(f"/proc/self/fd/{self.home}")
        os.close(self.home)
        subprocess.run(["ip", "netns", "del", self.name], check=True)
        shutil.rmtree(self.dir)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def pods():
    """From create to Ready as kubectl sees it: its own start (twice, measured beside) is in the figures."""
    with Cluster() as c:
        first = c.pods(1, "first")
        begin = time.monotonic()
        c.kubectl("version")
        kubectl = time.monotonic() - begin
        since_start = time.monotonic() - c.begin - kubectl
        lib.report("up-ready", "s from exec of km up to its ready line", c.ready, "", first_pod_after=first, until_first_pod=since_start)
        single = [c.pods(1, f"single{i}") for i in range(10)]
        lib.report("pod-ready", "s from create to Ready, one by one, median", statistics.median(single), "under 0.35", kubectl_start=kubectl)
        lib.report("pods-ready-20", "s until 20 pods made at once are Ready", c.pods(20, "many"), "under 1.5", kubectl_start=kubectl)
        time.sleep(5)
        before = c.cpu_seconds()
        time.sleep(20)
        lib.report("up-idle", "MB resident, km up with 31 pods", c.rss_mb(), "under 65 (40 and 25)", cpu_percent=(c.cpu_seconds() - before) / 20 * 100)


ROWS = {"pods": pods}
