"""The `SSL` block: settings of all SSL_GETs (features 13.3)."""

from __future__ import annotations

from collections.abc import Sequence

from keepbus.config.model.checker import TlsClient
from keepbus.config.reader import TableReader
from keepbus.config.syntax import Statement

_FIELDS = ("ca", "certificate", "key", "password", "verify")


def build_tls(tables: TableReader, blocks: Sequence[Statement]) -> TlsClient | None:
    """The settings of the last block, as in keepalived; None without any."""
    for ignored in blocks[:-1]:
        tables.findings.warning(
            "given-twice", "there is another `SSL` block; the last one counts", ignored.at()
        )
    if not blocks:
        return None
    block = blocks[-1]
    if len(block.words) > 1:
        tables.surplus(block, block.words, 1)
    fields = tables.read(block, ("SSL",))
    for one, other in (("certificate", "key"), ("key", "certificate"), ("password", "key")):
        if fields.get(one) and fields.lacks(other):
            tables.findings.warning(
                f"missing-{other}",
                f"`{one}` is of no use without `{other}`: no certificate is shown to servers",
                fields.where(one),
            )
            break
    if fields.get("ca") and not fields.get("verify"):
        tables.findings.warning(
            "ca-without-verify",
            "`ca` has no effect: keepalived does not verify servers' certificates, and so keepbus doesn't",
            fields.where("ca"),
            advice="add `verify` (keepbus's own) to have them verified",
        )
    return TlsClient(**fields.given(_FIELDS))
