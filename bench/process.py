"""Rows about the program itself: size, start, memory and CPU when nothing happens."""
import os
import subprocess
import tempfile
import time

import lib

IDLE_SECONDS = 20


def size():
    with tempfile.NamedTemporaryFile() as f:
        subprocess.run(["strip", "-o", f.name, lib.KM], check=True)
        lib.report("size", "MB stripped", os.path.getsize(f.name) / 1e6, "under 30")


def start():
    times = []
    for _ in range(5):
        with lib.Server("server") as s:
            times.append(s.started)
    lib.report("start", "s to /readyz, empty store, median of 5", sorted(times)[2], "under 0.25", worst=max(times))


def idle():
    with lib.Server("server") as s:
        time.sleep(5)
        before = s.cpu_seconds()
        time.sleep(IDLE_SECONDS)
        lib.report("idle", "MB resident, km server", s.rss_mb(), "under 40", cpu_percent=(s.cpu_seconds() - before) / IDLE_SECONDS * 100)


ROWS = {"size": size, "start": start, "idle": idle}
