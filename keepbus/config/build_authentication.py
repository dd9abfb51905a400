"""`authentication` and `auth_hmac` blocks to the model (conformance A2, A5, A6, X1, X4, X8; features 16.6).

Law of this file: no finding holds a password or a key, and a key's file is read here, when the configuration
is compiled: vrrp reads none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from keepbus.config.diagnostics import At, Findings
from keepbus.config.model.vrrp import AddressFamily, Authentication, AuthHmac, AuthType, HmacKey, HmacMode
from keepbus.config.reader import Fields

_PASSWORD_OCTETS = 8
_LEAST_KEY_OCTETS, _MOST_KEY_OCTETS = 32, 64
_LEAST_WINDOW_US, _MOST_WINDOW_US = 5_000_000, 300_000_000
_MOST_FILE_OCTETS = 4096
_OTHERS_MAY = 0o077


def build_authentication(
    findings: Findings, fields: Fields | None, version: int, family: AddressFamily
) -> Authentication | None:
    """The password of version 2; None when there is none that can be used."""
    if fields is None:
        return None
    if version == 3:
        findings.error(
            "authentication-version-3",
            "VRRP version 3 has no authentication; keepalived would leave it out",
            fields.statement.at(),
            advice="remove the block or use `auth_hmac`, or write `version 2` on every node",
            lenient=True,
        )
        return None
    if family is AddressFamily.IPV6:
        findings.error(
            "authentication-ipv6",
            "adverts over IPv6 hold no password; keepalived would send none",
            fields.statement.at(),
            advice="remove the block or use `auth_hmac`",
            lenient=True,
        )
        return None
    missing = [word for word in ("auth_type", "auth_pass") if word not in fields.values]
    if missing:
        if fields.lacks(missing[0]):
            findings.error(
                "missing-password",
                f"`authentication` has no `{missing[0]}`; it is not used",
                fields.statement.at(),
                lenient=True,
            )
        return None
    password = str(fields.get("auth_pass"))
    if len(password.encode()) > _PASSWORD_OCTETS:
        findings.warning(
            "password-too-long",
            f"only the first {_PASSWORD_OCTETS} octets of `auth_pass` are used",
            fields.where("auth_pass"),
        )
    return Authentication(auth_type=AuthType(fields.get("auth_type")), auth_pass=password)


def build_auth_hmac(
    findings: Findings,
    fields: Fields | None,
    advert_interval_us: int,
    authentication: Authentication | None,
) -> AuthHmac | None:
    """keepalived's trailer; None when no key is there to sign with."""
    if fields is None:
        return None
    if authentication is not None and authentication.auth_type is AuthType.AH:
        findings.error(
            "two-authentications",
            "`auth_type AH` and `auth_hmac` don't go together; `auth_hmac` is not used",
            fields.statement.at(),
            advice="remove the `authentication` block",
            lenient=True,
        )
        return None
    keys = {key.key_id: key for key in _keys(findings, fields)}
    active_key = fields.get("active_key")
    if active_key not in keys:
        if not fields.refused.intersection(("active_key", "keys")):
            said = "no `active_key`" if active_key is None else f"no usable key {active_key}"
            findings.error(
                "missing-key",
                f"`auth_hmac` has {said}; keepalived would go on without authentication",
                fields.where("active_key"),
                advice="name one of the block's keys in `active_key`",
                lenient=True,
            )
        return None
    window_us = 0
    if fields.get("anti_replay", "time") == "time":
        default_us = min(max(3 * advert_interval_us, _LEAST_WINDOW_US), _MOST_WINDOW_US)
        window_us = int(fields.get("time_window_us", default_us))
    elif "time_window_us" in fields.values:
        findings.warning(
            "time-window-monotonic",
            "`time_window` has no effect with `anti_replay monotonic`",
            fields.where("time_window_us"),
        )
    return AuthHmac(
        keys=tuple(keys.values()),
        active_key=active_key,
        mode=HmacMode(fields.get("mode", "enforce")),
        time_window_us=window_us,
    )


def _keys(findings: Findings, fields: Fields) -> Iterator[HmacKey]:
    seen: set[int] = set()
    for (key_id, value), statement in fields.get("keys", ()):
        if key_id in seen:
            findings.warning(
                "given-twice", f"key {key_id} is given twice; the last one counts", statement.at(1)
            )
        seen.add(key_id)
        octets = _octets(findings, value, statement.at(2))
        if octets is None:
            fields.refused.add("keys")
        else:
            yield HmacKey(key_id=key_id, octets=octets.hex())


def _octets(findings: Findings, value: str, at: At) -> bytes | None:
    """The key that text, `hex:DIGITS` or `file:PATH` stand for."""
    if value.startswith("hex:"):
        try:
            octets = bytes.fromhex(value.removeprefix("hex:"))
        except ValueError:
            findings.error("bad-key", "`key`: pairs of hexadecimal digits expected after `hex:`", at)
            return None
    elif value.startswith("file:"):
        from_file = _first_line(findings, Path(value.removeprefix("file:")), at)
        if from_file is None:
            return None
        octets = from_file
    else:
        octets = value.encode()
    if not _LEAST_KEY_OCTETS <= len(octets) <= _MOST_KEY_OCTETS:
        findings.error(
            "bad-key",
            f"`key`: {len(octets)} octets; {_LEAST_KEY_OCTETS} to {_MOST_KEY_OCTETS} expected",
            at,
            advice="make one with `openssl rand -hex 32` and write it as `hex:DIGITS`",
        )
        return None
    return octets


def _first_line(findings: Findings, path: Path, at: At) -> bytes | None:
    """Of a file that only its owner may read."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            line = file.read(_MOST_FILE_OCTETS).partition(b"\n")[0].rstrip(b"\r")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no path"
        findings.error("key-file", f"`key`: the file cannot be read ({why})", at)
        return None
    if mode & _OTHERS_MAY:
        findings.error(
            "key-file",
            "`key`: others than its owner may read or write the file",
            at,
            advice="chmod it to 600",
        )
        return None
    return line
