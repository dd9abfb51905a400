"""What a program that speaks BFD publishes.

keepbus has none: any program that owns the lock file `locks/bfd` may be it.
"""

from __future__ import annotations

from dataclasses import dataclass

from keepbus.contracts.message import Body, contract


@contract("state/bfd/session", key="name")
@dataclass(frozen=True, slots=True, kw_only=True)
class Session(Body):
    """A BFD session, as `track_bfd` of a virtual router wants it (RFC 5880)."""

    name: str
    """`bfd_instance` in the file."""
    up: bool
    """True while the session is up, and when the peer said that it is administratively down."""
    since_ns: int
    """Wall clock of the last change, nanoseconds."""
    detail: str = ""
    """A few words for the operator: the diagnostic code, the neighbour."""
