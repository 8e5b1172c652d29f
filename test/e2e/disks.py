"""disks.py cut|full|slow KM DIRECTORY: the API server on a disk that loses its end, is full, or is slow.

DIRECTORY/d is the data directory. full: it is a small tmpfs, and DIRECTORY/more a program that makes it larger. slow: the server runs with
DIRECTORY/slow.so, which delays each sync by the milliseconds in DIRECTORY/delay.
"""
import atexit
import glob
import http.client
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

MODE, KM, DIRECTORY = sys.argv[1:4]
PATH = '/api/v1/namespaces/default/configmaps'
TOKEN = {'Authorization': 'Bearer writertoken', 'Content-Type': 'application/json'}
random.seed(36)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


PORT = free_port()


def connect(timeout=60):
    return http.client.HTTPSConnection('127.0.0.1', PORT, context=ssl._create_unverified_context(), timeout=timeout)


def request(c, method, path, body=None):
    c.request(method, path, body and json.dumps(body), TOKEN)
    answer = c.getresponse()
    return answer.status, answer.read().decode()


def start(data=DIRECTORY + '/d', may_fail=False, **variables):
    """The server once it is ready; with may_fail, None and its words if it ends instead."""
    with open(DIRECTORY + '/log', 'w') as log:
        server = subprocess.Popen([KM, 'apiserver', '--data-dir', data, '--bind-address', '127.0.0.1', '--secure-port', str(PORT),
                                   '--token-auth-file', DIRECTORY + '/tokens.csv'], stdout=log, stderr=log, env={**os.environ, **variables})
    atexit.register(kill, server)
    while True:
        try:
            if request(connect(), 'GET', '/readyz')[0] == 200:
                return server
        except OSError:
            pass
        if server.poll() is not None:
            words = open(DIRECTORY + '/log').read()
            if may_fail and server.returncode == 1:
                return words
            sys.exit(f'the API server ended with {server.returncode}: {words}')
        time.sleep(0.01)


def kill(server):
    server.kill()
    server.wait()


def put(c, name, value, pad=0):
    return request(c, 'POST', PATH, {'metadata': {'name': name}, 'data': {'v': value, 'pad': random.randbytes(pad // 2).hex()}})


def values():
    status, text = request(connect(), 'GET', PATH)
    if status != 200:
        sys.exit(text)
    return {o['metadata']['name']: o['data']['v'] for o in json.loads(text)['items'] if 'v' in o.get('data', {})}


def log_file(data):
    return max(glob.glob(data + '/**/*.log', recursive=True), key=lambda p: (os.path.getsize(p) > 0, p))


def cut():
    data, copy = DIRECTORY + '/d', DIRECTORY + '/copy'
    server = start()
    written, snapshots = [], []  # (name, value, size of the log once it was acknowledged)
    c = connect()
    for i in range(200):
        value = str(random.random())
        if put(c, f'c{i}', value, random.randrange(3000))[0] != 201:
            sys.exit('a write failed')
        written.append((f'c{i}', value, os.path.getsize(log_file(data))))
        if i % 40 == 20:
            # An instant of a running server, as a loss of power would leave it.
            os.kill(server.pid, signal.SIGSTOP)
            shutil.copytree(data, f'{copy}-{i}')
            os.kill(server.pid, signal.SIGCONT)
            snapshots.append((f'{copy}-{i}', i + 1))
    kill(server)
    everything = {n: v for n, v, _ in written}

    def check(directory, present, what):
        server = start(directory)
        found = values()
        kill(server)
        missing = [n for n in present if n not in found]
        false = [n for n, v in found.items() if everything.get(n) != v]
        if missing or false:
            sys.exit(f'{what}: missing {missing[:5]}, false {false[:5]}')

    for directory, count in snapshots:
        os.unlink(directory + '/km.pid') if os.path.exists(directory + '/km.pid') else None
        check(directory, [n for n, _, _ in written[:count]], f'a copy after {count} writes')
    log = log_file(data)
    size, first = os.path.getsize(log), written[0][2]
    edges = [s + d for _, _, s in random.sample(written, 4) for d in (-1, 0, 1)]
    for at in sorted({*edges, *(random.randrange(first, size) for _ in range(12))}):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(data, copy)
        os.truncate(log.replace(data, copy), at)
        check(copy, [n for n, _, s in written if s <= at], f'cut at {at} of {size}')
    # Damage before the end is not taken for a cut.
    refused = 0
    for at in (random.randrange(first, size // 2) for _ in range(5)):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(data, copy)
        with open(log.replace(data, copy), 'r+b') as f:
            f.seek(at)
            byte = f.read(1)[0]
            f.seek(at)
            f.write(bytes([byte ^ 0x55]))
        ended = start(copy, may_fail=True)
        if not isinstance(ended, str):
            kill(ended)
            sys.exit(f'byte {at} of {size} is another, and the server starts')
        if 'is damaged' not in ended:
            sys.exit(ended)
        refused += 1
    print(f'{len(written)} writes, {len(snapshots)} copies of a running server, a log cut at any byte: all that was durable is there; damage refused {refused} times')


def events(answer):
    rest = b''
    while piece := answer.read1(1 << 16):
        *lines, rest = (rest + piece).split(b'\n')
        yield from (json.loads(line) for line in lines)


def full():
    server = start()
    c, acknowledged, i = connect(), {}, 0
    watch = connect()
    watch.request('GET', PATH + '?watch=1', headers=TOKEN)
    told = events(watch.getresponse())
    while True:
        status, text = put(c, f'f{i}', str(i), 200_000)
        if status != 201:
            break
        acknowledged[f'f{i}'] = str(i)
        i += 1
    if status != 503 or 'No space left' not in text:
        sys.exit(f'a full disk: {status} {text}')
    if values() != acknowledged:
        sys.exit('reads are not what was acknowledged')
    for name in acknowledged:
        if next(told)['object']['metadata']['name'] != name:
            sys.exit('the watch was told otherwise')
    if put(c, 'again', '')[0] != 503:
        sys.exit('a write to a full disk')
    # What reached the disk is known only after a restart.
    server.terminate()
    server.wait()
    subprocess.run([DIRECTORY + '/more'], check=True)
    server = start()
    if put(connect(), 'after', 'after')[0] != 201:
        sys.exit('no write though there is space again')
    acknowledged['after'] = 'after'
    for restart in range(2):
        if values() != acknowledged:
            sys.exit(f'{set(values().items()) ^ set(acknowledged.items())}')
        kill(server)
        server = start()
    kill(server)
    print(f'a disk full after {len(acknowledged)} writes: reads and watches go on, and after a restart with space again all do')


def slow():
    def delay(milliseconds):
        with open(DIRECTORY + '/delay.new', 'w') as f:
            f.write(str(milliseconds))
        os.rename(DIRECTORY + '/delay.new', DIRECTORY + '/delay')

    delay(0)
    server = start(LD_PRELOAD=DIRECTORY + '/slow.so', SLOW_DELAY=DIRECTORY + '/delay')
    put(connect(), 'first', '1')
    delay(700)
    done, began = [], time.monotonic()

    def writer(number):
        c = connect()
        for i in range(3):
            done.append(put(c, f'w{number}-{i}', '')[0])

    writers = [threading.Thread(target=writer, args=(i,)) for i in range(60)]
    for w in writers:
        w.start()
    reads, slowest, c = 0, 0, connect()
    while any(w.is_alive() for w in writers):
        before = time.monotonic()
        if request(c, 'GET', PATH + '/first')[0] != 200 or request(c, 'GET', PATH + '?resourceVersion=0&limit=5')[0] != 200:
            sys.exit('a read failed')
        reads, slowest = reads + 2, max(slowest, time.monotonic() - before)
        time.sleep(0.01)
    took = time.monotonic() - began
    if done != [201] * 180:
        sys.exit(f'writes: {set(done)}')
    # Writes share their syncs, and reads wait for none.
    if took < 2 or reads < 50 or slowest > 0.6:
        sys.exit(f'{took} s, {reads} reads, the slowest took {slowest} s')
    # A write that the disk does not finish in time is told so; it happens all the same.
    delay(4000)
    status, text = request(connect(), 'POST', PATH + '?timeout=1s', {'metadata': {'name': 'late'}})
    if status != 504 or json.loads(text)['reason'] != 'Timeout':
        sys.exit(f'a write in no time: {status} {text}')
    delay(0)
    end = time.monotonic() + 30
    while request(c, 'GET', PATH + '/late')[0] != 200:
        if time.monotonic() > end:
            sys.exit('the late write is not there')
        time.sleep(0.05)
    kill(server)
    print(f'a sync of 700 ms: 180 writes in {took:.1f} s, {reads} reads meanwhile, the slowest in {slowest * 1000:.0f} ms')


with open(DIRECTORY + '/tokens.csv', 'w') as f:
    f.write('writertoken,writer,writer-uid,"system:masters"\n')
{'cut': cut, 'full': full, 'slow': slow}[MODE]()
