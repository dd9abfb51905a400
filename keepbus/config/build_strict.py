"""`strict_mode`: what the RFCs allow and nothing else (features 5.1, row "Strict mode").

What strict mode would change in a way that another line contradicts is an error: who wrote that line relies
on it.
"""

from __future__ import annotations

import dataclasses

from keepbus.config.diagnostics import At, Findings
from keepbus.config.model.vrrp import AddressFamily, HmacMode, InitialState, VrrpInstance
from keepbus.config.reader import Fields

_OWNER = 255
_ADVERTS = 3


def apply_strict(
    findings: Findings, instance: VrrpInstance, fields: Fields, authentication: Fields | None
) -> VrrpInstance:
    """The instance as strict mode has it. authentication: the block, if there is one."""
    strict = _Strict(findings, fields)
    owner = instance.priority == _OWNER
    if (instance.state is InitialState.MASTER) is not owner:
        strict.refuse("state", f"`state {instance.state}` with priority {instance.priority}")
    if instance.authentication is not None and authentication is not None:
        strict.refuse_at(authentication.statement.at(), "`authentication`")
    if instance.unicast_peers is not None:
        strict.refuse("unicast_peers", "`unicast_peer` where multicast is possible")
    if instance.version == 2 and instance.family is AddressFamily.IPV6:
        strict.refuse("version", "`version 2` over IPv6")
    if instance.preempt_delay_us:
        strict.refuse("preempt_delay_us", "`preempt_delay`")
    if instance.down_timer_adverts != _ADVERTS:
        strict.refuse("down_timer_adverts", f"a multiplier other than {_ADVERTS}")
    if not instance.virtual_addresses and not (instance.version == 3 and fields.get("no_virtual_ipaddress")):
        strict.refuse("virtual_addresses", "an instance without an address in its adverts")
    auth_hmac = instance.auth_hmac
    if auth_hmac is not None:
        auth_hmac = dataclasses.replace(auth_hmac, mode=HmacMode.ENFORCE)
    return dataclasses.replace(
        instance,
        state=InitialState.MASTER if owner else InitialState.BACKUP,
        authentication=None,
        auth_hmac=auth_hmac,
        preempt_delay_us=0,
        down_timer_adverts=_ADVERTS,
        lower_prio_no_advert=True,
        owner_ignore_adverts=True,
        garp=dataclasses.replace(instance.garp, lower_prio_repeat=0),
    )


class _Strict:
    def __init__(self, findings: Findings, fields: Fields) -> None:
        self._findings = findings
        self._fields = fields

    def refuse(self, field: str, what: str) -> None:
        self.refuse_at(self._fields.where(field), what)

    def refuse_at(self, at: At, what: str) -> None:
        self._findings.error(
            "strict-mode",
            f"strict mode does not allow {what}",
            at,
            advice="take the line out, or `strict_mode`",
            lenient=True,
        )
