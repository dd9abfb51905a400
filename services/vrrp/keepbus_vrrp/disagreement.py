"""What others with the same virtual router id are configured with otherwise (R-F88).

Law of this file: what is known is a sentence of a sender and a matter, kept while adverts like that go on.
Of an advert that was accepted the sentence stands until another of its sender agrees, because those after
the first are not looked at again; of one that was refused it takes three within a minute, because one may be
a forged or a broken packet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keepbus.config.model.vrrp import ChecksumForm
from keepbus_vrrp.family import text
from keepbus_vrrp.packet import Advert
from keepbus_vrrp.sentences import seconds

if TYPE_CHECKING:
    from keepbus_vrrp.instance import Instance

_OLD_NS = 60_000_000_000
_ENOUGH = 3
_MOST = 16
"""A forger may invent as many senders as there are addresses."""

_REASONS = frozenset(
    {
        "version",
        "checksum",
        "ttl",
        "destination",
        "unknown_peer",
        "adver_int_mismatch",
        "addr_list_mismatch",
        "auth_type_mismatch",
        "auth_failure",
        "hmac_missing",
        "hmac_key",
        "hmac",
        "length",
    }
)
"""Refusals that another configuration leads to; the others are defects or attacks only."""
_FORMS = {True: "over the message alone (RFC 9568)", False: "with a pseudo-header (RFC 5798)"}


class _Found:
    """One matter of one sender."""

    __slots__ = ("at_ns", "count", "sentence")

    def __init__(self) -> None:
        self.at_ns = 0
        self.count = 0
        self.sentence = ""


class Disagreements:
    """Those of one instance."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[tuple[bytes, str], _Found] = {}

    def refused(self, source: bytes, reason: str, detail: str, now_ns: int) -> None:
        """An advert did not pass a check, for the reason of a counter."""
        if reason in _REASONS:
            self._note(source, reason, f"{text(source)} sends adverts that are refused: {detail}", now_ns)

    def accepted(self, instance: Instance, advert: Advert) -> None:
        """An advert passed every check; what was refused of its sender is over."""
        now_ns = instance.turn.now_ns
        if self._found:
            self._found = {key: found for key, found in self._found.items() if key[0] != advert.source}
        for matter, detail in _differences(instance, advert):
            for _ in range(_ENOUGH):
                self._note(advert.source, matter, f"{text(advert.source)} {detail}", now_ns)

    def sentences(self, instance: Instance) -> tuple[str, ...]:
        """What stands now, in the order of the senders; forgets what is old."""
        if not self._found:
            return ()
        now_ns = instance.turn.now_ns
        heard_lately = now_ns - instance.last_advert_at_ns <= _OLD_NS
        self._found = {
            key: found
            for key, found in self._found.items()
            if now_ns - found.at_ns <= _OLD_NS
            or (heard_lately and key[0] == instance.master_source and key[1] not in _REASONS)
        }
        return tuple(found.sentence for _, found in sorted(self._found.items()) if found.count >= _ENOUGH)

    def _note(self, source: bytes, matter: str, sentence: str, now_ns: int) -> None:
        found = self._found.get((source, matter))
        if found is None:
            if len(self._found) >= _MOST:
                return
            found = self._found[source, matter] = _Found()
        if now_ns - found.at_ns > _OLD_NS:
            found.count = 0
        found.at_ns, found.sentence = now_ns, sentence
        found.count += 1


def _differences(instance: Instance, advert: Advert) -> list[tuple[str, str]]:
    """Matters in which an accepted advert is not what this router would send."""
    configured = instance.config
    found = []
    if advert.interval_us != instance.terms.interval_us:
        detail = (
            f"advertises every {seconds(advert.interval_us)}, "
            f"{seconds(instance.terms.interval_us)} is configured here"
        )
        found.append(("interval", detail))
    if not advert.same_addresses:
        named = " ".join(map(text, advert.addresses)) or "none"
        found.append(("addresses", f"advertises other addresses than are configured here: {named}"))
    form = configured.checksum
    if form is not ChecksumForm.AUTO and instance.terms.message_sum is not advert.message_sum:
        detail = f"makes checksums {_FORMS[advert.message_sum]}, `v3_checksum {form}` is configured here"
        if configured.version == 3 and instance.terms.family.name == "IPv4":
            found.append(("checksum form", detail))
    return found
