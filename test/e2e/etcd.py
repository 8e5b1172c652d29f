"""What test/e2e/etcd.sh does over HTTP. etcd.py COMMAND A B [N]: A and B are the addresses of two API servers on one etcd.

consistency   what one server has acknowledged the other one shows at once, by GET, LIST and in admission
services      services made through both at the same time have addresses and ports of their own
write         creates ConfigMaps through A until N were acknowledged, at most 60 s; prints how long the longest answer took
expired       a watch from a revision that was compacted ends with 410
full          writes to A until etcd's space is exceeded, and checks what is said
"""
import concurrent.futures
import http.client
import json
import ssl
import sys
import time

COMMAND, SERVERS = sys.argv[1], sys.argv[2:4]
TOKEN = {"Authorization": "Bearer admintoken", "Content-Type": "application/json"}
CONTEXT = ssl._create_unverified_context()


class Client:
    def __init__(self, server):
        self.server, self.connection = server, None

    def __call__(self, method, path, body=None, timeout=30):
        if self.connection is None:
            host, port = self.server.rsplit(":", 1)
            self.connection = http.client.HTTPSConnection(host, int(port), context=CONTEXT, timeout=timeout)
        try:
            self.connection.request(method, path, json.dumps(body) if body is not None else None, TOKEN)
            answer = self.connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            self.connection = None
            raise


def need(condition, what):
    if not condition:
        sys.exit("FAILED: %s" % (what,))


def config_map(name, data="x"):
    return {"metadata": {"name": name}, "data": {"d": data}}


def consistency():
    clients = [Client(s) for s in SERVERS]
    run = "c%d" % time.time()
    for i in range(60):
        a, b = clients[i % 2], clients[1 - i % 2]
        ns = "%s-%d" % (run, i)
        need(a("POST", "/api/v1/namespaces", {"metadata": {"name": ns}})[0] == 201, "namespace")
        maps = "/api/v1/namespaces/%s/configmaps" % ns
        # Admission of the other server must know the namespace.
        status, made = b("POST", maps, config_map("m"))
        need(status == 201, made)
        version = int(made["metadata"]["resourceVersion"])
        status, got = a("GET", maps + "/m")
        need(status == 200 and got["metadata"]["resourceVersion"] == str(version), got)
        status, listed = a("GET", maps)
        need("m" in [m["metadata"]["name"] for m in listed["items"]], listed)
        need(int(listed["metadata"]["resourceVersion"]) >= version, listed)
        got["data"]["d"] = "changed"
        status, changed = a("PUT", maps + "/m", got)
        need(status == 200, changed)
        status, old = b("PUT", maps + "/m", dict(got, data={"d": "late"}))
        need(status == 409, old)
        need(b("GET", maps + "/m")[1]["data"]["d"] == "changed", "a change is not seen")
        need(b("DELETE", maps + "/m")[0] == 200, "delete")
        need(a("GET", maps + "/m")[0] == 404, "a deletion is not seen")
        need("m" not in [m["metadata"]["name"] for m in a("GET", maps)[1]["items"]], "a deletion is not seen in a list")
    print("consistent over", i + 1, "rounds")


def services():
    clients = [Client(s) for s in SERVERS]
    run = "s%d" % time.time()

    def make(number):
        client = clients[number]
        out = []
        for i in range(60):
            body = {"metadata": {"name": "%s-%d-%d" % (run, number, i)},
                    "spec": {"type": "NodePort", "ports": [{"port": 80}]}}
            status, s = client("POST", "/api/v1/namespaces/default/services", body)
            need(status == 201, s)
            out.append(s)
            # The same port, asked for by name at the other one: refused by both.
            if i % 10 == 0:
                taken = {"metadata": {"name": "%s-x-%d-%d" % (run, number, i)},
                         "spec": {"type": "NodePort", "clusterIP": s["spec"]["clusterIP"], "ports": [{"port": 80}]}}
                need(client("POST", "/api/v1/namespaces/default/services", taken)[0] == 422, "an address was given twice")
        return out

    with concurrent.futures.ThreadPoolExecutor() as pool:
        made = sum(pool.map(make, range(2)), [])
    for what in (lambda s: s["spec"]["clusterIP"], lambda s: s["spec"]["ports"][0]["nodePort"]):
        values = [what(s) for s in made]
        need(len(set(values)) == len(values), "given twice: %s" % sorted(values))
    s = made[0]
    other = dict(spec=dict(s["spec"], clusterIP="", clusterIPs=[]), metadata={"name": run + "-port"})
    need(clients[1]("POST", "/api/v1/namespaces/default/services", other)[0] == 422, "a port was given twice")
    for i, s in enumerate(made):
        status, _ = clients[i % 2]("DELETE", "/api/v1/namespaces/default/services/" + s["metadata"]["name"])
        need(status == 200, "delete")
    for s in made[:5]:
        need(clients[0]("GET", "/apis/networking.k8s.io/v1/ipaddresses/" + s["spec"]["clusterIP"])[0] == 404, "an address stays taken")
    # Free again, for whoever asks.
    status, again = clients[1]("POST", "/api/v1/namespaces/default/services", other)
    need(status == 201, again)
    need(clients[0]("DELETE", "/api/v1/namespaces/default/services/" + run + "-port")[0] == 200, "delete")
    print(len(made), "services without a conflict")


def write():
    wanted, client = int(sys.argv[4]), Client(SERVERS[0])
    run, done, failed, longest, end = "n%d" % (time.time() * 1000), [], 0, 0, time.time() + 60
    i = 0
    while len(done) < wanted and time.time() < end:
        i += 1
        name = "%s-%d" % (run, i)
        begin = time.time()
        try:
            status, answer = client("POST", "/api/v1/namespaces/default/configmaps", config_map(name))
        except (OSError, http.client.HTTPException) as e:
            status, answer = 0, e
        longest = max(longest, time.time() - begin)
        if status == 201:
            done.append((name, answer["metadata"]["resourceVersion"]))
        else:
            failed += 1
    need(len(done) >= wanted, "only %d of %d writes: %s" % (len(done), wanted, answer))
    for name, version in done:
        status, got = client("GET", "/api/v1/namespaces/default/configmaps/" + name)
        need(status == 200 and got["metadata"]["resourceVersion"] == version, "lost: %s" % name)
    print("%d written, %d failed meanwhile, longest answer %.1f s" % (len(done), failed, longest))


def expired():
    client = Client(SERVERS[0])
    status, answer = client("GET", "/api/v1/configmaps?watch=1&resourceVersion=1&timeoutSeconds=1")
    need(status == 410 or answer.get("object", {}).get("code") == 410, answer)
    print("410")


def full():
    client = Client(SERVERS[0])
    for i in range(200):
        status, answer = client("POST", "/api/v1/namespaces/default/configmaps", config_map("full-%d" % i, "x" * 500000))
        if status != 201:
            break
    need(status == 500 and answer["message"] == "etcdserver: mvcc: database space exceeded", answer)
    need(client("GET", "/api/v1/namespaces/default/configmaps/full-0")[0] == 200, "no reads in a full store")
    print("full after", i, "objects")


{"consistency": consistency, "services": services, "write": write, "expired": expired, "full": full}[COMMAND]()
