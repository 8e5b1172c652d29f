"""Opens a hundred watches, floods the server with headers and bodies, then stops it and looks at the clock."""
import http.client, os, select, signal, ssl, sys, time

port, pid = int(sys.argv[1]), int(sys.argv[2])
tls = ssl._create_unverified_context()
token = {"Authorization": "Bearer admintoken"}


def connect():
    return http.client.HTTPSConnection("127.0.0.1", port, context=tls, timeout=30)


def ask(method, path, body=None, headers=None):
    c = connect()
    c.request(method, path, body, {**token, **(headers or {})})
    r = c.getresponse()
    return r.status, r.read(), r.headers


def memory():
    for line in open("/proc/%d/status" % pid):
        if line.startswith("VmRSS"):
            return int(line.split()[1])


def check(what, got, want):
    if got != want:
        sys.exit("%s: got %r, wanted %r" % (what, got, want))


# Answers are compressed for clients that take it, streams are not.
status, body, headers = ask("GET", "/openapi/v2", headers={"Accept-Encoding": "gzip"})
check("compressed", headers["content-encoding"], "gzip")
check("flow", bool(ask("GET", "/api")[2]["x-kubernetes-pf-flowschema-uid"]), True)

# Floods: clear answers, and the memory of the server does not follow them.
before = memory()
for _ in range(40):
    try:
        status = ask("POST", "/api/v1/namespaces/default/configmaps", b"x" * 8_000_000, {"Content-Type": "application/json"})[0]
        check("huge body", status, 413)
    except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
        pass  # refused while it was still being sent
for _ in range(20):
    c = connect()
    try:
        c.putrequest("GET", "/api")
        for i in range(3000):
            c.putheader("x-flood-%d" % i, "y" * 1000)
        c.endheaders()
        check("header flood", c.getresponse().status, 431)
    except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
        pass
for body in (b'{"data":' + b"[" * 200_000, b'{"metadata":', b"[]", b"\xff\xfe", b'"x"'):
    check("malformed", ask("POST", "/api/v1/namespaces/default/configmaps", body, {"Content-Type": "application/json"})[0], 400)
if memory() > before + 150_000:
    sys.exit("the server grew from %d to %d KiB" % (before, memory()))

# A hundred idle watches, then a stop.
watches = []
for _ in range(100):
    c = connect()
    c.request("GET", "/api/v1/configmaps?watch=1&resourceVersion=0", headers=token)
    r = c.getresponse()
    check("watch", r.status, 200)
    watches.append((c, r))
end = os.pidfd_open(pid)
began = time.monotonic()
os.kill(pid, signal.SIGTERM)
for c, r in watches:
    while r.read1(65536):
        pass
ended = time.monotonic() - began
while True:
    try:
        connect().connect()
    except OSError:
        break
# Streams that nobody closes would hold the server for its whole grace of ten seconds.
if not select.select([end], [], [], 8)[0]:
    sys.exit("the server did not end while watches were open")
print("watches ended after %.2f s, the server after %.2f s" % (ended, time.monotonic() - began))
