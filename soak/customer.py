"""A customer of the balanced service: fetches a page again and again, and notes since when it gets none."""

from __future__ import annotations

import http.client
import threading
import time

INTERVAL_S = 0.2
_TIMEOUT_S = 1.0


class Customer:
    """Asks from its start to its end; a thread of its own."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._pages: list[tuple[float, frozenset[str]]] = [(time.monotonic(), frozenset())]
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="customer", daemon=True)

    def __enter__(self) -> Customer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def since(self, moment_s: float) -> list[tuple[float, frozenset[str]]]:
        """From when on it got pages, from whomever, or none; forgets what was before."""
        with self._lock:
            while len(self._pages) > 1 and self._pages[1][0] <= moment_s:
                del self._pages[0]
            return list(self._pages)

    def served(self) -> bool:
        """True when it got the last page that it asked for."""
        with self._lock:
            return bool(self._pages[-1][1])

    def _ask(self) -> None:
        while not self._end.wait(INTERVAL_S):
            asked_s = time.monotonic()
            served = frozenset({"somebody"} if self._fetch() else ())
            with self._lock:
                if self._pages[-1][1] != served:
                    self._pages.append((asked_s, served))

    def _fetch(self) -> bool:
        connection = http.client.HTTPConnection(self._address, 80, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", "/index.html")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
