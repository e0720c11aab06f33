"""A server on loopback that answers in the shapes that servers were seen to answer in."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = dict | list[dict] | bytes | tuple[int, dict]


class RecordedServer(ThreadingHTTPServer):
    """entry: how it lists its model; answers: by path, what a body is answered with: one JSON, the
    events of a stream, what comes to the letter, or a status with JSON."""

    daemon_threads = True

    def __init__(self, entry: dict, answers: dict[str, Callable[[dict], Answer]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.entry, self.answers = {"id": "m", "max_model_len": 4096, **entry}, answers
        self.calls: list[dict] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request, client_address) -> None: ...


class _Handler(BaseHTTPRequestHandler):
    server: RecordedServer

    def log_message(self, *args) -> None: ...

    def do_GET(self) -> None:
        self._send(200, json.dumps({"data": [self.server.entry]}).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path not in self.server.answers:
            return self._send(404, b"{}")
        self.server.calls.append(body)
        answer = self.server.answers[self.path](body)
        status, answer = answer if isinstance(answer, tuple) else (200, answer)
        if isinstance(answer, bytes):
            return self._send(status, answer, "text/event-stream")
        if isinstance(answer, list):
            return self._send(status, sse(*answer), "text/event-stream")
        return self._send(status, json.dumps(answer, indent=1).encode())

    def _send(self, status: int, data: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def sse(*events: dict) -> bytes:
    """Return a stream of these events, and its end."""
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


def lines(*events: dict) -> bytes:
    """Return events as Ollama has them."""
    return "".join(json.dumps(event) + "\n" for event in events).encode()
