"""kill_writers.py KM DIRECTORY KILLS [FLAG...]: eight writers create, change and delete ConfigMaps while the API server is killed again and again.

Each writer owns its names and knows what was acknowledged. After a kill, what an unanswered request may have done is open; everything else
must be there, and later versions must be greater than all acknowledged ones. Watchers follow across all kills: each sees every event once, and none
has to list again. Who comes back from kills ago is told what was missed, also by a selector that objects came under and left.
"""
import http.client
import json
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

from watching import Watcher, compare

KM, DIRECTORY, KILLS = sys.argv[1], sys.argv[2], int(sys.argv[3])
WRITERS, WATCHERS = 8, 6
PATH = "/api/v1/namespaces/default/configmaps"
TOKEN = {"Authorization": "Bearer writertoken", "Content-Type": "application/json"}
GONE = None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


PORT = free_port()


def connect():
    return http.client.HTTPSConnection("127.0.0.1", PORT, context=ssl._create_unverified_context(), timeout=30)


def start():
    log = open(DIRECTORY + "/log", "a")
    server = subprocess.Popen([KM, "apiserver", "--data-dir", DIRECTORY + "/d", "--bind-address", "127.0.0.1", "--secure-port", str(PORT),
                               "--token-auth-file", DIRECTORY + "/tokens.csv"] + sys.argv[4:], stdout=log, stderr=log)
    while True:
        try:
            c = connect()
            c.request("GET", "/readyz", headers=TOKEN)
            if c.getresponse().status == 200:
                return server
        except OSError:
            pass
        if server.poll() is not None:
            sys.exit("the API server ended: " + open(DIRECTORY + "/log").read())
        time.sleep(0.01)


def labels(value):
    return {"high": "yes" if float(value) > 0.5 else "no"}


class Writer(threading.Thread):
    def __init__(self, number, state):
        super().__init__()
        self.number, self.state, self.acknowledged, self.version = number, state, 0, 0
        self.open = None  # (name, value): what the request under way would make of it

    def run(self):
        c, r = connect(), random.Random()
        while True:
            name = f"w{self.number}-{r.randrange(200)}"
            have = self.state.get(name, GONE)
            value = GONE if have is not GONE and r.random() < 0.2 else str(r.random())
            method = "DELETE" if value is GONE else "POST" if have is GONE else "PUT"
            body = None if value is GONE else json.dumps({"metadata": {"name": name, "labels": labels(value)}, "data": {"v": value, "pad": "x" * r.randrange(2000)}})
            self.open = (name, value)
            try:
                c.request(method, PATH if method == "POST" else f"{PATH}/{name}", body, TOKEN)
                answer = c.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                return
            if answer.status == 500 or answer.status == 503:
                return  # an end in order: not acknowledged
            if answer.status not in (200, 201):
                sys.exit(f"{method} {name}: {answer.status} {text.decode()}")
            self.state[name] = value
            self.open = None
            self.acknowledged += 1
            if value is not GONE:
                self.version = max(self.version, int(json.loads(text)["metadata"]["resourceVersion"]))


def come_back(origin, have, mark):
    """Watches from the origin, (version, {name: value}), to the mark: what is told adds up to what is there now."""
    for selector in ("", "&labelSelector=high%3Dyes"):
        def selected(values):
            return {n: v for n, v in values.items() if not selector or labels(v)["high"] == "yes"}
        told, version = selected(origin[1]), origin[0]
        c = connect()
        c.request("GET", f"{PATH}?watch=1&timeoutSeconds=60&resourceVersion={version}{selector}", headers=TOKEN)
        answer = c.getresponse()
        while version < mark:
            event = json.loads(answer.readline())
            kind, o = event["type"], event["object"]
            if kind == "ERROR":
                sys.exit(f"no watch from {origin[0]}: {o}")
            name, before, version = o["metadata"]["name"], version, int(o["metadata"]["resourceVersion"])
            if version <= before or (kind == "ADDED") == (name in told):
                sys.exit(f"{kind} of {name} at {version} after {before}, by {selector!r}")
            told.pop(name, None)
            if kind != "DELETED":
                told[name] = o["data"]["v"]
        c.close()
        told = {n: v for n, v in told.items() if n.startswith("w")}
        if told != selected(have):
            sys.exit(f"by {selector!r} from {origin[0]} was told otherwise: {sorted(set(told.items()) ^ set(selected(have).items()))[:5]}")


def check(states, open_requests, version, watchers, origin):
    """What is there now: (version, {name: value})."""
    c = connect()
    c.request("GET", PATH, headers=TOKEN)
    found = json.loads(c.getresponse().read())
    if int(found["metadata"]["resourceVersion"]) < version:
        sys.exit(f"the store went back: {found['metadata']['resourceVersion']} after {version}")
    have = {o["metadata"]["name"]: o["data"]["v"] for o in found["items"] if o["metadata"]["name"].startswith("w")}
    # A last write, so that every watcher has something to reach.
    c.request("POST", PATH, json.dumps({"metadata": {"generateName": "mark-", "labels": {"high": "yes"}}, "data": {"v": ""}}), TOKEN)
    mark = int(json.loads(c.getresponse().read())["metadata"]["resourceVersion"])
    for w in watchers:
        if not w.reach(mark):
            sys.exit(f"a watcher is at {w.version}, not at {mark}: {w.fault}")
        told = {n: v for n, v in w.state.items() if n.startswith("w")}
        if told != have:
            sys.exit(f"a watcher was told otherwise: {sorted(set(told.items()) ^ set(have.items()))[:5]}")
    come_back(origin, have, mark)
    for state in states:
        for name, value in state.items():
            allowed = {value} | {v for n, v in open_requests if n == name}
            if have.get(name, GONE) not in allowed:
                sys.exit(f"lost: {name} is {have.get(name, GONE)}, must be one of {allowed}")
            state[name] = have.get(name, GONE)
    known = {n for s in states for n in s}
    for name, value in open_requests:
        if name not in known and have.get(name, GONE) not in (GONE, value):
            sys.exit(f"{name} is {have[name]}, asked for was {value}")
        states[int(name[1:].split("-")[0])][name] = have.get(name, GONE)
    return mark, have


with open(DIRECTORY + "/tokens.csv", "w") as f:
    f.write('writertoken,writer,writer-uid,"system:masters"\n')
states = [{} for _ in range(WRITERS)]
acknowledged = version = 0
server = start()
watchers = [Watcher(connect, PATH, TOKEN) for _ in range(WATCHERS)]
for w in watchers:
    w.start()
origin = (watchers[0].began(), {})
try:
    for kill in range(KILLS):
        writers = [Writer(i, states[i]) for i in range(WRITERS)]
        for w in writers:
            w.start()
        time.sleep(random.uniform(0.02, 0.6))
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        for w in writers:
            w.join()
        acknowledged += sum(w.acknowledged for w in writers)
        version = max([version] + [w.version for w in writers])
        server = start()
        now = check(states, [w.open for w in writers if w.open], version, watchers, origin)
        if kill % 4 == 3:
            origin = now
    everything, faults = compare(watchers)
    if faults:
        sys.exit("\n".join(faults[:5]))
    lists = sum(w.lists for w in watchers) - WATCHERS
    if lists:
        sys.exit(f"{lists} new lists after 410")
finally:
    for w in watchers:
        w.ended = True
    server.kill()
    server.wait()
print(f"{KILLS} kills, {acknowledged} acknowledged writes, none lost; {WATCHERS} watchers, {len(everything)} events, each once, no new list")
