# SPDX-License-Identifier: Apache-2.0
"""Redis clients with a stopwatch. usage: redis_client.py commands|new|publish ADDRESS PORT SECONDS

commands: one at a time on one connection, 5 ms of work each and 20 ms for one of twenty; new: a connection for each;
publish: two subscribers, one publisher that sends a message each 5 ms.
"""
import socket
import sys
import threading
import time

import stopwatch

MANNER, ADDRESS, PORT, SECONDS = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])


def connect():
    sock = socket.create_connection((ADDRESS, PORT))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def command(truth, sock, *words):
    text = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
    begun = time.monotonic()
    sock.sendall(text)
    sent = time.monotonic()
    if not sock.recv(4096):
        raise ConnectionError("closed")
    now = time.monotonic()
    truth.add(begun, begun, sent, now, now)


def commands(truth):
    sock = None
    for number, _ in enumerate(stopwatch.until(SECONDS)):
        sock = sock or connect()
        command(truth, sock, b"DEBUG", b"SLEEP", b"0.02" if number % 20 == 19 else b"0.005")
        if MANNER == "new":
            sock.close()
            sock = None
    if sock:
        sock.close()


def subscribe(truth, ready):
    sock = connect()
    command(truth, sock, b"SUBSCRIBE", b"news")
    ready.wait()
    text = b""
    while b"bye" not in text:
        text = text[-20:] + sock.recv(4096)
    sock.close()


def publish():
    truth, ready = stopwatch.Truth(), threading.Barrier(3)
    readers = [threading.Thread(target=subscribe, args=(truth, ready)) for _ in range(2)]
    for reader in readers:
        reader.start()
    ready.wait()
    sock = connect()
    for _ in stopwatch.until(SECONDS):
        command(truth, sock, b"PUBLISH", b"news", b"hello")
        time.sleep(0.005)
    command(truth, sock, b"PUBLISH", b"news", b"bye")
    for reader in readers:
        reader.join()
    sock.close()
    truth.print()


if MANNER == "publish":
    publish()
else:
    stopwatch.run(1, commands, stopwatch.Truth())
