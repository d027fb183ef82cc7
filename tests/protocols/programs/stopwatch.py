# SPDX-License-Identifier: Apache-2.0
"""What the clients beside this file share: the truth of a run, and threads that ask for a while."""
import json
import threading
import time


class Truth:
    def __init__(self):
        self.count = self.errors = self.abandoned = 0
        self.latency_least, self.latency_most, self.duration, self.waits = [], [], [], []
        self.lock = threading.Lock()

    def add(self, begun, sending, sent, first, last):
        """Times: before the request's first byte, before and after the call that sent its last, of the answer's first byte
        and of its last. A busy machine may let the client wait before or after the byte left, so both are told."""
        with self.lock:
            self.count += 1
            self.latency_least.append(first - sent)
            self.latency_most.append(first - sending)
            self.duration.append(last - begun)

    def fail(self):
        with self.lock:
            self.errors += 1

    def give_up(self):
        with self.lock:
            self.abandoned += 1

    def print(self):
        print(json.dumps({"count": self.count, "errors": self.errors, "abandoned": self.abandoned,
                          "latency_least": self.latency_least, "latency_most": self.latency_most, "duration": self.duration,
                          "waits": self.waits}))

    def watch_waits(self, over):
        """How long after it was due a thread of this program goes on: what a busy machine, and Python's own lock, add to a stopwatch."""
        while not over.is_set():
            due = time.monotonic() + 0.005
            time.sleep(0.005)
            self.waits.append(time.monotonic() - due)


def run(connections, body, truth):
    """Runs body(truth) on as many threads, and prints the truth."""
    threads = [threading.Thread(target=body, args=(truth,)) for _ in range(connections)]
    for thread in threads:
        thread.start()
    over = threading.Event()
    watch = threading.Thread(target=truth.watch_waits, args=(over,))
    watch.start()
    for thread in threads:
        thread.join()
    over.set()
    watch.join()
    truth.print()


def until(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
