"""A watcher that keeps account of what it is told, for tests that break connections and servers under it."""
import http.client
import json
import random
import re
import threading
import time

VERSION = re.compile(rb'"resourceVersion":"(\d+)"')
NAME = re.compile(rb'"name":"([^"]+)"')
VALUE = re.compile(rb'"data":\{(?:"pad":"[^"]*",)?"v":"([^"]*)"')
TYPE = re.compile(rb'^\{"type":"([A-Z]+)"')


class Watcher(threading.Thread):
    """Lists ConfigMaps, then follows them for ever: after a lost connection from the last version seen, after 410 by a new list. Faults end it.

    spans: what was told without a gap: (the version it began after, [versions]). state: {name: value}. `hangup`: how likely it drops its
    connection after an event."""

    def __init__(self, connect, path, headers, hangup=0.0):
        super().__init__(daemon=True)
        self.connect, self.path, self.headers, self.hangup = connect, path, headers, hangup
        self.state, self.spans, self.version, self.fault = {}, [], 0, ''
        self.lists = self.connections = 0
        self.changed = threading.Condition()
        self.ended = False

    def run(self):
        gone = True
        while not self.ended and not self.fault:
            try:
                if gone:
                    self.list()
                gone = self.follow()
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.01)  # the server is not there: nothing tells when it is

    def list(self):
        c = self.connect()
        c.request('GET', self.path, headers=self.headers)
        answer = c.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise OSError(answer.status)
        found = json.loads(body)
        with self.changed:
            self.version = int(found['metadata']['resourceVersion'])
            self.state = {o['metadata']['name']: o.get('data', {}).get('v', '') for o in found['items']}
            self.spans.append((self.version, []))
            self.lists += 1
            self.changed.notify_all()

    def follow(self):
        """Until the connection ends; True if the version is too old."""
        c = self.connect()
        c.request('GET', f'{self.path}?watch=1&resourceVersion={self.version}', headers=self.headers)
        answer = c.getresponse()
        self.connections += 1
        if answer.status == 410:
            return True
        if answer.status != 200:
            raise OSError(answer.status)
        while not self.ended:
            line = answer.readline()
            if not line.endswith(b'\n'):
                return False
            if line.startswith(b'{"type":"ERROR"'):
                return b'"code":410' in line
            self.take(line)
            if self.fault or random.random() < self.hangup:
                c.close()
                return False
        return False

    def take(self, line):
        kind, version, name = TYPE.search(line)[1], int(VERSION.search(line)[1]), NAME.search(line)[1].decode()
        with self.changed:
            if version <= self.version:
                self.fault = f'{kind} of {name} at {version} after {self.version}'
            if (kind == b'ADDED') == (name in self.state):
                self.fault = f'{kind} of {name}, which is {"there" if name in self.state else "not there"}'
            if kind == b'DELETED':
                self.state.pop(name, None)
            else:
                found = VALUE.search(line)
                self.state[name] = found[1].decode() if found else ''
            self.version = version
            self.spans[-1][1].append(version)
            self.changed.notify_all()

    def began(self, seconds=60):
        """The version of its first list."""
        with self.changed:
            self.changed.wait_for(lambda: self.spans or self.fault, seconds)
            return self.spans[0][0]

    def reach(self, version, seconds=60):
        """Whether it has seen this version in time."""
        with self.changed:
            return self.changed.wait_for(lambda: self.version >= version or self.fault, seconds) and not self.fault


def compare(watchers):
    """All versions that anybody was told; faults where one watcher was not told within its span what another was."""
    everything = sorted({v for w in watchers for _, versions in w.spans for v in versions})
    faults = [w.fault for w in watchers if w.fault]
    for i, w in enumerate(watchers):
        for begin, versions in w.spans:
            end = versions[-1] if versions else begin
            expected = [v for v in everything if begin < v <= end]
            if versions != expected:
                missing, twice = sorted(set(expected) - set(versions)), len(versions) - len(set(versions))
                faults.append(f'watcher {i} after {begin}: {len(missing)} missing {missing[:5]}, {twice} twice')
    return everything, faults
