"""The typed model of a configuration: what the text means, and nothing of how it was written.

Frozen and comparable: a reload is a comparison of two of these. Each service gets one section and loads
nothing else, so that a change elsewhere in the file cannot touch it. Durations are in microseconds (`_us`)
or in the seconds that the kernel takes (`_s`). Names are keepalived's.

A service imports its own part from the file that has it; here is all of it, loaded when it is first asked
for, so that nobody's start and memory are burdened with the parts of others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keepbus.config.model.checker import (
        Check,
        CheckerSection,
        CheckKind,
        DnsQuestion,
        MiscCommand,
        PluginCheck,
        PluginSetting,
        Regex,
        StatusRange,
        TlsClient,
        TrackedFile,
        UdpExchange,
        Url,
    )
    from keepbus.config.model.configuration import (
        Configuration,
        GlobalDefs,
    )
    from keepbus.config.model.ipvs import (
        CheckUse,
        Forwarding,
        GroupMember,
        IpvsSection,
        Protocol,
        RealServer,
        ServiceAddress,
        SorryServer,
        SyncDaemon,
        Timeouts,
        Tunnel,
        TunnelChecksum,
        TunnelType,
        VirtualServer,
        family_of,
    )
    from keepbus.config.model.notify import (
        Fifo,
        Mail,
        NotifyKind,
        NotifySection,
        NotifyTarget,
        real_server_name,
    )
    from keepbus.config.model.routes import (
        Encapsulation,
        NextHop,
        Range,
        Route,
        RouteMetric,
        Rule,
    )
    from keepbus.config.model.scripts import (
        Script,
    )
    from keepbus.config.model.tracking import (
        ParamMatch,
        Track,
        TrackerKind,
        TrackProcess,
        TrackScript,
    )
    from keepbus.config.model.vrrp import (
        FOREVER_S,
        AddressFamily,
        Authentication,
        AuthHmac,
        AuthType,
        ChecksumForm,
        GarpGroup,
        GratuitousArp,
        HmacKey,
        HmacMode,
        InitialState,
        InterfaceDelay,
        Ipvlan,
        IpvlanFlag,
        Statics,
        SyncGroup,
        UnicastPeer,
        VirtualAddress,
        VirtualMac,
        VrrpInstance,
        VrrpSection,
    )

__all__ = [
    "FOREVER_S",
    "AddressFamily",
    "AuthHmac",
    "AuthType",
    "Authentication",
    "Check",
    "CheckKind",
    "CheckUse",
    "CheckerSection",
    "ChecksumForm",
    "Configuration",
    "DnsQuestion",
    "Encapsulation",
    "Fifo",
    "Forwarding",
    "GarpGroup",
    "GlobalDefs",
    "GratuitousArp",
    "GroupMember",
    "HmacKey",
    "HmacMode",
    "InitialState",
    "InterfaceDelay",
    "Ipvlan",
    "IpvlanFlag",
    "IpvsSection",
    "Mail",
    "MiscCommand",
    "NextHop",
    "NotifyKind",
    "NotifySection",
    "NotifyTarget",
    "ParamMatch",
    "PluginCheck",
    "PluginSetting",
    "Protocol",
    "Range",
    "RealServer",
    "Regex",
    "Route",
    "RouteMetric",
    "Rule",
    "Script",
    "ServiceAddress",
    "SorryServer",
    "Statics",
    "StatusRange",
    "SyncDaemon",
    "SyncGroup",
    "Timeouts",
    "TlsClient",
    "Track",
    "TrackProcess",
    "TrackScript",
    "TrackedFile",
    "TrackerKind",
    "Tunnel",
    "TunnelChecksum",
    "TunnelType",
    "UdpExchange",
    "UnicastPeer",
    "Url",
    "VirtualAddress",
    "VirtualMac",
    "VirtualServer",
    "VrrpInstance",
    "VrrpSection",
    "family_of",
    "real_server_name",
]

_PARTS = ("scripts", "tracking", "routes", "vrrp", "checker", "ipvs", "notify", "configuration")


def __getattr__(name: str) -> Any:
    """What stands in `__all__`."""
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    for part in _PARTS:
        module = import_module(f"{__name__}.{part}")
        globals().update({each: getattr(module, each) for each in __all__ if hasattr(module, each)})
    return globals()[name]
