"""Asks an HTTP server again and again over several connections at once, a new one for each request, until the
file named last exists, its folder is gone, or two minutes have passed.

load.py URL CONNECTIONS TEXT STOP-FILE     prints "N requests, M failed" and up to ten failures; exit 1 if any failed
"""
import http.client
import os
import sys
import threading
import time
import urllib.parse

url, connections, text, stop = urllib.parse.urlparse(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode(), sys.argv[4]
done, failures = [0] * connections, []
end = time.time() + 120


def over():
    return os.path.exists(stop) or not os.path.exists(os.path.dirname(stop)) or time.time() > end


def ask(i):
    while not over():
        begin = time.time()
        try:
            c = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=3)
            c.request("GET", url.path or "/")
            r = c.getresponse()
            body = r.read()
            c.close()
            if r.status != 200 or text not in body:
                failures.append("%.3f after %.3f s: status %d %r" % (begin, time.time() - begin, r.status, body[:60]))
        except OSError as e:
            failures.append("%.3f after %.3f s: %r" % (begin, time.time() - begin, e))
        except http.client.HTTPException as e:
            failures.append("%.3f after %.3f s: %r" % (begin, time.time() - begin, e))
        done[i] += 1


threads = [threading.Thread(target=ask, args=(i,)) for i in range(connections)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print("%d requests, %d failed" % (sum(done), len(failures)))
for f in failures[:10]:
    print("  " + f)
sys.exit(1 if failures else 0)
