# SPDX-License-Identifier: Apache-2.0
"""DNS over UDP. usage: dns.py serve PORT | dns.py ask ADDRESS PORT SECONDS"""
import os
import socket
import sys
import threading
import time

import stopwatch


def serve(port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("0.0.0.0", port))
    while True:
        query, peer = sock.recvfrom(512)
        answer = query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:] + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\0\0\1"
        threading.Timer(0.02, sock.sendto, (answer, peer)).start()


def ask(truth, address, port, seconds):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(5)
    for _ in stopwatch.until(seconds):
        begun = time.monotonic()
        sock.sendto(os.urandom(2) + b"\1\0\0\1\0\0\0\0\0\0\4name\4test\0\0\1\0\1", (address, port))
        sent = time.monotonic()
        sock.recv(512)
        now = time.monotonic()
        truth.add(begun, begun, sent, now, now)


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    stopwatch.run(4, lambda truth: ask(truth, sys.argv[2], int(sys.argv[3]), float(sys.argv[4])), stopwatch.Truth())
