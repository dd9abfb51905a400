"""What the FIFOs are told: keepalived's lines, octet for octet (features 10.3). Pure."""

from __future__ import annotations

from keepbus.config.model.notify import NotifyKind
from keepbus_notify.steps import Step

_VRRP = (NotifyKind.INSTANCE, NotifyKind.GROUP)


def is_vrrp(kind: NotifyKind) -> bool:
    """True for what vrrp_notify_fifo is told of, False for what lvs_notify_fifo is."""
    return kind in _VRRP


def line(kind: NotifyKind, name: str, step: Step) -> bytes:
    """One line of one step.

    Lines of servers end in a newline and a NUL octet, as keepalived's do: its readers strip both.
    """
    if is_vrrp(kind):
        return f'{kind} "{name}" {step.state} {step.priority}\n'.encode()
    return f"{kind} {name.removesuffix(' inet6')} {step.state}\n\0".encode()


def priority_line(name: str, state: str, priority: int) -> bytes:
    """Of an effective priority that changed: MASTER_PRIORITY or BACKUP_PRIORITY."""
    return f'INSTANCE "{name}" {state}_PRIORITY {priority}\n'.encode()
