"""Every kind's life as the API operations of the conformance suite go through it, where no pod must run: lifecycles.py PORT.

Each kind: found in discovery, watched while it is created, got, listed in its namespace and in all, patched, replaced, its status patched and
replaced, deleted, and deleted as a collection by label; the watch must have seen each change once.
"""
import http.client
import json
import ssl
import sys
import threading

PORT = int(sys.argv[1])
TLS = ssl._create_unverified_context()
NS = 'lives'
META = 'application/merge-patch+json'

# path, kind, body besides metadata, what an update changes (path, value), status to patch
POD_SPEC = {'schedulerName': 'nobody', 'containers': [{'name': 'c', 'image': 'registry.k8s.io/pause:3.10'}]}
TEMPLATE = {'metadata': {'labels': {'app': 'x'}}, 'spec': POD_SPEC}
CONDITION = {'type': 'StatusUpdate', 'status': 'True', 'reason': 'E2E', 'message': 'Set from e2e test', 'lastTransitionTime': '2026-01-01T00:00:00Z'}
KINDS = [
    ('api/v1', 'configmaps', 'ConfigMap', {'data': {'a': '1'}}, ('data', {'a': '2'}), None),
    ('api/v1', 'secrets', 'Secret', {'data': {'a': 'MQ=='}}, ('data', {'a': 'Mg=='}), None),
    ('api/v1', 'serviceaccounts', 'ServiceAccount', {}, ('automountServiceAccountToken', False), None),
    ('api/v1', 'podtemplates', 'PodTemplate', {'template': TEMPLATE}, None, None),
    ('api/v1', 'services', 'Service', {'spec': {'type': 'LoadBalancer', 'ports': [{'port': 80}]}}, ('spec.ports', [{'port': 81, 'protocol': 'TCP', 'targetPort': 81}]),
     {'loadBalancer': {'ingress': [{'ip': '203.0.113.1'}]}}),
    ('api/v1', 'endpoints', 'Endpoints', {'subsets': [{'addresses': [{'ip': '10.0.0.24'}], 'ports': [{'name': 'http', 'port': 80}]}]},
     ('subsets', [{'addresses': [{'ip': '10.0.0.25'}], 'ports': [{'name': 'http', 'port': 8080}]}]), None),
    ('api/v1', 'events', 'Event', {'involvedObject': {'namespace': NS}, 'reason': 'Test', 'message': 'a'}, ('message', 'b'), None),
    ('api/v1', 'limitranges', 'LimitRange', {'spec': {'limits': [{'type': 'Container', 'default': {'cpu': '500m'}}]}}, None, None),
    ('api/v1', 'resourcequotas', 'ResourceQuota', {'spec': {'hard': {'cpu': '1'}}}, ('spec.hard', {'cpu': '2'}), {'hard': {'cpu': '2'}}),
    ('api/v1', 'persistentvolumeclaims', 'PersistentVolumeClaim',
     {'spec': {'accessModes': ['ReadWriteOnce'], 'storageClassName': 'none', 'resources': {'requests': {'storage': '1Mi'}}}}, None,
     {'conditions': [dict(CONDITION)]}),
    ('api/v1', 'persistentvolumes', 'PersistentVolume',
     {'spec': {'capacity': {'storage': '1Mi'}, 'accessModes': ['ReadWriteOnce'], 'hostPath': {'path': '/tmp'}}}, None, {'message': 'StatusUpdated'}),
    ('api/v1', 'replicationcontrollers', 'ReplicationController', {'spec': {'replicas': 0, 'selector': {'app': 'x'}, 'template': TEMPLATE}},
     ('spec.minReadySeconds', 1), {'conditions': [dict(CONDITION)]}),
    ('api/v1', 'pods', 'Pod', {'spec': POD_SPEC}, ('spec.activeDeadlineSeconds', 600), {'conditions': [dict(CONDITION)]}),
    ('apis/apps/v1', 'deployments', 'Deployment', {'spec': {'replicas': 0, 'selector': {'matchLabels': {'app': 'x'}}, 'template': TEMPLATE}},
     ('spec.minReadySeconds', 1), {'conditions': [dict(CONDITION)]}),
    ('apis/apps/v1', 'replicasets', 'ReplicaSet', {'spec': {'replicas': 0, 'selector': {'matchLabels': {'app': 'x'}}, 'template': TEMPLATE}},
     ('spec.minReadySeconds', 1), {'conditions': [dict(CONDITION)]}),
    ('apis/apps/v1', 'statefulsets', 'StatefulSet',
     {'spec': {'replicas': 0, 'serviceName': 's', 'selector': {'matchLabels': {'app': 'x'}}, 'template': TEMPLATE}}, ('spec.minReadySeconds', 1),
     {'replicas': 0, 'conditions': [dict(CONDITION)]}),
    ('apis/apps/v1', 'daemonsets', 'DaemonSet', {'spec': {'selector': {'matchLabels': {'app': 'x'}}, 'template': {
        'metadata': {'labels': {'app': 'x'}}, 'spec': dict(POD_SPEC, nodeSelector={'no': 'where'})}}}, ('spec.minReadySeconds', 1),
     {'conditions': [dict(CONDITION)]}),
    ('apis/apps/v1', 'controllerrevisions', 'ControllerRevision', {'data': {'a': 'b'}, 'revision': 1}, ('revision', 2), None),
    ('apis/batch/v1', 'jobs', 'Job', {'spec': {'suspend': True, 'template': {'spec': dict(POD_SPEC, restartPolicy='Never')}}}, ('spec.parallelism', 2),
     {'conditions': [dict(CONDITION)]}),
    ('apis/batch/v1', 'cronjobs', 'CronJob', {'spec': {'schedule': '0 0 1 1 *', 'jobTemplate': {'spec': {'template': {
        'spec': dict(POD_SPEC, restartPolicy='OnFailure')}}}}}, ('spec.suspend', True), {'lastScheduleTime': '2026-01-01T00:00:00Z'}),
    ('apis/autoscaling/v2', 'horizontalpodautoscalers', 'HorizontalPodAutoscaler',
     {'spec': {'maxReplicas': 3, 'scaleTargetRef': {'apiVersion': 'apps/v1', 'kind': 'Deployment', 'name': 'x'}}}, ('spec.maxReplicas', 4),
     {'currentReplicas': 1, 'desiredReplicas': 1}),
    ('apis/policy/v1', 'poddisruptionbudgets', 'PodDisruptionBudget', {'spec': {'minAvailable': 1, 'selector': {'matchLabels': {'app': 'no'}}}},
     ('spec.minAvailable', 2), {'observedGeneration': 1, 'disruptionsAllowed': 0, 'currentHealthy': 0, 'desiredHealthy': 1, 'expectedPods': 0}),
    ('apis/networking.k8s.io/v1', 'ingresses', 'Ingress', {'spec': {'defaultBackend': {'service': {'name': 'd', 'port': {'number': 80}}}}},
     ('spec.ingressClassName', 'c'), {'loadBalancer': {'ingress': [{'ip': '169.1.1.1'}]}}),
    ('apis/networking.k8s.io/v1', 'ingressclasses', 'IngressClass', {'spec': {'controller': 'example.com/c'}}, None, None),
    ('apis/networking.k8s.io/v1', 'networkpolicies', 'NetworkPolicy', {'spec': {'podSelector': {}}}, ('spec.policyTypes', ['Ingress', 'Egress']), None),
    ('apis/networking.k8s.io/v1', 'servicecidrs', 'ServiceCIDR', {'spec': {'cidrs': ['10.200.0.0/24']}}, None, None),
    ('apis/networking.k8s.io/v1', 'ipaddresses', 'IPAddress', {'spec': {'parentRef': {'group': '', 'resource': 'services', 'namespace': NS, 'name': 'no'}}},
     None, None),
    ('apis/discovery.k8s.io/v1', 'endpointslices', 'EndpointSlice', {'addressType': 'IPv4', 'endpoints': [{'addresses': ['1.2.3.4']}]},
     ('endpoints', [{'addresses': ['1.2.3.5']}]), None),
    ('apis/coordination.k8s.io/v1', 'leases', 'Lease', {'spec': {'leaseDurationSeconds': 30}}, ('spec.leaseDurationSeconds', 40), None),
    ('apis/events.k8s.io/v1', 'events', 'Event', {'regarding': {'namespace': NS}, 'reportingController': 'a', 'reportingInstance': 'i', 'action': 'Do',
     'reason': 'Test', 'type': 'Normal', 'note': 'n', 'eventTime': '2026-01-01T00:00:00.000000Z'},
     ('series', {'count': 2, 'lastObservedTime': '2026-01-01T00:00:01.000000Z'}), None),
    ('apis/rbac.authorization.k8s.io/v1', 'roles', 'Role', {'rules': [{'apiGroups': [''], 'resources': ['pods'], 'verbs': ['get']}]},
     ('rules', [{'apiGroups': [''], 'resources': ['pods'], 'verbs': ['list']}]), None),
    ('apis/rbac.authorization.k8s.io/v1', 'rolebindings', 'RoleBinding', {'roleRef': {'apiGroup': 'rbac.authorization.k8s.io', 'kind': 'Role', 'name': 'r'}},
     ('subjects', [{'kind': 'User', 'name': 'u', 'apiGroup': 'rbac.authorization.k8s.io'}]), None),
    ('apis/rbac.authorization.k8s.io/v1', 'clusterroles', 'ClusterRole', {'rules': []}, ('rules', [{'nonResourceURLs': ['/x'], 'verbs': ['get']}]), None),
    ('apis/rbac.authorization.k8s.io/v1', 'clusterrolebindings', 'ClusterRoleBinding',
     {'roleRef': {'apiGroup': 'rbac.authorization.k8s.io', 'kind': 'ClusterRole', 'name': 'r'}}, None, None),
    ('apis/scheduling.k8s.io/v1', 'priorityclasses', 'PriorityClass', {'value': 10}, ('description', 'd'), None),
    ('apis/node.k8s.io/v1', 'runtimeclasses', 'RuntimeClass', {'handler': 'h'}, None, None),
    ('apis/storage.k8s.io/v1', 'storageclasses', 'StorageClass', {'provisioner': 'e2e/p'}, ('allowVolumeExpansion', True), None),
    ('apis/storage.k8s.io/v1', 'csidrivers', 'CSIDriver', {'spec': {}}, ('spec.requiresRepublish', True), None),
    ('apis/storage.k8s.io/v1', 'csinodes', 'CSINode', {'spec': {'drivers': []}}, None, None),
    ('apis/storage.k8s.io/v1', 'csistoragecapacities', 'CSIStorageCapacity', {'storageClassName': 's', 'capacity': '1Gi'}, ('capacity', '2Gi'), None),
    ('apis/storage.k8s.io/v1', 'volumeattachments', 'VolumeAttachment',
     {'spec': {'attacher': 'a', 'nodeName': 'n1', 'source': {'persistentVolumeName': 'pv'}}}, None, {'attached': True}),
    ('apis/storage.k8s.io/v1', 'volumeattributesclasses', 'VolumeAttributesClass', {'driverName': 'd', 'parameters': {'a': 'b'}}, None, None),
    ('apis/flowcontrol.apiserver.k8s.io/v1', 'flowschemas', 'FlowSchema',
     {'spec': {'matchingPrecedence': 10000, 'priorityLevelConfiguration': {'name': 'global-default'}}}, ('spec.matchingPrecedence', 9999),
     {'conditions': [{'type': 'foo', 'status': 'True', 'reason': 'r', 'message': 'm', 'lastTransitionTime': '2026-01-01T00:00:00Z'}]}),
    ('apis/flowcontrol.apiserver.k8s.io/v1', 'prioritylevelconfigurations', 'PriorityLevelConfiguration',
     {'spec': {'type': 'Limited', 'limited': {'nominalConcurrencyShares': 2, 'limitResponse': {'type': 'Reject'}}}},
     ('spec.limited.nominalConcurrencyShares', 4), {'conditions': [{'type': 'foo', 'status': 'True', 'reason': 'r', 'message': 'm',
                                                                    'lastTransitionTime': '2026-01-01T00:00:00Z'}]}),
    ('apis/certificates.k8s.io/v1', 'certificatesigningrequests', 'CertificateSigningRequest', None, None, None),
    ('apis/admissionregistration.k8s.io/v1', 'validatingwebhookconfigurations', 'ValidatingWebhookConfiguration', {'webhooks': []}, None, None),
    ('apis/admissionregistration.k8s.io/v1', 'mutatingwebhookconfigurations', 'MutatingWebhookConfiguration', {'webhooks': []}, None, None),
    ('apis/admissionregistration.k8s.io/v1', 'validatingadmissionpolicybindings', 'ValidatingAdmissionPolicyBinding',
     {'spec': {'policyName': 'p', 'validationActions': ['Deny']}}, None, None),
    ('apis/apiregistration.k8s.io/v1', 'apiservices', 'APIService',
     {'spec': {'group': 'e2e.example.com', 'version': 'v1', 'groupPriorityMinimum': 100, 'versionPriority': 10, 'insecureSkipTLSVerify': True,
               'service': {'namespace': NS, 'name': 'sample', 'port': 443}}}, ('spec.versionPriority', 11), {'conditions': [
                   {'type': 'StatusUpdated', 'status': 'True', 'reason': 'E2E', 'message': 'Set by e2e test'}]}),
    ('apis/resource.k8s.io/v1', 'deviceclasses', 'DeviceClass', {'spec': {}}, None, None),
]
FIXED_NAMES = {'ipaddresses': '10.96.200.{}', 'apiservices': 'v1.e2e{}.example.com'}
wrong = []


class Server:
    def __init__(self):
        self.connection = http.client.HTTPSConnection('127.0.0.1', PORT, context=TLS)

    def ask(self, method, path, body=None, content='application/json'):
        data = json.dumps(body) if body is not None else None
        self.connection.request(method, path, data, {'Authorization': 'Bearer admintoken', 'Content-Type': content})
        answer = self.connection.getresponse()
        text = answer.read().decode()
        return answer.status, json.loads(text) if text.startswith('{') else text


def check(kind, what, holds, told=''):
    if not holds:
        wrong.append(f'{kind}: {what}')
        print(f'WRONG {kind}: {what}: {str(told)[:600]}')


class Watch(threading.Thread):
    """Counts the events of one object until it is deleted."""

    def __init__(self, path, name):
        super().__init__()
        self.connection = http.client.HTTPSConnection('127.0.0.1', PORT, context=TLS, timeout=20)
        self.connection.request('GET', f'{path}?watch=1&timeoutSeconds=15&labelSelector=life%3D{name}', headers={'Authorization': 'Bearer admintoken'})
        self.answer = self.connection.getresponse()
        self.events = []
        self.start()

    def run(self):
        for line in self.answer:
            event = json.loads(line)
            self.events.append(event['type'])
            if event['type'] == 'DELETED':
                break
        self.connection.close()


def at(o, path, value):
    *parents, last = path.split('.')
    for p in parents:
        o = o[p]
    o[last] = value


def covers(o, part):
    """Whether an answer says all that the part says."""
    if isinstance(part, dict):
        return isinstance(o, dict) and all(k in o and covers(o[k], v) for k, v in part.items())
    if isinstance(part, list):
        return isinstance(o, list) and len(o) >= len(part) and all(covers(x, y) for x, y in zip(o, part))
    return o == part


def without_version(o):
    o['metadata'].pop('resourceVersion', None)
    return o


def life(s, base, plural, kind, body, change, status):
    code, found = s.ask('GET', '/' + base)
    entry = next((r for r in found.get('resources', []) if r['name'] == plural), None)
    check(kind, 'is in discovery', entry is not None, found)
    if entry is None:
        return
    root = f'/{base}/namespaces/{NS}/{plural}' if entry['namespaced'] else f'/{base}/{plural}'
    form = FIXED_NAMES.get(plural, plural + '-{}')

    def made(n, label):
        o = json.loads(json.dumps(body))
        o.update(apiVersion='/'.join(base.split('/')[1:]), kind=kind, metadata={'name': form.format(n), 'labels': {'life': label}})
        if plural == 'apiservices':
            o['spec']['group'] = f'e2e{n}.example.com'
        if plural == 'servicecidrs':
            o['spec']['cidrs'] = [f'10.20{n}.0.0/24']
        return o

    label = f'{plural}-one'
    watch = Watch(root, label)
    code, created = s.ask('POST', root, made(1, label))
    check(kind, 'is created', code == 201, created)
    if code != 201:
        watch.connection.sock.close()
        return
    one = root + '/' + form.format(1)
    changes = 1
    code, got = s.ask('GET', one)
    check(kind, 'is got as created', code == 200 and got['metadata']['uid'] == created['metadata']['uid'], got)
    for path in {root, f'/{base}/{plural}'}:
        code, listed = s.ask('GET', f'{path}?labelSelector=life%3D{label}')
        check(kind, 'is listed at ' + path, code == 200 and len(listed['items']) == 1, listed)
    code, patched = s.ask('PATCH', one, {'metadata': {'annotations': {'patched': 'true'}}}, META)
    check(kind, 'is patched', code == 200 and patched['metadata']['annotations']['patched'] == 'true', patched)
    if change:
        for _ in range(5):
            code, now = s.ask('GET', one)
            at(now, *change)
            now['metadata']['annotations']['updated'] = 'true'
            code, updated = s.ask('PUT', one, now)
            if code != 409:
                break
        check(kind, 'is replaced', code == 200 and updated['metadata']['annotations'].get('updated') == 'true', updated)
    if status is not None:
        code, patched = s.ask('PATCH', one + '/status', {'metadata': {'annotations': {'patchedstatus': 'true'}}, 'status': status}, META)
        check(kind, "'s status is patched", code == 200 and covers(patched.get('status'), status), patched)
        code, got = s.ask('GET', one + '/status')
        check(kind, "'s status is got", code == 200 and got['kind'] == kind, got)
        for _ in range(5):
            code, now = s.ask('GET', one)
            now.setdefault('status', {}).update(status)
            code, updated = s.ask('PUT', one + '/status', now)
            if code != 409:
                break
        check(kind, "'s status is replaced", code == 200 and covers(updated.get('status'), status), updated)
    code, answer = s.ask('DELETE', one, {'gracePeriodSeconds': 0, 'kind': 'DeleteOptions', 'apiVersion': 'v1', 'propagationPolicy': 'Background'})
    check(kind, 'is deleted', code in (200, 202), answer)
    if code in (200, 202) and (answer.get('metadata') or {}).get('finalizers'):
        s.ask('PATCH', one, {'metadata': {'finalizers': None}}, META)
    watch.join()
    check(kind, 'is watched through its life', watch.events[:1] == ['ADDED'] and watch.events[-1:] == ['DELETED'] and watch.events.count('DELETED') == 1
          and watch.events.count('MODIFIED') >= changes, watch.events)
    label = f'{plural}-many'
    for n in (2, 3, 4):
        code, answer = s.ask('POST', root, made(n, label))
        check(kind, 'is created again', code == 201, answer)
    code, answer = s.ask('DELETE', f'{root}?labelSelector=life%3D{label}', {'gracePeriodSeconds': 0, 'kind': 'DeleteOptions', 'apiVersion': 'v1'})
    if 'deletecollection' in entry['verbs']:
        check(kind, 'is deleted as a collection', code == 200, answer)
    for _ in range(100):
        code, listed = s.ask('GET', f'{root}?labelSelector=life%3D{label}')
        held = [o for o in listed['items'] if o['metadata'].get('finalizers')]
        for o in held:
            s.ask('PATCH', f"{root}/{o['metadata']['name']}", {'metadata': {'finalizers': None}}, META)
        if not listed['items']:
            break
    check(kind, 'is gone', not listed['items'], listed)


def main():
    s = Server()
    code, answer = s.ask('POST', '/api/v1/namespaces', {'metadata': {'name': NS}})
    assert code in (201, 409), answer
    only = sys.argv[2:]
    count = 0
    for base, plural, kind, body, change, status in KINDS:
        if body is None or (only and plural not in only):
            continue
        life(s, base, plural, kind, body, change, status)
        count += 1
    print(f'{count} kinds, {len(wrong)} wrong')
    sys.exit(1 if wrong else 0)


main()
