"""Until when the servers' certificates are good: keepalived does not look, an operator wants to know in time.

Law of this file: a certificate changes no verdict. A server's is told when it was seen first, when it is
another one, and each day; within WARNING_DAYS of its end each of these is a warning, too.
"""

from __future__ import annotations

from collections.abc import Mapping

from keepbus.contracts.checker import Certificate, CertificateExpiring
from keepbus.contracts.message import quote
from keepbus.runtime.machine import Effect, Log, Publish, Withdraw
from keepbus_checker import x509
from keepbus_checker.course import Course
from keepbus_checker.events import CertificateSeen

WARNING_DAYS = 14
_DAY_NS = 86_400_000_000_000
_LOOK_NS = 3_600_000_000_000
"""How often the days are counted anew."""


class Certificates:
    """What each check's server showed last."""

    def __init__(self) -> None:
        self._told: dict[str, Certificate] = {}
        self._look_at_ns: int | None = None

    def seen(self, event: CertificateSeen, course: Course | None, now_ns: int, effects: list[Effect]) -> None:
        """A server showed another certificate than before, or its first one."""
        if course is None:
            return
        try:
            known = x509.read(event.der)
        except ValueError as error:
            effects.append(Log("warning", f"the certificate of {course.target} cannot be read: {error}"))
            return
        told = Certificate(
            check=event.check,
            target=course.target,
            subject=known.subject,
            issuer=known.issuer,
            not_after_ns=known.not_after_ns,
            days_left=_days_left(known.not_after_ns, event.wall_ns),
        )
        self._tell(told, now_ns, effects)

    def adopt(self, told: Certificate, courses: Mapping[str, Course], now_ns: int) -> list[Effect]:
        """Go on from what an earlier process told, unless this one has seen the server's by now."""
        if told.check not in courses or told.check in self._told:
            return []
        self._told[told.check] = told
        self._look_at_ns = self._look_at_ns or now_ns + _LOOK_NS
        return [Publish(told)]

    def forget(self, check: str, effects: list[Effect]) -> None:
        """The check is no longer configured as it was."""
        if self._told.pop(check, None) is not None:
            effects.append(Withdraw(f"{Certificate.TOPIC}/{quote(check)}"))

    def tick(self, now_ns: int, wall_ns: int, effects: list[Effect]) -> None:
        """Tell those whose days have become fewer."""
        if self._look_at_ns is None or now_ns < self._look_at_ns:
            return
        self._look_at_ns = now_ns + _LOOK_NS if self._told else None
        for told in list(self._told.values()):
            days_left = _days_left(told.not_after_ns, wall_ns)
            if days_left != told.days_left:
                self._tell(
                    Certificate(
                        check=told.check,
                        target=told.target,
                        subject=told.subject,
                        issuer=told.issuer,
                        not_after_ns=told.not_after_ns,
                        days_left=days_left,
                    ),
                    now_ns,
                    effects,
                )

    def wake_at_ns(self) -> int | None:
        """When the days are counted anew; None: never."""
        return self._look_at_ns

    def _tell(self, told: Certificate, now_ns: int, effects: list[Effect]) -> None:
        if self._told.get(told.check) == told:
            return
        self._told[told.check] = told
        self._look_at_ns = self._look_at_ns or now_ns + _LOOK_NS
        effects.append(Publish(told))
        if told.days_left < WARNING_DAYS:
            effects.append(
                Publish(
                    CertificateExpiring(
                        check=told.check,
                        target=told.target,
                        subject=told.subject,
                        not_after_ns=told.not_after_ns,
                        days_left=told.days_left,
                    )
                )
            )
            ends = "has ended" if told.days_left < 0 else f"ends in {told.days_left} d"
            effects.append(Log("warning", f"the certificate of {told.target} {ends}: {told.subject}"))


def _days_left(not_after_ns: int, wall_ns: int) -> int:
    return (not_after_ns - wall_ns) // _DAY_NS
