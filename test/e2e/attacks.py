"""Requests that are meant to harm: attacks.py PORT PID LOG. Each is refused, nothing reaches what it should not, memory stays bounded, and
another client goes on being served."""
import gzip
import http.client
import json
import socket
import ssl
import struct
import sys

PORT, PID, LOG = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
ADMIN = 'Authorization: Bearer admintoken\r\n'
SECRET = 'c2VjcmV0LXZhbHVl'  # of a Secret; must not stand in the log
FAULTS = []


def check(what, ok, seen=''):
    if not ok:
        FAULTS.append(f'{what}: {seen!r}'[:400])


def connect(alpn):
    tls = ssl._create_unverified_context()
    tls.set_alpn_protocols([alpn])
    return tls.wrap_socket(socket.create_connection(('127.0.0.1', PORT), timeout=20))


def ask(method, path, body=None, headers=None):
    c = http.client.HTTPSConnection('127.0.0.1', PORT, context=ssl._create_unverified_context(), timeout=30)
    c.request(method, path, body, {'Authorization': 'Bearer admintoken', 'Content-Type': 'application/json', **(headers or {})})
    r = c.getresponse()
    return r.status, r.read()


def memory():
    with open(f'/proc/{PID}/status', encoding='ascii') as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith('VmRSS'))


def raw(text):
    """What comes back on one HTTP/1.1 connection until the server closes it or is quiet."""
    s = connect('http/1.1')
    s.settimeout(3)
    out = b''
    try:
        s.sendall(text.encode('latin-1') if isinstance(text, str) else text)
        while True:
            piece = s.recv(65536)
            if not piece:
                break
            out += piece
    except (OSError, ssl.SSLError):
        pass
    s.close()
    return out.decode('latin-1')


def codes(answer):
    return [line.split()[1] for line in answer.split('\r\n') if line.startswith('HTTP/1.')]


def smuggling():
    """Two ways to read a request's length are none: no second request may come out of a body."""
    hidden = f'GET /api/v1/namespaces/default/secrets HTTP/1.1\r\nHost: x\r\n{ADMIN}\r\n'
    post = f'POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\n{ADMIN}Content-Type: application/json\r\n'
    for what, head in {
            'length and chunks': f'Content-Length: {len(hidden)}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}',
            'two lengths': f'Content-Length: 0\r\nContent-Length: {len(hidden)}\r\n\r\n{hidden}',
            'length with a sign': f'Content-Length: +{len(hidden)}\r\n\r\n{hidden}',
            'length in a list': f'Content-Length: 0, {len(hidden)}\r\n\r\n{hidden}',
            'chunks twice': f'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}',
            'chunks that are not last': f'Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}',
            'a blank before the colon': f'Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{hidden}',
            'a folded header': f'X-A: b\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{hidden}',
            'a chunk size that overflows': f'Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n{hidden}',
            'a line feed alone in the name': f'X-A\n: b\r\nContent-Length: 0\r\n\r\n{hidden}',
    }.items():
        answer = raw(post + head)
        check(f'smuggling by {what}', 'SecretList' not in answer and codes(answer)[:1] in ([], ['400'], ['501']), answer)
    for what, request in {
            'a NUL in a header': f'GET /api HTTP/1.1\r\nHost: x\r\n{ADMIN}X-A: b\0c\r\n\r\n',
            'no version': f'GET /api\r\n{ADMIN}\r\n',
            'a version to come': f'GET /api HTTP/3.0\r\nHost: x\r\n{ADMIN}\r\n',
            'a method of noise': f'G\x01T /api HTTP/1.1\r\nHost: x\r\n{ADMIN}\r\n',
    }.items():
        answer = raw(request)
        check(what, codes(answer) in ([], ['400'], ['505']), answer)


def paths():
    """However a path is written, rights are asked for what is answered."""
    for path in ('/api/v1/namespaces/default/../kube-system/secrets', '/api/v1/namespaces/default/%2e%2e/kube-system/secrets', '//api/v1/secrets',
                 '/api//v1/secrets', '/api/v1/%73ecrets', '/API/v1/secrets', '/api/v1/secrets/', '/api/v1/secrets%00', '/api/v1/secrets;x=1',
                 '/healthz/../api/v1/secrets', '/version/%2e%2e/api/v1/secrets', '/openapi/../api/v1/secrets', '/api/v1/namespaces/default%2fsecrets',
                 '/readyz/%2e%2e/%2e%2e/metrics', '/livez\\..\\metrics', '/healthz?/metrics', '/%61pi/v1/secrets'):
        answer = raw(f'GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
        check(f'anonymous {path}', SECRET not in answer and 'SecretList' not in answer and 'process_cpu' not in answer, answer)


def headers():
    """Nobody becomes somebody by a header that only a proxy may send."""
    for given in ('X-Remote-User: admin\r\nX-Remote-Group: system:masters', 'Impersonate-User: admin\r\nImpersonate-Group: system:masters',
                  'X-Forwarded-User: admin', 'Authorization: Basic YWRtaW46YWRtaW4=', 'Authorization: Bearer admintoken, Bearer other',
                  'Authorization: bearer', 'Authorization:   ', 'X-Original-URL: /healthz', 'X-HTTP-Method-Override: GET'):
        answer = raw(f'GET /api/v1/secrets HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{given}\r\n\r\n')
        check(given, codes(answer) in (['403'], ['401']), answer)


def bodies():
    """Bombs: small things that would become large."""
    bomb = gzip.compress(b'{"a":"' + b'x' * 200_000_000 + b'"}')
    status, _ = ask('POST', '/api/v1/namespaces/default/configmaps', bomb, {'Content-Encoding': 'gzip'})
    check('a compressed body', status in (400, 413, 415), status)
    aliases = 'a: &a [x,x,x,x,x,x,x,x,x]\n' + ''.join(
        f'{b}: &{b} [*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a}]\n' for a, b in zip('abcdefgh', 'bcdefghi'))
    status, _ = ask('POST', '/api/v1/namespaces/default/configmaps', aliases, {'Content-Type': 'application/yaml'})
    check('a laugh of aliases', status == 400, status)
    deep = '{"metadata":{"name":"x"},"data":' + '{"a":' * 30_000 + '1' + '}' * 30_001
    check('a deep object', ask('POST', '/api/v1/namespaces/default/configmaps', deep)[0] == 400)
    check('a deep document', ask('POST', '/api/v1/namespaces/default/configmaps', 'a: ' + '[' * 100_000, {'Content-Type': 'application/yaml'})[0] == 400)
    # A message in a message in a message.
    proto = b''
    for _ in range(20_000):
        proto = b'\x0a' + varint(len(proto)) + proto
        if len(proto) > 60_000:
            break
    status, _ = ask('POST', '/api/v1/namespaces/default/pods', b'k8s\0' + proto, {'Content-Type': 'application/vnd.kubernetes.protobuf'})
    check('a deep message', status == 400, status)
    patch = json.dumps([{'op': 'copy', 'from': '', 'path': '/metadata/annotations/a'}] * 2000)
    ask('POST', '/api/v1/namespaces/default/configmaps', json.dumps({'metadata': {'name': 'grow', 'annotations': {}}, 'data': {'k': 'x' * 1000}}))
    status, _ = ask('PATCH', '/api/v1/namespaces/default/configmaps/grow', patch, {'Content-Type': 'application/json-patch+json'})
    check('a patch that doubles', status in (400, 413, 422), status)
    selector = 'a in (' + ','.join('x' * 60 for _ in range(20_000)) + ')'
    status, _ = ask('GET', '/api/v1/pods?labelSelector=' + selector.replace(' ', '%20'))
    check('a selector of a megabyte', status in (400, 414, 431), status)
    check('a thousand million of zeros', ask('POST', '/api/v1/namespaces/default/resourcequotas', json.dumps(
        {'metadata': {'name': 'q'}, 'spec': {'hard': {'pods': '1e999999999'}}}))[0] in (201, 400, 422))


def varint(n):
    out = b''
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def frame(kind, flags, stream, payload=b''):
    return struct.pack('>I', len(payload))[1:] + struct.pack('>BBI', kind, flags, stream) + payload


def literal(name, value):
    return b'\x00' + bytes([len(name)]) + name + bytes([len(value)]) + value


REQUEST = b''.join(literal(n, v) for n, v in ((b':method', b'GET'), (b':scheme', b'https'), (b':path', b'/api/v1/pods'), (b':authority', b'x')))
PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(4, 0, 0)


def flood(what, pieces):
    """Sends until the server has had enough, or all is sent; it must serve others meanwhile."""
    s = connect('h2')
    s.settimeout(5)
    sent = 0
    try:
        s.sendall(PREFACE)
        for piece in pieces:
            s.sendall(piece)
            sent += len(piece)
    except (OSError, ssl.SSLError):
        pass
    check(f'{what}: served others', ask('GET', '/readyz')[0] == 200)
    s.close()
    return sent


def streams():
    """HTTP/2 as it should not be spoken."""
    flood('resets at once', (frame(1, 5, 2 * i + 1, REQUEST) + frame(3, 0, 2 * i + 1, b'\0\0\0\x08') for i in range(100_000)))
    flood('settings', (frame(4, 0, 0, struct.pack('>HI', 4, 65_535 + i % 2)) * 100 for i in range(2000)))
    flood('pings', (frame(6, 0, 0, b'12345678') * 100 for _ in range(2000)))
    flood('empty frames', (frame(1, 4, 1, REQUEST) if i == 0 else frame(0, 0, 1) * 200 for i in range(2000)))
    flood('headers without an end', (frame(1, 0, 1, REQUEST) if i == 0 else frame(9, 0, 1, literal(b'x', b'y' * 100) * 100) for i in range(2000)))
    flood('priorities', (frame(2, 0, 2 * i + 1, b'\0\0\0\0\x10') * 50 for i in range(4000)))
    flood('windows', (frame(8, 0, 0, b'\0\0\0\x01') * 100 for _ in range(2000)))
    flood('streams that nobody reads', (frame(1, 5, 2 * i + 1, REQUEST) for i in range(5000)))


def main():
    status, _ = ask('POST', '/api/v1/namespaces/default/secrets', json.dumps({'metadata': {'name': 's'}, 'data': {'k': SECRET}}))
    assert status == 201, status
    before = memory()
    for attack in (smuggling, paths, headers, bodies, streams):
        attack()
        grown = memory() - before
        check(f'{attack.__name__}: memory', grown < 150_000, f'{grown} KiB more')
        print(f'{attack.__name__}: memory +{max(0, grown) // 1024} MiB')
    check('the server lives', ask('GET', '/api/v1/namespaces/default/secrets/s')[0] == 200)
    with open(LOG, encoding='utf-8', errors='replace') as log:
        text = log.read()
    for word in (SECRET, 'secret-value', 'admintoken', 'PRIVATE KEY'):
        check(f'{word} in the log', word not in text)
    for fault in FAULTS:
        print('FAILED', fault)
    sys.exit(1 if FAULTS else 0)


main()
