# SPDX-License-Identifier: Apache-2.0
"""A MariaDB client with a stopwatch, for a server without passwords. usage: mariadb_client.py kept|new ADDRESS PORT SECONDS

new: a connection for two queries, so that the median is that of queries and not of logging in.
The server speaks first; what the client says then to log in is a request, and counts as one.
"""
import socket
import struct
import sys
import time

import stopwatch

MANNER, ADDRESS, PORT, SECONDS = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
PROTOCOL_41, SECURE, PLUGIN_AUTH = 0x200, 0x8000, 0x80000


def packet(number, payload):
    return struct.pack("<I", len(payload))[:3] + bytes([number]) + payload


def ask(truth, sock, data, complete):
    begun = time.monotonic()
    sock.sendall(data)
    sent, first, answer = time.monotonic(), None, b""
    while not complete(answer):
        more = sock.recv(65536)
        if not more:
            raise ConnectionError("closed")
        first = first or time.monotonic()
        answer += more
    truth.add(begun, begun, sent, first, time.monotonic())
    if answer[4:5] == b"\xff":
        raise ConnectionError(answer[7:].decode())


def one_packet(answer):
    return len(answer) >= 4 and len(answer) >= 4 + int.from_bytes(answer[:3], "little")


def result_set(answer):
    """It ends with the second EOF packet, or is an error."""
    ends = 0
    while one_packet(answer):
        length = int.from_bytes(answer[:3], "little")
        if answer[4] == 0xff:
            return True
        ends += length < 9 and answer[4] == 0xfe
        answer = answer[4 + length:]
    return ends == 2


def connect(truth):
    sock = socket.create_connection((ADDRESS, PORT))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    greeting = b""
    while not one_packet(greeting):
        greeting += sock.recv(4096)
    login = struct.pack("<IIB", PROTOCOL_41 | SECURE | PLUGIN_AUTH, 1 << 24, 33) + bytes(23)
    ask(truth, sock, packet(1, login + b"root\0\0mysql_native_password\0"), one_packet)
    return sock


def close(sock):
    sock.sendall(packet(0, b"\x01"))  # COM_QUIT, which nobody answers
    sock.close()


def client(truth):
    sock = None
    for number, _ in enumerate(stopwatch.until(SECONDS)):
        sock = sock or connect(truth)
        query = b"SELECT SLEEP(%s)" % (b"0.08" if number % 10 == 9 else b"0.02")
        ask(truth, sock, packet(0, b"\x03" + query), result_set)
        if MANNER == "new" and number % 2:
            close(sock)
            sock = None
    if sock:
        close(sock)


stopwatch.run(4, client, stopwatch.Truth())
