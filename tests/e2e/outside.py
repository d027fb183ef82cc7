#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is outside the pod in the end-to-end tests: the database that payments.py asks, and a
receiver of Alertmanager's notifications that is not ours. It appends a line to FILE for each
notification: {"at": seconds since the epoch, "body": ...}.
usage: outside.py DATABASE_PORT RECEIVER_PORT FILE"""
import http.server
import json
import socketserver
import sys
import threading
import time


class Database(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(1)
        self.request.sendall(b"!")


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        at = time.time()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open(sys.argv[3], "a") as file:
            file.write(json.dumps({"at": at, "body": body}) + "\n")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        pass


socketserver.ThreadingTCPServer.allow_reuse_address = True
database = socketserver.ThreadingTCPServer(("", int(sys.argv[1])), Database)
threading.Thread(target=database.serve_forever, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Receiver).serve_forever()
