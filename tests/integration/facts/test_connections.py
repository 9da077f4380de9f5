"""Where connections go when the selector of a Service changes."""

from __future__ import annotations

from kubernetes.client import CoreV1Api

from tests.integration.facts.pods import Pods, eventually

SERVER = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import os
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = os.environ["HOSTNAME"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""
#: Prints the time, who answers on the connection kept since the start, and who answers on a new one.
CLIENT = """
import http.client, time
def ask(connection):
    connection.request("GET", "/")
    return connection.getresponse().read().decode()
def connect():
    return http.client.HTTPConnection("answer", 80, timeout=60)
kept = connect()
while True:
    new = connect()
    try:
        print(time.time(), ask(kept), ask(new))
    except OSError as error:
        print(time.time(), "error", error)
        kept.close()
    new.close()
    time.sleep(0.02)
"""


def test_a_kept_connection_stays_where_it_is_when_the_selector_moves(pods: Pods) -> None:
    core = CoreV1Api(pods.api)
    for name in ("first", "second"):
        pods.run(name, SERVER, {"answers": name})
    spec = {"selector": {"answers": "first"}, "ports": [{"port": 80, "targetPort": 8080}]}
    core.create_namespaced_service(pods.namespace, {"metadata": {"name": "answer"}, "spec": spec})
    pods.run("client", CLIENT)

    def seen(old: str, new: str) -> int | None:
        """How many times the last pair was seen: at least ten in a row."""
        last = [line.split()[1:] for line in pods.printed("client")[-10:]]
        return len(last) if last == [[old, new]] * 10 else None

    eventually(lambda: seen("first", "first"), "both connections lead to the first pod")
    before = len(pods.printed("client"))
    core.patch_namespaced_service("answer", pods.namespace, {"spec": {"selector": {"answers": "second"}}})
    eventually(lambda: seen("first", "second"), "new connections lead to the second pod, the kept one to the first")

    after = [line.split() for line in pods.printed("client")[before - 1 :]]
    assert {line[1] for line in after} == {"first"}, "no answer came over the kept connection from elsewhere"
    moved = next(float(line[0]) for line in after if line[2] == "second")
    print(f"new connections moved {moved - float(after[0][0]):.2f} s after the change; {len(after)} requests, no error")
