// What programs do with the official JavaScript client: list, write, watch, follow by an informer, run a command in a pod, read its log.
// Ends with 0 if all of it worked. Arguments: an image that has a shell.
import * as k8s from '@kubernetes/client-node';
import { PassThrough } from 'node:stream';
import assert from 'node:assert/strict';

const image = process.argv[2];
const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const apps = config.makeApiClient(k8s.AppsV1Api);
const namespace = 'default';

// A promise of the first call that satisfies; the limit only ends a broken run.
function first(subscribe, what) {
  return new Promise((resolve, reject) => {
    const limit = setTimeout(() => reject(new Error(`nothing came: ${what}`)), 40_000);
    subscribe((value) => {
      clearTimeout(limit);
      resolve(value);
    }, reject);
  });
}

const nodes = await core.listNode();
assert.equal(nodes.items.length, 1);

// A watch sees a ConfigMap's whole life in order.
const seen = [];
const watch = new k8s.Watch(config);
let controller;
const life = first((done, failed) => {
  watch
    .watch(`/api/v1/namespaces/${namespace}/configmaps`, { fieldSelector: 'metadata.name=js' },
      (type, object) => {
        seen.push(`${type} ${object.data?.n}`);
        if (type === 'DELETED') done();
      }, (error) => error && error.name !== 'AbortError' && failed(error))
    .then((c) => (controller = c));
}, 'the deletion of a ConfigMap');
await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'js' }, data: { n: '1' } } });
const read = await core.readNamespacedConfigMap({ name: 'js', namespace });
read.data.n = '2';
const replaced = await core.replaceNamespacedConfigMap({ name: 'js', namespace, body: read });
// The version that was replaced is refused from now on.
await assert.rejects(core.replaceNamespacedConfigMap({ name: 'js', namespace, body: read }), (e) => e.code === 409);
await core.patchNamespacedConfigMap({ name: 'js', namespace, body: [{ op: 'replace', path: '/data/n', value: '3' }] });
await core.deleteNamespacedConfigMap({ name: 'js', namespace });
await life;
controller.abort();
assert.deepEqual(seen, ['ADDED 1', 'MODIFIED 2', 'MODIFIED 3', 'DELETED 3']);
assert.notEqual(replaced.metadata.resourceVersion, read.metadata.resourceVersion);

// An informer follows a Deployment's pods until both are ready.
const list = () => core.listNamespacedPod({ namespace, labelSelector: 'app=js' });
const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/pods`, list, 'app=js');
const ready = new Set();
const both = first((done, failed) => {
  const look = (pod) => {
    const is = pod.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True');
    is ? ready.add(pod.metadata.name) : ready.delete(pod.metadata.name);
    if (ready.size === 2) done();
  };
  informer.on('add', look);
  informer.on('update', look);
  informer.on('error', failed);
}, 'two ready pods');
await informer.start();
const container = { name: 'c', image, command: ['sh', '-c', 'echo hello from the log; exec sleep 3600'] };
await apps.createNamespacedDeployment({
  namespace,
  body: {
    metadata: { name: 'js' },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: 'js' } },
      template: { metadata: { labels: { app: 'js' } }, spec: { terminationGracePeriodSeconds: 0, containers: [container] } },
    },
  },
});
await both;
const pod = [...ready][0];

// A command with input, output and a status.
const stdout = new PassThrough(), stdin = new PassThrough();
let output = '';
stdout.on('data', (d) => (output += d));
const status = await first((done, failed) => {
  new k8s.Exec(config)
    .exec(namespace, pod, 'c', ['sh', '-c', 'read line; echo "got $line"; exit 3'], stdout, null, stdin, false, done)
    .catch(failed);
  stdin.write('a line\n');
}, 'the status of a command');
assert.equal(output, 'got a line\n');
assert.equal(status.status, 'Failure');
assert.equal(status.details.causes.find((c) => c.reason === 'ExitCode').message, '3');

assert.equal(await core.readNamespacedPodLog({ name: pod, namespace, container: 'c' }), 'hello from the log\n');

await apps.deleteNamespacedDeployment({ name: 'js', namespace, propagationPolicy: 'Foreground' });
await informer.stop();
console.log('the JavaScript client works');
