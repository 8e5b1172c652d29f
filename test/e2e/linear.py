"""linear.py WRITES PORT...: clients read and write the same few objects at the same time, through one or several servers. The history must be
linearizable: each version has one writer, versions follow real time, a read gives the newest version that was there at some instant of it, and
a guarded write succeeds only on the version that it names."""
import http.client
import json
import random
import ssl
import sys
import threading
import time

WRITES, PORTS = int(sys.argv[1]), [int(a) for a in sys.argv[2:]]
CLIENTS, KEYS = 12, 4
PATH = '/api/v1/namespaces/default/configmaps'
HEADERS = {'Authorization': 'Bearer admintoken'}
TLS = ssl._create_unverified_context()
HISTORY, FAULTS, LOCK = [], [], threading.Lock()


def connect(port):
    return http.client.HTTPSConnection('127.0.0.1', port, context=TLS, timeout=60)


def ask(c, method, path, body=None, content='application/json'):
    c.request(method, path, json.dumps(body) if body else None, {**HEADERS, 'Content-Type': content})
    answer = c.getresponse()
    text = answer.read()
    return answer.status, json.loads(text)


def client(number, count):
    c, r = connect(PORTS[number % len(PORTS)]), random.Random(number)
    known = {}
    for n in range(count):
        key, what = f'k{r.randrange(KEYS)}', r.random()
        value = f'{number}-{n}'
        began = time.monotonic()
        guard = None
        if what < 0.4:
            kind = 'read'
            status, o = ask(c, 'GET', f'{PATH}/{key}')
        elif what < 0.6:
            kind = 'write'
            status, o = ask(c, 'PATCH', f'{PATH}/{key}', {'data': {'v': value}}, 'application/merge-patch+json')
        elif what < 0.8:
            kind = 'write'
            status, o = ask(c, 'PUT', f'{PATH}/{key}', {'metadata': {'name': key}, 'data': {'v': value}})
        else:
            kind, guard = 'write', known.get(key, 1)
            status, o = ask(c, 'PUT', f'{PATH}/{key}', {'metadata': {'name': key, 'resourceVersion': str(guard)}, 'data': {'v': value}})
        ended = time.monotonic()
        if status == 409 and guard is not None:
            continue
        if status != 200:
            FAULTS.append(f'{kind} {key}: {status} {o}')
            return
        version = int(o['metadata']['resourceVersion'])
        known[key] = version
        with LOCK:
            HISTORY.append((key, kind, version, o['data']['v'], began, ended, guard))


def check(key):
    history = [h for h in HISTORY if h[0] == key]
    writes = sorted((h for h in history if h[1] == 'write'), key=lambda h: h[2])
    values = {}
    for before, h in zip([None] + writes, writes):
        if before and before[2] == h[2]:
            FAULTS.append(f'{key}: version {h[2]} has two writers')
        if h[6] is not None and before and h[6] != before[2]:
            FAULTS.append(f'{key}: a write on {h[6]} went through after {before[2]}')
        values[h[2]] = h[3]
    # In the order of versions no operation may end before one of an older version begins; a read comes after the write that it saw.
    order = sorted(history, key=lambda h: (h[2], h[1] == 'read'))
    latest = 0.0
    for h in order:
        if h[5] < latest:
            FAULTS.append(f'{key}: {h[1]} of version {h[2]} ended before one of an older version began')
        latest = max(latest, h[4])
        if h[1] == 'read' and h[2] in values and values[h[2]] != h[3]:
            FAULTS.append(f'{key}: a read of version {h[2]} gave {h[3]}, written was {values[h[2]]}')
    return len(history)


def main():
    c = connect(PORTS[0])
    for i in range(KEYS):
        ask(c, 'POST', PATH, {'metadata': {'name': f'k{i}'}, 'data': {'v': 'first'}})
    threads = [threading.Thread(target=client, args=(i, WRITES // CLIENTS)) for i in range(CLIENTS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    count = sum(check(f'k{i}') for i in range(KEYS))
    print(f'{count} operations on {KEYS} objects by {CLIENTS} clients over {len(PORTS)} servers: {len(FAULTS)} faults')
    for fault in FAULTS[:10]:
        print('FAILED', fault)
    sys.exit(1 if FAULTS else 0)


main()
