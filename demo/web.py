"""A web server of the demo: `python -m demo.web NAME` answers every GET with its name on port 80."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Answers with the server's name."""

    name = b""

    def do_GET(self) -> None:
        """Any path is found."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(self.name)))
        self.end_headers()
        self.wfile.write(self.name)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Be silent."""


class Server(ThreadingHTTPServer):
    """Serves each client by itself."""

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves early is no news."""


if __name__ == "__main__":
    Handler.name = sys.argv[1].encode()
    Server(("0.0.0.0", 80), Handler).serve_forever()
