"""connections.py idle|slow|vanish ADDRESS PORT COUNT [PID]

idle: COUNT idle TLS connections, half of them HTTP/2: the server answers beside them, keeps little for each, and nothing after they are gone.
slow: COUNT watchers of different selections that do not read while objects are written: the server keeps little for each.
vanish: opens idle connections and watches, says "open", and holds them without a word until its end.
"""
import http.client
import json
import os
import resource
import socket
import ssl
import sys
import time

MODE, ADDRESS, PORT, COUNT = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
PID = sys.argv[5] if MODE != 'vanish' else ''  # of the server
TOKEN = {'Authorization': 'Bearer admintoken', 'Content-Type': 'application/json'}
PLAIN, H2 = ssl._create_unverified_context(), ssl._create_unverified_context()
H2.set_alpn_protocols(['h2'])
PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + b'\0\0\0\4\0\0\0\0\0'


def connect(tls=PLAIN, **options):
    s = socket.socket()
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in options.items():
        s.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
    s.connect((ADDRESS, PORT))
    return tls.wrap_socket(s)


def ask(s, path):
    s.sendall(f'GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admintoken\r\n\r\n'.encode())


def idle(number):
    s = connect(H2 if number % 2 else PLAIN)
    if number % 2:
        s.sendall(PREFACE)
        s.recv(1000)
    return s


def kilobytes():
    """What the server keeps. Pages of its files come and go (base/start_pages) and are nobody's."""
    with open(f'/proc/{PID}/smaps_rollup') as f:
        return int(next(line for line in f if line.startswith('Anonymous')).split()[1])


def descriptors():
    return len(os.listdir(f'/proc/{PID}/fd'))


def until(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            sys.exit(f'not in {seconds} s: {what}')
        time.sleep(0.05)


def request(c, method, path, body=None):
    c.request(method, path, body and json.dumps(body), TOKEN)
    answer = c.getresponse()
    text = answer.read()
    if answer.status >= 300:
        sys.exit(f'{method} {path}: {answer.status} {text.decode()}')
    return text


def many_idle():
    c = http.client.HTTPSConnection(ADDRESS, PORT, context=PLAIN)
    request(c, 'GET', '/api/v1/configmaps')
    memory, files = kilobytes(), descriptors()
    connections = [idle(i) for i in range(COUNT)]
    until('all accepted', lambda: descriptors() >= files + COUNT * 0.99)
    each = (kilobytes() - memory) / COUNT
    request(http.client.HTTPSConnection(ADDRESS, PORT, context=PLAIN), 'GET', '/api/v1/configmaps')
    for s in connections:
        s.close()
    until('all released', lambda: descriptors() <= files + 5)
    print(f'{COUNT} idle connections: {each:.1f} KB each')
    if each > 40:
        sys.exit('too much for an idle connection')


def many_slow():
    c = http.client.HTTPSConnection(ADDRESS, PORT, context=PLAIN)
    memory = kilobytes()
    watchers = []
    for i in range(COUNT):
        s = connect(SO_RCVBUF=4096)
        ask(s, f'/api/v1/namespaces/default/configmaps?watch=1&resourceVersion=0&labelSelector=no!%3Dx{i}')
        s.recv(1000)
        watchers.append(s)
    for i in range(1500):
        request(c, 'POST', '/api/v1/namespaces/default/configmaps', {'metadata': {'name': f's{i}'}, 'data': {'v': 'x' * 4000}})
    each = (kilobytes() - memory) / COUNT
    # They are served on when they read again.
    watchers[0].settimeout(30)
    seen = b''
    while b'"s1499"' not in seen:
        seen = seen[-100:] + watchers[0].recv(65536)
    print(f'{COUNT} slow watchers: {each:.0f} KB each')
    if each > 800:
        sys.exit('too much for a slow watcher')


def vanish():
    connections = [idle(i) for i in range(COUNT)]
    for i in range(COUNT):
        s = connect()
        ask(s, '/api/v1/namespaces/default/configmaps?watch=1')
        s.recv(1000)
        connections.append(s)
    print('open', flush=True)
    sys.stdin.read()
    os._exit(0)


_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (max(most, COUNT + 1000),) * 2)
{'idle': many_idle, 'slow': many_slow, 'vanish': vanish}[MODE]()
