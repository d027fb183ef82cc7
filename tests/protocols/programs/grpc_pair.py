# SPDX-License-Identifier: Apache-2.0
"""gRPC by Debian's python3-grpcio, on the same core as libgrpc++, without generated code.

usage: grpc_pair.py serve PORT | grpc_pair.py unary|failing|many|stream|both ADDRESS PORT SECONDS

unary: one call at a time on each of four channels; failing: the same, and each ends with INTERNAL; many: eight at a time on one channel; stream: a server stream of
twenty messages on each of two channels; both: streams on which each of ten messages is answered before the next.
"""
import sys
import threading
import time
from concurrent import futures

import grpc

import stopwatch

calls = 0


def think():
    global calls
    calls += 1
    time.sleep(0.16 if calls % 20 == 0 else 0.04)


def unary(request, context):
    think()
    return b"a" * 100


def failing(request, context):
    think()
    context.abort(grpc.StatusCode.INTERNAL, "as it was asked to")


def stream(request, context):
    think()
    for _ in range(20):
        yield b"a" * 100
        time.sleep(0.05)


def both(requests, context):
    for _ in requests:
        time.sleep(0.01)
        yield b"a" * 100


def paced():
    for _ in range(10):
        yield b"r" * 50
        time.sleep(0.03)


class Service(grpc.GenericRpcHandler):
    def service(self, details):
        if details.method.endswith("Stream"):
            return grpc.unary_stream_rpc_method_handler(stream)
        if details.method.endswith("Both"):
            return grpc.stream_stream_rpc_method_handler(both)
        return grpc.unary_unary_rpc_method_handler(failing if details.method.endswith("Failing") else unary)


def serve(port):
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32))
    server.add_generic_rpc_handlers((Service(),))
    server.add_insecure_port("0.0.0.0:%d" % port)
    server.start()
    server.wait_for_termination()


def channel(target):
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    made = grpc.insecure_channel(target, options)
    grpc.channel_ready_future(made).result(10)
    return made


def ask(truth, made, manner, seconds):
    for _ in stopwatch.until(seconds):
        begun, first = time.monotonic(), None
        try:
            if manner == "stream":
                for _ in made.unary_stream("/test.Test/Stream")(b"r" * 50):
                    first = first or time.monotonic()
            elif manner == "both":
                for _ in made.stream_stream("/test.Test/Both")(paced()):
                    first = first or time.monotonic()
            else:
                made.unary_unary("/test.Test/Failing" if manner == "failing" else "/test.Test/Unary")(b"r" * 50)
            last = time.monotonic()
            truth.add(begun, begun, begun, first or last, last)
        except grpc.RpcError:
            last = time.monotonic()
            truth.fail()
            if manner == "failing":
                truth.add(begun, begun, begun, last, last)


def main():
    if sys.argv[1] == "serve":
        return serve(int(sys.argv[2]))
    manner, target, seconds = sys.argv[1], sys.argv[2] + ":" + sys.argv[3], float(sys.argv[4])
    channels = [channel(target) for _ in range({"unary": 4, "failing": 4, "many": 1, "stream": 2, "both": 2}[manner])]
    free = channels * 8 if manner == "many" else list(channels)
    lock = threading.Lock()

    def body(truth):
        with lock:
            mine = free.pop()
        ask(truth, mine, manner, seconds)

    stopwatch.run(len(free), body, stopwatch.Truth())
    for made in channels:
        made.close()


main()
