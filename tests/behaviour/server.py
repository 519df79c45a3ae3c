"""A small real server on loopback that answers as an OpenAI-compatible endpoint does."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[[dict[str, Any], int], tuple[int, dict[str, str], bytes]]
"""(request body, number of the request) to (status, headers, response body)."""


def said(text: str | None, **more: Any) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}, **more}
    return json.dumps({"model": "m-1", "system_fingerprint": "fp", "choices": [choice]}).encode()


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The base URL, and every request as {"path", "headers", "body"}."""
    seen: list[dict[str, Any]] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(body)

        def do_GET(self) -> None:
            self._answer({})

        def _answer(self, body: dict[str, Any]) -> None:
            with lock:
                seen.append({"path": self.path, "headers": dict(self.headers), "body": body})
                number = len(seen)
            status, headers, data = behaviour(body, number)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
