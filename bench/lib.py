"""What the rows share: servers under measurement, h2load, figures of /proc, and the line that is printed."""
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request

KM = os.environ.get("KM", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "_output", "local", "bin", "km"))
FANOUT = os.environ.get("FANOUT", os.path.join(os.path.dirname(KM), "bench_fanout"))
TOKEN = "benchtoken"
LOAD = ["-c", "4", "-m", "25", "-t", "1"]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def stat_of(pid):
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rpartition(") ")[2].split()


class Process:
    def __init__(self, process):
        self.process = process

    def rss_mb(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) / 1024

    def cpu_seconds(self):
        fields = stat_of(self.process.pid)
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()


class Server(Process):
    """`km COMMAND` on an empty data directory; `{dir}` in flags is a directory of this server's. `started` is the time from exec to /readyz answering ok, in seconds."""

    def __init__(self, command="apiserver", *flags):
        self.dir = tempfile.mkdtemp(prefix="km-bench.")
        self.port = free_port()
        with open(os.path.join(self.dir, "tokens.csv"), "w") as f:
            f.write(f'{TOKEN},bench,bench-uid,"system:masters"\n')
        # Certificates are made at the first start; kubeadm counts that to the installation, and so do we.
        args = [KM, command, "--data-dir", self.dir + "/d", "--secure-port", str(self.port), "--bind-address", "127.0.0.1",
                "--token-auth-file", self.dir + "/tokens.csv", "--service-cluster-ip-range", "10.96.0.0/16", *(f.replace("{dir}", self.dir) for f in flags)]
        self.log = open(os.path.join(self.dir, "log"), "w")
        begin = time.monotonic()
        super().__init__(subprocess.Popen(args, stdout=self.log, stderr=self.log))
        self.url = f"https://127.0.0.1:{self.port}"
        self.context = ssl._create_unverified_context()
        while True:
            try:
                if self.request("GET", "/readyz") == b"ok":
                    break
            except OSError:
                pass
            if self.process.poll() is not None:
                raise SystemExit(open(os.path.join(self.dir, "log")).read())
            time.sleep(0.002)
        self.started = time.monotonic() - begin

    def request(self, method, path, body=None, accept="application/json"):
        r = urllib.request.Request(self.url + path, method=method, data=None if body is None else json.dumps(body).encode())
        r.add_header("Authorization", "Bearer " + TOKEN)
        r.add_header("Content-Type", "application/json")
        r.add_header("Accept", accept)
        with urllib.request.urlopen(r, context=self.context) as answer:
            return answer.read()

    def load(self, path, count, body=None, accept="application/json", method=None, content="application/json"):
        """Requests a second with 100 in flight; answers other than 2xx end the run. `path` may be a list of paths, taken in turn."""
        args = ["h2load", *LOAD, "-n", str(count), "-H", "authorization: Bearer " + TOKEN, "-H", "accept: " + accept]
        if method is not None:
            args += ["-H", ":method: " + method]
        if body is not None:
            file = os.path.join(self.dir, "body.json")
            with open(file, "w") as f:
                json.dump(body, f)
            args += ["-d", file, "-H", "content-type: " + content]
        if isinstance(path, str):
            return per_second(args + [self.url + path])
        file = os.path.join(self.dir, "paths")
        with open(file, "w") as f:
            f.writelines(self.url + p + "\n" for p in path)
        return per_second(args + ["-i", file])

    def requests_answered(self):
        """How many requests for resources, and calls of its own parts, the server has counted so far."""
        text = self.request("GET", "/metrics").decode()
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines()
                   if line.startswith(("apiserver_request_total", "km_local_calls_total")) and 'resource=""' not in line)

    def fanout(self, *flags):
        """What bench_fanout tells of watchers on this server."""
        args = [FANOUT, "--port", str(self.port), "--pid", str(self.process.pid), "--token", TOKEN, *flags]
        return json.loads(subprocess.run(args, stdout=subprocess.PIPE, text=True, check=True).stdout)

    def close(self):
        self.stop()
        self.log.close()
        shutil.rmtree(self.dir)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def per_second(args):
    out = subprocess.run(args, capture_output=True, text=True, check=True).stdout
    good = int(re.search(r"status codes: (\d+) 2xx", out)[1])
    total = int(re.search(r"requests: (\d+) total", out)[1])
    if good != total:
        raise SystemExit(f"only {good} of {total} requests were answered well\n{out}")
    return float(re.search(r"finished in .*?, ([\d.]+) req/s", out)[1])


def nghttpd_per_second(body, count):
    """The ceiling: a bare HTTP/2 server that answers the same bytes from a file, under the same load."""
    folder = tempfile.mkdtemp(prefix="km-bench.")
    try:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj",
                        "/CN=localhost", "-keyout", folder + "/key", "-out", folder + "/crt"], check=True, capture_output=True)
        with open(folder + "/body", "wb") as f:
            f.write(body)
        port = free_port()
        server = subprocess.Popen(["nghttpd", "-a", "127.0.0.1", "-d", folder, str(port), folder + "/key", folder + "/crt"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    if server.poll() is not None:
                        raise SystemExit("nghttpd does not start")
                    time.sleep(0.01)
            return per_second(["h2load", *LOAD, "-n", str(count), f"https://127.0.0.1:{port}/body"])
        finally:
            server.kill()
            server.wait()
    finally:
        shutil.rmtree(folder)


def fsyncs_per_second(seconds=2.0):
    """What the disk under the store does: durable appends of 1 KB one after the other."""
    with tempfile.NamedTemporaryFile(dir=tempfile.gettempdir()) as f:
        count, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            os.write(f.fileno(), b"x" * 1024)
            os.fdatasync(f.fileno())
            count += 1
    return count / seconds


def report(row, unit, figure, goal, ceiling=None, **more):
    line = {"row": row, "figure": round(figure, 3), "unit": unit, "goal": goal}
    if ceiling is not None:
        line["ceiling"] = round(ceiling, 1)
        line["ratio"] = round(figure / ceiling, 3)
    line.update({k: round(v, 3) if isinstance(v, float) else v for k, v in more.items()})
    print(json.dumps(line), flush=True)
