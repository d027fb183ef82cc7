# SPDX-License-Identifier: Apache-2.0
"""A client with a stopwatch.

usage: ask.py MANNER ADDRESS PORT PATH [--tls 1.2|1.3] [--new] [--connections N] [--seconds S] [--wait FILE]

Prints one JSON object: count, errors, and of each answered request the seconds from the request's last byte to the
answer's first (latency, least and most) and from the request's first byte to the answer's last (duration). Manners: http1, head, long (a header of 6 KB), early (answered before the request is over), pipelined (four requests in one write), slow-post,
expect (100-continue), web-socket, http2 (one stream after the other), http2-cancel (each stream after 10 ms),
give-up (after 10 ms). --new: a connection for each request. --wait: connects and asks once, and goes on when FILE exists.
"""
import argparse
import os
import socket
import ssl
import struct
import time

import stopwatch


def connect(args):
    sock = socket.create_connection((args.address, args.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if args.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[args.tls]
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["h2" if args.manner.startswith("http2") else "http/1.1"])
        sock = context.wrap_socket(sock)
    return sock


def close(sock):
    if isinstance(sock, ssl.SSLSocket):
        sock.settimeout(2)
        try:
            sock = sock.unwrap()  # as most clients do: close_notify, then FIN
        except OSError:
            pass
    sock.close()


class Answers:
    """Reads HTTP/1.1 answers of a connection; `first` is when the first byte of the newest came."""

    def __init__(self, sock):
        self.sock, self.buffer, self.first = sock, b"", 0

    def more(self):
        data = self.sock.recv(1 << 18)
        if not data:
            raise ConnectionError("closed in mid-answer")
        return data

    def read(self, method=b"GET"):
        if not self.buffer:
            self.buffer = self.more()
        self.first = time.monotonic()
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self.more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        head = head.lower()
        if head.startswith((b"http/1.1 100", b"http/1.1 101")):
            return head
        if head.startswith(b"http/1.1 103"):
            return self.read(method)
        if method == b"HEAD":
            return head
        if b"transfer-encoding: chunked" in head:
            while not self.buffer.endswith((b"0\r\n\r\n", b"0\r\nTrailer: t\r\n\r\n")):
                self.buffer += self.more()
            self.buffer = b""
            return head
        left = int(head.split(b"content-length: ")[1].split(b"\r\n")[0]) - len(self.buffer)
        if left <= 0:
            self.buffer = self.buffer[len(self.buffer) + left:]
            return head
        self.buffer = b""
        while left > 0:
            left -= len(self.more())
        return head


def http1(args, sock, answers, truth):
    method = b"HEAD" if args.manner == "head" else b"GET"
    more = b"X-Long: %s\r\n" % (b"l" * 6000) if args.manner == "long" else b""
    begun = time.monotonic()
    sock.sendall(b"%s %s HTTP/1.1\r\nHost: s\r\n%s\r\n" % (method, args.path.encode(), more))
    sent = time.monotonic()
    answers.read(method)
    truth.add(begun, begun, sent, answers.first, time.monotonic())


def pipelined(args, sock, answers, truth):
    begun = time.monotonic()
    sock.sendall(b"GET %s HTTP/1.1\r\nHost: s\r\n\r\n" % args.path.encode() * 4)
    sent = time.monotonic()
    for _ in range(4):
        answers.read()
        truth.add(begun, begun, sent, answers.first, time.monotonic())


def slow_post(args, sock, answers, truth):
    begun = time.monotonic()
    sock.sendall(b"POST %s HTTP/1.1\r\nHost: s\r\nContent-Length: 4000\r\n\r\n" % args.path.encode())
    for _ in range(4):
        time.sleep(0.03)
        sending = time.monotonic()
        sock.sendall(b"p" * 1000)
    sent = time.monotonic()
    answers.read()
    truth.add(begun, sending, sent, answers.first, time.monotonic())


def early(args, sock, answers, truth):
    """The answer comes when a part of the request was sent; then the rest is."""
    begun = time.monotonic()
    sock.sendall(b"POST %s HTTP/1.1\r\nHost: s\r\nContent-Length: 4000\r\n\r\n" % args.path.encode() + b"p" * 1000)
    sent = time.monotonic()
    answers.read()
    last = time.monotonic()
    sock.sendall(b"p" * 3000)
    truth.add(begun, begun, sent, answers.first, last)
    time.sleep(0.005)


def expect(args, sock, answers, truth):
    begun = time.monotonic()
    sock.sendall(b"POST %s HTTP/1.1\r\nHost: s\r\nContent-Length: 4000\r\nExpect: 100-continue\r\n\r\n"
                 % args.path.encode())
    answers.read()
    sending = time.monotonic()
    sock.sendall(b"p" * 4000)
    sent = time.monotonic()
    answers.read()
    truth.add(begun, sending, sent, answers.first, time.monotonic())


def give_up(args, sock, answers, truth):
    sock.sendall(b"GET %s HTTP/1.1\r\nHost: s\r\n\r\n" % args.path.encode())
    time.sleep(0.01)
    truth.give_up()


def web_socket(args, sock, answers, truth):
    """The upgrade is the only request; then both sides talk as they like."""
    begun = time.monotonic()
    sock.sendall(b"GET /socket HTTP/1.1\r\nHost: s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
    sent = time.monotonic()
    answers.read()
    truth.add(begun, begun, sent, answers.first, time.monotonic())
    for _ in stopwatch.until(args.seconds):
        send_frame(sock, b"hello")
        answers.more()
        time.sleep(0.01)
    send_frame(sock, b"bye")
    while sock.recv(4096):
        pass


def send_frame(sock, data):
    mask = os.urandom(4)
    sock.sendall(bytes([0x81, 0x80 | len(data)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def http2(args, sock, answers, truth):
    """One request on the next stream. The state of the connection is kept in `answers`."""
    path = args.path.encode()
    fields = b"\x82" + (b"\x87" if args.tls else b"\x86") + b"\x04" + bytes([len(path)]) + path + b"\x41\x01s"
    opening = b""
    if not hasattr(answers, "stream"):
        answers.stream = -1
        opening = PREFACE + frame(4, 0, 0)
    answers.stream += 2
    begun = time.monotonic()
    sock.sendall(opening + frame(1, 5, answers.stream, fields))
    sent, first = time.monotonic(), None
    if args.manner == "http2-cancel":
        time.sleep(0.01)
        sock.sendall(frame(3, 0, answers.stream, struct.pack(">I", 8)))
        return truth.give_up()
    while True:
        while len(answers.buffer) < 9:
            answers.buffer += answers.more()
        length = int.from_bytes(answers.buffer[:3], "big")
        kind, flags = answers.buffer[3], answers.buffer[4]
        stream = int.from_bytes(answers.buffer[5:9], "big")
        while len(answers.buffer) < 9 + length:
            answers.buffer += answers.more()
        answers.buffer = answers.buffer[9 + length:]
        if kind == 4 and not flags & 1:
            sock.sendall(frame(4, 1, 0))
        if kind in (3, 7):
            raise ConnectionError("reset")
        if stream != answers.stream or kind not in (0, 1):
            continue
        first = first or time.monotonic()
        if flags & 1:
            truth.add(begun, begun, sent, first, time.monotonic())
            return


MANNERS = {"http1": http1, "head": http1, "long": http1, "early": early, "pipelined": pipelined, "slow-post": slow_post, "expect": expect,
           "give-up": give_up, "web-socket": web_socket, "http2": http2,
           "http2-cancel": http2}


def client(args, truth):
    sock = answers = None
    if args.wait:
        sock = connect(args)
        answers = Answers(sock)
        MANNERS[args.manner](args, sock, answers, stopwatch.Truth())
        while not os.path.exists(args.wait):
            time.sleep(0.01)
    for _ in stopwatch.until(args.seconds):
        try:
            if sock is None:
                sock = connect(args)
                answers = Answers(sock)
            MANNERS[args.manner](args, sock, answers, truth)
        except (OSError, ConnectionError):
            truth.fail()
            sock = None
        if sock is not None and args.new:
            close(sock)
            sock = None
    if sock is not None:
        close(sock)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("manner", choices=MANNERS)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("--tls", choices=("1.2", "1.3"))
    parser.add_argument("--new", action="store_true")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--wait")
    args = parser.parse_args()
    stopwatch.run(args.connections, lambda truth: client(args, truth), stopwatch.Truth())


main()
