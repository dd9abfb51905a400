"""All kinds of argument by the name that they have in the keyword tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from keepbus.config import check_values, ipvs_values, track_values, values, vmac_values


class Kind(NamedTuple):
    """How many words, and what they mean."""

    least: int
    most: int
    """Further words are surplus; -1: any number."""
    convert: Callable[[Sequence[str], str], Any]
    repeats: bool = False
    """The keyword may be given several times: its field is a list of values, each with its statement."""


KINDS: dict[str, Kind] = {
    "flag": Kind(0, 0, values.flag),
    "yes-no": Kind(0, 1, values.yes_no),
    "integer": Kind(1, 1, values.integer),
    "seconds": Kind(1, 1, values.seconds),
    "text": Kind(1, 1, values.text),
    "mail-server": Kind(1, 2, values.mail_server),
    "secret": Kind(1, 1, values.text),
    "hmac-key": Kind(2, 2, values.hmac_key, repeats=True),
    "one-of": Kind(1, 1, values.one_of),
    "interface": Kind(1, 1, values.interface),
    "label": Kind(1, 1, values.label),
    "address4": Kind(1, 1, values.address4),
    "multicast4": Kind(1, 1, values.multicast4),
    "address": Kind(1, 1, values.address),
    "address-port": Kind(1, 2, ipvs_values.address_port),
    "forwarding": Kind(1, -1, ipvs_values.method),
    "protocol": Kind(1, 1, ipvs_values.protocol),
    "family": Kind(1, 1, ipvs_values.family),
    "granularity": Kind(1, 1, ipvs_values.granularity),
    "engine": Kind(1, 1, ipvs_values.engine),
    "sync-daemon": Kind(1, -1, ipvs_values.sync_daemon),
    "timeouts": Kind(2, -1, ipvs_values.timeouts),
    "flush-on-stop": Kind(0, 1, ipvs_values.flush_on_stop),
    "multicast": Kind(1, 1, values.multicast),
    "multicast6": Kind(1, 1, values.multicast6),
    "peer": Kind(1, 1, values.peer),
    "lifetime": Kind(1, 1, values.lifetime),
    "optional-table": Kind(0, 1, values.optional_table),
    "optional-one-of": Kind(0, 1, values.optional_one_of),
    "scope": Kind(1, 1, values.scope),
    "broadcast": Kind(1, 1, values.broadcast),
    "user": Kind(1, 2, values.user),
    "digest": Kind(1, 1, values.digest),
    "codes": Kind(1, -1, values.codes),
    "script": Kind(1, 3, values.script),
    "values": Kind(0, 0, values.words_as_they_are),
    "block": Kind(0, -1, values.words_as_they_are),
    "lines": Kind(0, -1, values.words_as_they_are),
    "fifo": Kind(1, 3, check_values.fifo),
    "path": Kind(1, 1, check_values.path),
    "command": Kind(1, 1, check_values.command),
    "regex": Kind(1, 1, check_values.regex),
    "regex-options": Kind(1, -1, check_values.regex_options),
    "hex": Kind(1, -1, check_values.hexadecimal),
    "hex-pattern": Kind(0, -1, check_values.pattern),
    "dns-name": Kind(1, 1, check_values.dns_name),
    "upper-of": Kind(1, 1, check_values.upper_of),
    "file-weight": Kind(1, 2, check_values.file_weight),
    "init-file": Kind(0, 2, check_values.init_file),
    "include-check": Kind(0, -1, check_values.include_check, repeats=True),
    "words": Kind(1, -1, values.words_as_they_are),
    "extra-garp": Kind(1, 2, vmac_values.extra_garp),
    "ipvlan": Kind(0, -1, vmac_values.ipvlan),
    "vmac": Kind(0, -1, vmac_values.vmac),
    "track": Kind(1, 4, track_values.track),
    "param-match": Kind(0, 1, track_values.param_match),
}
"""By the first word of a row's argument column."""
