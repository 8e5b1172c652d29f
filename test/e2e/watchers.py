"""watchers.py PORT WATCHERS WRITES: many watchers over random writes, lost connections and compactions see each event once and in order."""
import http.client
import json
import random
import ssl
import sys
import threading

sys.path.insert(0, sys.path[0])
from watching import Watcher, compare  # noqa: E402

PORT, WATCHERS, WRITES = (int(a) for a in sys.argv[1:4])
PATH = '/api/v1/namespaces/default/configmaps'
HEADERS = {'Authorization': 'Bearer admintoken', 'Content-Type': 'application/json'}
TLS = ssl._create_unverified_context()


def connect():
    return http.client.HTTPSConnection('127.0.0.1', PORT, context=TLS, timeout=60)


def write(number, count):
    """Creates, changes and deletes names of its own."""
    c, r, there = connect(), random.Random(number), set()
    for _ in range(count):
        name = f'w{number}-{r.randrange(30)}'
        method = 'POST' if name not in there else 'DELETE' if r.random() < 0.3 else 'PUT'
        body = None if method == 'DELETE' else json.dumps({'metadata': {'name': name}, 'data': {'v': str(r.random())}})
        c.request(method, PATH if method == 'POST' else f'{PATH}/{name}', body, HEADERS)
        answer = c.getresponse()
        text = answer.read()
        if answer.status not in (200, 201):
            sys.exit(f'{method} {name}: {answer.status} {text}')
        there.discard(name) if method == 'DELETE' else there.add(name)


def main():
    watchers = [Watcher(connect, PATH, HEADERS, hangup=0.002) for _ in range(WATCHERS)]
    for w in watchers:
        w.start()
    writers = [threading.Thread(target=write, args=(i, WRITES // 4)) for i in range(4)]
    for w in writers:
        w.start()
    for w in writers:
        w.join()
    c = connect()
    c.request('POST', PATH, json.dumps({'metadata': {'name': 'last'}, 'data': {'v': 'x'}}), HEADERS)
    last = int(json.loads(c.getresponse().read())['metadata']['resourceVersion'])
    late = [w for w in watchers if not w.reach(last)]
    c.request('GET', PATH, headers=HEADERS)
    want = {o['metadata']['name']: o['data']['v'] for o in json.loads(c.getresponse().read())['items'] if 'v' in o.get('data', {})}
    everything, faults = compare(watchers)
    faults += [f'{len(late)} watchers did not see the last version'] if late else []
    for i, w in enumerate(watchers):
        if {n: v for n, v in w.state.items() if n in want or n.startswith('w')} != want:
            faults.append(f'watcher {i} ends with another state')
    for w in watchers:
        w.ended = True
    print(f'{WATCHERS} watchers, {len(everything)} events, {sum(w.connections for w in watchers)} connections, '
          f'{sum(w.lists for w in watchers) - WATCHERS} new lists after 410; {len(faults)} faults')
    for fault in faults[:10]:
        print('FAILED', fault)
    sys.exit(1 if faults else 0)


main()
