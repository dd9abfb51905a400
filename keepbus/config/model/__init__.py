"""The typed model of a configuration: what the text means, and nothing of how it was written.

Frozen and comparable: a reload is a comparison of two of these. Each service gets one section and loads
nothing else, so that a change elsewhere in the file cannot touch it. Durations are in microseconds (`_us`)
or in the seconds that the kernel takes (`_s`). Names are keepalived's.
"""

from __future__ import annotations

from keepbus.config.model.checker import (
    Check,
    CheckerSection,
    CheckKind,
    DnsQuestion,
    MiscCommand,
    StatusRange,
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
    NotifyKind,
    NotifySection,
    NotifyTarget,
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
    Statics,
    SyncGroup,
    UnicastPeer,
    VirtualAddress,
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
    "Forwarding",
    "GarpGroup",
    "GlobalDefs",
    "GratuitousArp",
    "GroupMember",
    "HmacKey",
    "HmacMode",
    "InitialState",
    "IpvsSection",
    "MiscCommand",
    "NextHop",
    "NotifyKind",
    "NotifySection",
    "NotifyTarget",
    "ParamMatch",
    "Protocol",
    "Range",
    "RealServer",
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
    "VirtualServer",
    "VrrpInstance",
    "VrrpSection",
    "family_of",
]
