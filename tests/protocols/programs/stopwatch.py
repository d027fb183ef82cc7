# SPDX-License-Identifier: Apache-2.0
"""What the clients beside this file share: the truth of a run, and threads that ask for a while."""
import json
import threading
import time


class Truth:
    def __init__(self):
        self.count = self.errors = 0
        self.latency, self.duration = [], []
        self.lock = threading.Lock()

    def add(self, begin, first, last):
        with self.lock:
            self.count += 1
            self.latency.append(first - begin)
            self.duration.append(last - begin)

    def fail(self):
        with self.lock:
            self.errors += 1

    def print(self):
        print(json.dumps({"count": self.count, "errors": self.errors, "latency": self.latency,
                          "duration": self.duration}))


def run(connections, body, truth):
    """Runs body(truth) on as many threads, and prints the truth."""
    threads = [threading.Thread(target=body, args=(truth,)) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    truth.print()


def until(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
