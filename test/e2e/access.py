"""Asks an API server every row of access.txt as the identity that it names: access.py PORT. The token is the administrator's, who impersonates."""
import http.client
import json
import os
import ssl
import sys
import time

PORT = int(sys.argv[1])
TLS = ssl._create_unverified_context()
MASTERS = 'system:masters'
IDENTITIES = {  # user, groups; None: no credentials
    'anonymous': None,
    'alice': ('alice', []),
    'account': ('system:serviceaccount:acc:default', ['system:serviceaccounts', 'system:serviceaccounts:acc']),
    'viewer': ('viewer', []),
    'editor': ('editor', []),
    'owner': ('owner', []),
    'root': ('root', [MASTERS]),
    'node': ('system:node:n1', ['system:nodes']),
    'scheduler': ('system:kube-scheduler', []),
    'manager': ('system:kube-controller-manager', []),
    'proxy': ('system:kube-proxy', []),
}
METHODS = {'get': 'GET', 'list': 'GET', 'create': 'POST', 'update': 'PUT', 'patch': 'PATCH', 'delete': 'DELETE', 'deletecollection': 'DELETE'}


class Server:
    def __init__(self):
        self.connection = http.client.HTTPSConnection('127.0.0.1', PORT, context=TLS)

    def ask(self, method, path, body=None, identity='root', content='application/json'):
        headers = {'Content-Type': content}
        who = IDENTITIES[identity]
        if who:
            headers['Authorization'] = 'Bearer admintoken'
            if identity != 'root':
                headers['Impersonate-User'] = who[0]
        self.connection.putrequest(method, path)
        for name, value in headers.items():
            self.connection.putheader(name, value)
        if who and identity != 'root':
            for group in who[1] + ['system:authenticated']:
                self.connection.putheader('Impersonate-Group', group)
        data = json.dumps(body).encode() if body is not None else b''
        self.connection.putheader('Content-Length', str(len(data)))
        self.connection.endheaders(data)
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode()


def rows():
    with open(os.path.join(os.path.dirname(__file__), 'access.txt'), encoding='utf-8') as lines:
        for line in lines:
            if line.strip() and not line.startswith('#'):
                identity, answer, scope, verbs, resources = line.split()
                for resource in resources.split(','):
                    for verb in verbs.split(','):
                        yield identity, answer, scope, verb, resource


def versions(server):
    """The preferred version of each group."""
    groups = json.loads(server.ask('GET', '/apis')[1])['groups']
    return {g['name']: g['preferredVersion']['groupVersion'] for g in groups}


def path_of(scope, verb, resource, groups):
    resource, _, name = resource.partition(':')
    resource, _, group = resource.partition('.')
    resource, _, sub = resource.partition('/')
    path = f'/apis/{groups[group]}' if group else '/api/v1'
    if scope != 'cluster':
        path += f'/namespaces/{scope}'
    path += f'/{resource}'
    if verb in ('get', 'update', 'patch', 'delete') or sub:
        path += f'/{name or "x"}'
    if sub:
        path += f'/{sub}'
    return path + ('' if verb in ('get', 'list') else '?dryRun=All')


def main():
    server = Server()
    for ns in ('acc', 'other', 'kube-node-lease'):
        server.ask('POST', '/api/v1/namespaces', {'metadata': {'name': ns}})
    for role, user in (('view', 'viewer'), ('edit', 'editor'), ('admin', 'owner')):
        status, text = server.ask('POST', '/apis/rbac.authorization.k8s.io/v1/namespaces/acc/rolebindings', {
            'metadata': {'name': role}, 'roleRef': {'apiGroup': 'rbac.authorization.k8s.io', 'kind': 'ClusterRole', 'name': role},
            'subjects': [{'apiGroup': 'rbac.authorization.k8s.io', 'kind': 'User', 'name': user}]})
        assert status == 201, text
    for name in ('n1', 'n2'):
        assert server.ask('POST', '/api/v1/nodes', {'metadata': {'name': name}})[0] == 201
    groups = versions(server)
    # The roles are put together by a controller.
    for role in ('view', 'edit', 'admin'):
        while not json.loads(server.ask('GET', f'/apis/rbac.authorization.k8s.io/v1/clusterroles/{role}')[1])['rules']:
            time.sleep(0.05)
    while server.ask('GET', '/api/v1/namespaces/acc/serviceaccounts/default')[0] != 200:
        time.sleep(0.05)
    wrong, count = [], 0
    for identity, answer, scope, verb, resource in rows():
        count += 1
        path = path_of(scope, verb, resource, groups)
        content = 'application/merge-patch+json' if verb == 'patch' else 'application/json'
        name = resource.partition(':')[2]
        body = {'metadata': {'name': name}} if name else {}
        status, text = server.ask(METHODS[verb], path, body if verb in ('create', 'update', 'patch') else None, identity, content)
        # Refused is refused by rights: whatever else is wrong with the request comes after them.
        refused = status == 403
        if status == 401 or refused != (answer == 'deny'):
            wrong.append(f'{identity} {verb} {resource} in {scope}: {status}, expected {answer}: {text[:200]}')
    for line in wrong:
        print(line)
    print(f'{count} rows, {len(wrong)} wrong')
    assert count >= 300
    sys.exit(1 if wrong else 0)


main()
