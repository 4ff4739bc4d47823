"""A relay between Label Studio and our web process, which can lose every second webhook as a bad network would."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

LARGEST = 64 * 1024 * 1024


class Relay:
    """Listens on a free loopback port and passes requests on to `target`.

    A dropped webhook is answered with 200 and goes nowhere: Label Studio never sends it again. webhooks, dropped:
    counts.
    """

    def __init__(self, target: str, *, drop_every_second: bool) -> None:
        self.webhooks = self.dropped = 0
        relay = self
        lock = threading.Lock()
        self._client = httpx.Client(base_url=target, timeout=30)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass_on(self) -> None:
                body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), LARGEST))
                if self.command == "POST" and self.path.rstrip("/").endswith("/webhook"):
                    with lock:
                        relay.webhooks += 1
                        drop = drop_every_second and relay.webhooks % 2 == 0
                        relay.dropped += drop
                    if drop:
                        self._answer(200, b"{}", "application/json")
                        return
                headers = {
                    k: v for k, v in self.headers.items() if k.lower() not in {"host", "connection", "content-length"}
                }
                try:
                    reply = relay._client.request(self.command, self.path, content=body, headers=headers)
                except httpx.HTTPError:
                    self._answer(502, b"{}", "application/json")  # the web process is down just now
                    return
                self._answer(reply.status_code, reply.content, reply.headers.get("content-type", "application/json"))

            def _answer(self, status: int, body: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = do_OPTIONS = _pass_on

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: the web process logs what it gets."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="relay", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._client.close()


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
