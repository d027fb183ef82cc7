#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A service of the end-to-end tests: it asks its database all the time and tells Prometheus how
long that takes. usage: payments.py PORT DATABASE_ADDRESS DATABASE_PORT"""
import http.server
import socket
import sys
import threading
import time

BUCKETS = [0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
lock = threading.Lock()
newest = 0.0  # seconds that the last answer took
counts = [0] * (len(BUCKETS) + 1)
total = 0.0


def ask(address, port):
    global newest, total
    while True:
        began = time.monotonic()
        try:
            with socket.create_connection((address, port), timeout=5) as connection:
                connection.sendall(b"?")
                connection.recv(1)
            took = time.monotonic() - began
            with lock:
                newest = took
                total += took
                counts[next((i for i, edge in enumerate(BUCKETS) if took <= edge), len(BUCKETS))] += 1
        except OSError:
            pass
        time.sleep(0.05)


class Metrics(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with lock:
            lines = ["# TYPE payments_database_seconds histogram"]
            below = 0
            for edge, count in zip(BUCKETS + ["+Inf"], counts):
                below += count
                lines.append('payments_database_seconds_bucket{le="%s"} %d' % (edge, below))
            lines.append("payments_database_seconds_sum %f" % total)
            lines.append("payments_database_seconds_count %d" % below)
            lines.append("# TYPE payments_database_newest_seconds gauge")
            lines.append("payments_database_newest_seconds %f" % newest)
        body = ("\n".join(lines) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


threading.Thread(target=ask, args=(sys.argv[2], int(sys.argv[3])), daemon=True).start()
http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Metrics).serve_forever()
