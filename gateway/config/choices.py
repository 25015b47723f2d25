"""The words that settings choose from; each set is closed, each word is what gateway.toml says."""

from __future__ import annotations

from enum import Enum

from gateway.frontends.waiver import Mode, OnError

__all__ = [
    "AddressPrivacy",
    "AuthorityName",
    "Facility",
    "Library",
    "LogFormat",
    "LogLevel",
    "LogTarget",
    "Mode",
    "OnError",
    "Order",
    "SizeCheck",
    "TlsVersion",
    "Unreachable",
]


class Library(Enum):
    """What speaks the milter protocol."""

    PYMILTER = "pymilter"
    BUILTIN = "builtin"


class AuthorityName(Enum):
    """The authority that answers: what delivery does, or what smmapd says."""

    DELIVERY = "delivery"
    SMMAPD = "smmapd"


class Order(Enum):
    """Which of several servers is asked first."""

    FAILOVER = "failover"
    SPREAD = "spread"


class Unreachable(Enum):
    """What a recipient gets whose backend cannot be asked."""

    OK = "ok"
    TEMPFAIL = "tempfail"


class TlsVersion(Enum):
    """Versions of TLS that are not broken."""

    TLS_1_2 = "1.2"
    TLS_1_3 = "1.3"


class SizeCheck(Enum):
    """Whether an announced size is compared with the free quota, and how a refusal ends."""

    OFF = "off"
    TEMPORARY = "temporary"
    PERMANENT = "permanent"


class LogTarget(Enum):
    """Where log lines go."""

    SYSLOG = "syslog"
    STDERR = "stderr"
    JOURNAL = "journal"


class LogFormat(Enum):
    """How a log line is written."""

    TEXT = "text"
    JSON = "json"


class AddressPrivacy(Enum):
    """How much of an address a log line (and the status page) shows."""

    FULL = "full"
    HASHED = "hashed"
    OFF = "off"


class LogLevel(Enum):
    """The least severe line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Facility(Enum):
    """Facilities of syslog(3) that a daemon may use."""

    MAIL = "mail"
    DAEMON = "daemon"
    USER = "user"
    LOCAL0 = "local0"
    LOCAL1 = "local1"
    LOCAL2 = "local2"
    LOCAL3 = "local3"
    LOCAL4 = "local4"
    LOCAL5 = "local5"
    LOCAL6 = "local6"
    LOCAL7 = "local7"
