# SPDX-License-Identifier: Apache-2.0
"""The application behind nginx, on a Unix socket that no packet hook sees, and by itself on TCP port 8090.

usage: backend.py SOCKET

It takes 20 ms for most requests and 80 ms for one of twenty, so that the median and the 99th percentile are both far
above what a busy machine adds. Paths: /think; /busy, which answers 503; /big, 24 MB; /stream, an event each 100 ms for two seconds; /socket, a WebSocket that
sends back what it gets; /pieces, a status line in two segments; /hints, 103 and 200 in one; /trailers, chunked; /early, 413 when 1000 bytes of the
body have come.
"""
import asyncio
import base64
import hashlib
import sys

asked = 0


async def head_of(reader):
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
    return lines[0].split()[1], headers, lines[0].startswith("HEAD ")


async def frame_of(reader):
    """The payload of one masked WebSocket frame of less than 126 bytes."""
    _, length = await reader.readexactly(2)
    mask = await reader.readexactly(4)
    data = await reader.readexactly(length & 127)
    return bytes(b ^ mask[i % 4] for i, b in enumerate(data))


async def web_socket(reader, writer, headers):
    key = headers["sec-websocket-key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key).digest())
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")

    async def push():  # what the server says unasked
        while True:
            await asyncio.sleep(0.05)
            writer.write(b"\x81\x04tick")

    task = asyncio.create_task(push())
    try:
        while True:
            data = await frame_of(reader)
            if data == b"bye":
                return
            writer.write(bytes([0x81, len(data)]) + data)
    finally:
        task.cancel()


async def think():
    global asked
    asked += 1
    await asyncio.sleep(0.08 if asked % 20 == 0 else 0.02)


async def serve(reader, writer):
    try:
        while True:
            path, headers, head_only = await head_of(reader)
            if path == "/socket":
                await think()
                await web_socket(reader, writer, headers)
                return
            if headers.get("expect") == "100-continue":
                await asyncio.sleep(0.005)
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            length = int(headers.get("content-length", 0))
            if path == "/early":
                await reader.readexactly(1000)
                await think()
                writer.write(b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 4\r\n\r\nbig\n")
                await reader.readexactly(length - 1000)
                continue
            await reader.readexactly(length)
            await think()
            if path == "/stream":
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for _ in range(20):
                    writer.write(b"6\r\nevent\n\r\n")
                    await asyncio.sleep(0.1)
                writer.write(b"0\r\n\r\n")
            elif path == "/big":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 24000000\r\n\r\n" + bytes(24000000))
                await writer.drain()
            elif path == "/pieces":
                writer.write(b"HTTP/1.1 20")
                await asyncio.sleep(0.002)
                writer.write(b"0 OK\r\nContent-Length: 2\r\n\r\nhi")
            elif path == "/hints":
                writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            elif path == "/trailers":
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Trailer\r\n\r\n2\r\nhi\r\n")
                await asyncio.sleep(0.002)
                writer.write(b"0\r\nTrailer: t\r\n\r\n")
            elif head_only:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
            elif path == "/busy":
                writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nbusy\n")
            else:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"a" * 100)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    await asyncio.start_unix_server(serve, sys.argv[1])
    server = await asyncio.start_server(serve, "0.0.0.0", 8090, backlog=256)
    await server.serve_forever()


asyncio.run(main())
