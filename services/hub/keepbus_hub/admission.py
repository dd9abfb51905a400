"""Which subscriptions count: 64 for each listening process, none longer than a topic (reliability R-B6).

The shell asks while it reads, not the machine in its turn: libzmq applies an admission to the subscription
that was read last, and forgets which that was as soon as it does anything else for the socket.
"""

from __future__ import annotations

from keepbus.bus.codec import MAX_TOPIC_OCTETS

MOST_PER_PROCESS = 64


class Admission:
    """The prefixes that each listening process has."""

    def __init__(self) -> None:
        self._prefixes: dict[int, set[bytes]] = {}

    def ask(self, prefix: bytes, pid: int | None) -> str:
        """Take a subscription; the reason when it does not count, else nothing. pid None: not known."""
        mine = set() if pid is None else self._prefixes.setdefault(pid, set())
        if len(prefix) > MAX_TOPIC_OCTETS:
            return "subscription_size"
        if prefix not in mine and len(mine) >= MOST_PER_PROCESS:
            return "subscriptions"
        mine.add(prefix)
        return ""

    def give_back(self, prefix: bytes, pid: int | None) -> None:
        """The process does not want it any more."""
        if pid is not None:
            self._prefixes.get(pid, set()).discard(prefix)

    def pids(self) -> frozenset[int]:
        """Every process that has ever asked and was not forgotten."""
        return frozenset(self._prefixes)

    def forget(self, pid: int) -> None:
        """The process is no more."""
        self._prefixes.pop(pid, None)

    def count(self) -> int:
        """Subscriptions that count."""
        return sum(map(len, self._prefixes.values()))
