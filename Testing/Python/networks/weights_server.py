"""A server on this machine that gives files of weights."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(range(256)) * 2**12 * 2 + b"rest"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """Serves CONTENT at any path but a few odd ones, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.path)
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        if "silent" in handler.path:
            self.closing.wait()
            return
        if "missing" in handler.path:
            handler.send_error(404)
            return
        if handler.path.startswith("/moved/"):
            handler.send_response(302)
            handler.send_header("Location", handler.path.removeprefix("/moved"))
            handler.end_headers()
            return
        handler.send_response(200)
        if "no-length" not in handler.path:
            handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        handler.wfile.write(CONTENT[:1000] if "cut" in handler.path else CONTENT)

    def close(self) -> None:
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()
