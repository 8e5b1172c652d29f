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


class Namespace:
    """A network namespace, which this process is in until close(), and a directory."""

    def __init__(self):
        self.name = f"km-bench-{os.getpid()}"
        self.dir = f"/tmp/{self.name}"
        self.bridge = f"kmb{os.getpid() % 10000}"
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        subprocess.run(["ip", "-n", self.name, "link", "set", "lo", "up"], check=True)
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self._enter(f"/run/netns/{self.name}")
        os.makedirs(self.dir)

    @staticmethod
    def _enter(path):
        fd = os.open(path, os.O_RDONLY)
        if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.close(fd)

    def start(self, name, *args):
        return lib.Process(subprocess.Popen([lib.KM, *args], stdout=open(f"{self.dir}/{name}.out", "w"), stderr=open(f"{self.dir}/{name}.err", "w")))

    def reset(self, data):
        subprocess.run([lib.KM, "reset", "--data-dir", data, "--bridge", self.bridge, "--yes"], check=True, capture_output=True)

    def kubectl(self, *args, body=None):
        return subprocess.run(["kubectl", "--kubeconfig", self.dir + "/kubeconfig", *args], check=True, capture_output=True, text=True,
                              input=None if body is None else json.dumps(body)).stdout

    def leave(self):
        self._enter(f"/proc/self/fd/{self.home}")
        os.close(self.home)
        subprocess.run(["ip", "netns", "del", self.name], check=True)
        shutil.rmtree(self.dir)


class Cluster(Namespace, lib.Process):
    """`km up` on an empty data directory."""

    def __init__(self):
        Namespace.__init__(self)
        self.begin = time.monotonic()
        lib.Process.__init__(self, subprocess.Popen(
            [lib.KM, "up", "--data-dir", self.dir + "/d", "--secure-port", "6443", "--write-kubeconfig", self.dir + "/kubeconfig",
             "--node-name", "n1", "--bridge", self.bridge], stdout=open(self.dir + "/out", "w"), stderr=open(self.dir + "/err", "w")))
        while "The cluster is ready" not in open(self.dir + "/out").read():
            if self.process.poll() is not None:
                raise SystemExit(open(self.dir + "/err").read())
            time.sleep(0.005)
        self.ready = time.monotonic() - self.begin
        self.image = next(n for i in json.loads(self.kubectl("get", "node", "n1", "-o", "json"))["status"]["images"]
                          for n in i["names"] if "busybox" in n and "sha256" not in n)

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
        self.reset(self.dir + "/d")
        self.leave()

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


def agent():
    """The node part alone: kubelet, proxy and DNS of `km agent`, with ten pods that run and nothing that happens. containerd and runc are not in it."""
    n, running, limit = Namespace(), [], time.monotonic() + 60
    try:
        for command in (("link", "add", "wire", "type", "bridge"), ("addr", "add", "172.30.0.1/24", "dev", "wire"), ("addr", "add", "172.30.0.11/24", "dev", "wire"),
                        ("link", "set", "wire", "up")):
            subprocess.run(["ip", *command], check=True)
        server = n.start("server", "server", "--data-dir", n.dir + "/cp", "--bind-address", "172.30.0.1", "--secure-port", "6443", "--allocate-node-cidrs",
                         "--write-kubeconfig", n.dir + "/kubeconfig")
        running.append(server)
        while not os.path.exists(n.dir + "/kubeconfig"):
            if server.process.poll() is not None:
                raise SystemExit(open(n.dir + "/server.err").read())
            time.sleep(0.02)
        with open(n.dir + "/node.conf", "w") as f:
            subprocess.run([lib.KM, "kubeconfig", "--data-dir", n.dir + "/cp", "--client-name", "system:node:n1", "--org", "system:nodes", "--server",
                            "https://172.30.0.1:6443"], stdout=f, check=True)
        a = n.start("agent", "agent", "--data-dir", n.dir + "/n1", "--kubeconfig", n.dir + "/node.conf", "--proxy-kubeconfig", n.dir + "/cp/kube-proxy.conf",
                    "--node-name", "n1", "--node-ip", "172.30.0.11", "--bridge", n.bridge)
        running.insert(0, a)
        while "The node has joined" not in open(n.dir + "/agent.out").read():
            if a.process.poll() is not None:
                raise SystemExit(open(n.dir + "/agent.err").read())
            time.sleep(0.05)
        while not any(c["type"] == "Ready" and c["status"] == "True" for node in json.loads(n.kubectl("get", "nodes", "-o", "json"))["items"]
                      for c in node["status"].get("conditions", [])):
            if time.monotonic() > limit:
                raise SystemExit("the node does not become Ready: " + open(n.dir + "/agent.err").read())
            time.sleep(0.1)
        images = json.loads(n.kubectl("get", "node", "n1", "-o", "json"))["status"]["images"]
        image = next(name for i in images for name in i["names"] if "busybox" in name and "sha256" not in name)
        n.kubectl("create", "deployment", "web", "--image=" + image, "--replicas=10", "--", "sleep", "100000")
        n.kubectl("rollout", "status", "deployment", "web", "--timeout=120s")
        time.sleep(60)
        before, seconds = a.cpu_seconds(), 60
        time.sleep(seconds)
        lib.report("agent", "MB resident, km agent with 10 pods (without containerd)", a.rss_mb(), "under 25",
                   cpu_percent=(a.cpu_seconds() - before) / seconds * 100, goal_cpu="0.1 %")
        n.kubectl("delete", "deployment", "web")
    finally:
        for p in running:
            p.stop()
        if len(running) == 2:
            n.reset(n.dir + "/n1")
        n.leave()


ROWS = {"pods": pods, "agent": agent}
