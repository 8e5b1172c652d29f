"""shutdown.py KM DIRECTORY: the API server is asked to end, under requests and watches.

DIRECTORY/slow.so delays each sync by the milliseconds in DIRECTORY/delay, so that a write is under way when the server is to end."""
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

KM, DIRECTORY = sys.argv[1:]
PATH = '/api/v1/namespaces/default/configmaps'
TOKEN = {'Authorization': 'Bearer admintoken', 'Content-Type': 'application/json'}
WATCHES = 50
with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    PORT = s.getsockname()[1]


def connect():
    return http.client.HTTPSConnection('127.0.0.1', PORT, context=ssl._create_unverified_context(), timeout=30)


def ask(method, path, body=None, c=None):
    c = c or connect()
    c.request(method, path, body and json.dumps(body), TOKEN)
    answer = c.getresponse()
    return answer.status, answer.read().decode(), answer.headers


def put(name, c=None):
    return ask('POST', PATH, {'metadata': {'name': name}}, c)[0]


def delay(milliseconds):
    with open(DIRECTORY + '/delay.new', 'w') as f:
        f.write(str(milliseconds))
    os.rename(DIRECTORY + '/delay.new', DIRECTORY + '/delay')


def start(*flags):
    delay(0)
    log = open(DIRECTORY + '/log', 'a')
    server = subprocess.Popen([KM, 'apiserver', '--data-dir', DIRECTORY + '/d', '--bind-address', '127.0.0.1', '--secure-port', str(PORT),
                               '--token-auth-file', DIRECTORY + '/tokens.csv', *flags], stdout=log, stderr=log,
                              env={**os.environ, 'LD_PRELOAD': DIRECTORY + '/slow.so', 'SLOW_DELAY': DIRECTORY + '/delay'})
    while True:
        try:
            if ask('GET', '/readyz')[0] == 200:
                return server
        except OSError:
            time.sleep(0.02)


class Watch(threading.Thread):
    """Reads to the end of its stream; `error` tells of one that was cut."""

    def __init__(self):
        super().__init__()
        self.error, self.ended = '', 0.0
        c = connect()
        c.request('GET', PATH + '?watch=1', headers=TOKEN)
        self.answer, self.connection = c.getresponse(), c
        self.start()

    def run(self):
        try:
            while self.answer.readline():
                pass
        except (OSError, http.client.HTTPException) as e:
            self.error = repr(e)
        self.ended = time.monotonic()


def check(what, fine):
    if not fine:
        sys.exit('not so: ' + what)


def end(server, watches):
    server.wait(60)
    check(f'an end in order: {server.returncode}', server.returncode == 0)
    for w in watches:
        w.join(10)
    check(f'all watches ended in order: {[w.error for w in watches if w.error][:3]}', not any(w.error or w.is_alive() for w in watches))


def under_way(name, results):
    """A write that is waiting for the disk."""
    delay(2000)
    t = threading.Thread(target=lambda: results.append(put(name)))
    t.start()
    time.sleep(0.3)
    return t


with open(DIRECTORY + '/tokens.csv', 'w') as f:
    f.write('admintoken,admin,admin-uid,"system:masters"\n')

# Readiness goes first, then after the delay the port, then what runs; watches one after another.
server = start('--shutdown-delay-duration=1s', '--shutdown-watch-termination-grace-period=1s')
watches = [Watch() for _ in range(WATCHES)]
server.send_signal(signal.SIGTERM)
status, text = 0, ''
while status != 500:
    status, text, _ = ask('GET', '/readyz?verbose')
check(text, '[-]shutdown failed' in text)
check('it lives', ask('GET', '/livez')[0] == 200)
check('it serves', put('in-the-delay') == 201)
results = []
writing = under_way('late', results)
while True:
    try:
        ask('GET', '/livez')
        time.sleep(0.02)
    except OSError:
        break  # the port is closed
delay(0)
end(server, watches)
writing.join()
check(f'the write under way was answered: {results}', results == [201])
ends = sorted(w.ended for w in watches)
check(f'watches end over their grace: {ends[-1] - ends[0]:.2f} s', ends[-1] - ends[0] > 0.1)

# By default watches end at once.
server = start()
check('the late write is there', ask('GET', PATH + '/late')[0] == 200)
watches = [Watch() for _ in range(WATCHES)]
server.send_signal(signal.SIGTERM)
end(server, watches)

# New requests are told to come again while a write is under way.
server = start('--shutdown-send-retry-after')
watches, results, c = [Watch()], [], connect()
ask('GET', '/livez', c=c)
writing = under_way('later', results)
server.send_signal(signal.SIGTERM)
while True:
    status, text, headers = ask('GET', PATH)
    if status != 200:
        break
check(f'{status} {text}', status == 429 and headers['Retry-After'] == '5' and headers['Connection'] == 'close' and 'shutting down' in text)
check('health is told', ask('GET', '/livez')[0] == 200)
delay(0)
end(server, watches)
writing.join()
check(f'the write under way was answered: {results}', results == [201])
print('readiness, requests, watches and the port end in their order')
