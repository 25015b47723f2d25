"""imapd.conf, as far as the answer of a recipient look-up depends on it.

`load` reads the file and gives an `ImapdConf`, one typed attribute an option.
`OPTIONS` declares each of them once: its name, what its value may be and its
default; everything else follows from that table.  Names, kinds and defaults
are those of the newest Cyrus (lib/imapoptions); `smmapd_*` are ours,
and other programs of Cyrus ignore them (smmapd(8)).

Older releases had other defaults.  Where the difference can change an answer,
it must be written into the file, as Cyrus' own upgrade notes ask for
(gateway/cyrus/olddefaults.py; also `defaultdomain`, which was none before
3.0).  `mboxlist_db` (skiplist before 2.5) only says what to expect: the file
itself tells its format.

Limits: the conversations database is not read, so `quota_use_conversations`
is known here and has no effect.
"""

from __future__ import annotations

import os

from gateway.cyrus import imapdconf_file, imapdconf_values
from gateway.errors import ConfigurationError
from gateway.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VIRTDOMAINS_OFF = 0
VIRTDOMAINS_USERID = 1
VIRTDOMAINS_ON = 2  # same with 3: it only has to differ

MUPDATE_STANDARD = 0
MUPDATE_UNIFIED = 1
MUPDATE_REPLICATED = 2  # same with 3: it only has to differ

_DATABASES = ("flat", "skiplist", "sql", "twom", "twoskip")


class Option(Value):
    """The declaration of one option.

    `parse` turns the bytes of the file into the attribute's value and raises
    ValueError with the reason where they are none.
    """

    __slots__ = ("default", "name", "parse")
    default: object
    name: str
    parse: Callable[[bytes], object]

    def __init__(self, name: str, parse: Callable[[bytes], object], default: object) -> None:
        self.default = default
        self.name = name
        self.parse = parse
        self._freeze()


_text = imapdconf_values.text
_raw = imapdconf_values.raw
_switch = imapdconf_values.switch
_number = imapdconf_values.number
_seconds = imapdconf_values.duration
_word = imapdconf_values.word
_enum = imapdconf_values.enum

# The attribute of ImapdConf has the option's name.  A default of None is
# Cyrus' NULL; `load` fills in the paths and the server's name.
OPTIONS: tuple[Option, ...] = (
    Option("addressbookprefix", _raw, b"#addressbooks"),
    Option("admins", _text, ""),
    Option("altnamespace", _switch, True),
    Option("auditlog", _switch, False),
    Option("auth_mech", _text, "unix"),
    Option("autocreate_post", _switch, False),
    Option("autocreate_quota", imapdconf_values.kibibytes, -1),
    Option("autocreate_quota_messages", _number, -1),
    Option("autocreate_users", _text, "anyone"),
    Option("calendarprefix", _raw, b"#calendars"),
    Option("configdirectory", _text, None),
    Option("davdriveprefix", _raw, b"#drive"),
    Option("davnotificationsprefix", _raw, b"#notifications"),
    Option("debug", _switch, False),
    Option("debug_command", _text, None),
    Option("defaultdomain", _raw, b"internal"),
    Option("deletedprefix", _raw, b"DELETED"),
    Option("fulldirhash", _switch, False),
    Option("hashimapspool", _switch, False),
    Option("improved_mboxlist_sort", _switch, False),
    Option("jmapnotificationfolder", _raw, b"#jmapnotification"),
    Option("jmappushsubscriptionfolder", _raw, b"#jmappushsubscription"),
    Option("jmapsubmissionfolder", _raw, b"#jmapsubmission"),
    Option("jmapuploadfolder", _raw, b"#jmap"),
    Option("lmtp_catchall_mailbox", _raw, None),
    Option("lmtp_downcase_rcpt", _switch, True),
    Option("lmtp_fuzzy_mailbox_match", _switch, False),
    Option("lmtp_over_quota_perm_failure", _switch, False),
    Option("lmtp_strict_quota", _switch, False),
    Option("lmtp_strict_rfc2821", _switch, True),
    Option("mboxlist_db", _word(*_DATABASES), "twoskip"),
    Option("mboxlist_db_path", _text, None),
    Option(
        "mupdate_config",
        _enum(standard=MUPDATE_STANDARD, unified=MUPDATE_UNIFIED, replicated=MUPDATE_REPLICATED),
        MUPDATE_STANDARD,
    ),
    Option("mupdate_port", _number, 3905),
    Option("mupdate_server", _text, None),
    Option("notesmailbox", _raw, None),
    Option("postuser", _raw, b""),
    Option("proxyservers", _text, None),
    Option("quota_db", _word(*_DATABASES, "quotalegacy"), "quotalegacy"),
    Option("quota_db_path", _text, None),
    Option("quota_use_conversations", _switch, False),
    Option("servername", _text, None),
    Option("sharedprefix", _raw, b"Shared Folders"),
    Option("sieve_folder", _raw, b"#sieve"),
    Option("smmapd_allow_empty_list", _switch, False),
    Option("smmapd_backend_port", imapdconf_values.port, 12345),
    Option("smmapd_backend_timeout", imapdconf_values.timeout, 5),
    Option("smmapd_backend_unreachable", _enum(ok=True, temp=False), True),
    Option("sql_database", _text, None),
    Option("sql_engine", _word("mysql", "pgsql", "sqlite"), None),
    Option("sql_hostnames", _text, ""),
    Option("sql_passwd", _text, None),
    Option("sql_user", _text, None),
    Option("sql_usessl", _switch, False),
    Option("syslog_facility", _text, None),
    Option("syslog_prefix", _text, None),
    Option("tcp_keepalive", _switch, False),
    Option("tcp_keepalive_cnt", _number, 0),
    Option("tcp_keepalive_idle", _seconds, 0),
    Option("tcp_keepalive_intvl", _seconds, 0),
    Option("unixhierarchysep", _switch, True),
    Option("userdeny_db", _word(*_DATABASES), "flat"),
    Option("userdeny_db_path", _text, None),
    Option("username_tolower", _switch, True),
    Option("userprefix", _raw, b"Other Users"),
    Option(
        "virtdomains",
        _enum(off=VIRTDOMAINS_OFF, userid=VIRTDOMAINS_USERID, on=VIRTDOMAINS_ON),
        VIRTDOMAINS_OFF,
    ),
)

# What Cyrus up to 2.4 called them; the newer name wins where both are given.
RENAMED = {
    "autocreatequota": "autocreate_quota",
    "autocreatequotamsg": "autocreate_quota_messages",
    "createonpost": "autocreate_post",
}

# File names below configdirectory (FNAME_MBOXLIST, FNAME_QUOTADB and
# FNAME_USERDENYDB in imap/).  quotalegacy strips the last part again.
_DATABASE_PATHS = {
    "mboxlist_db_path": "/mailboxes.db",
    "quota_db_path": "/quotas.db",
    "userdeny_db_path": "/user_deny.db",
}

# Stands for the value of configdirectory at the beginning of any other text.
_PLACEHOLDER = "{configdirectory}"
_WIDTH = len(_PLACEHOLDER)


class ImapdConf(Value):
    """The options of one imapd.conf; each attribute is explained in imapd.conf(5).

    The three `*_db_path` are never empty: they are what the file says or
    Cyrus' default below `configdirectory`.  `defaultdomain`, `postuser`,
    `lmtp_catchall_mailbox` and the prefixes are bytes as they are in the file;
    `autocreate_quota` is in KiB.  `given` are the names of the options that the
    file has.
    """

    __slots__ = (*(option.name for option in OPTIONS), "given")
    addressbookprefix: bytes
    admins: str
    altnamespace: bool
    auditlog: bool
    auth_mech: str
    autocreate_post: bool
    autocreate_quota: int
    autocreate_quota_messages: int
    autocreate_users: str
    calendarprefix: bytes
    configdirectory: str
    davdriveprefix: bytes
    davnotificationsprefix: bytes
    debug: bool
    debug_command: str | None
    defaultdomain: bytes
    deletedprefix: bytes
    fulldirhash: bool
    hashimapspool: bool
    improved_mboxlist_sort: bool
    jmapnotificationfolder: bytes
    jmappushsubscriptionfolder: bytes
    jmapsubmissionfolder: bytes
    jmapuploadfolder: bytes
    lmtp_catchall_mailbox: bytes | None
    lmtp_downcase_rcpt: bool
    lmtp_fuzzy_mailbox_match: bool
    lmtp_over_quota_perm_failure: bool
    lmtp_strict_quota: bool
    lmtp_strict_rfc2821: bool
    mboxlist_db: str
    mboxlist_db_path: str
    mupdate_config: int
    mupdate_port: int
    mupdate_server: str | None
    notesmailbox: bytes | None
    postuser: bytes
    proxyservers: str | None
    quota_db: str
    quota_db_path: str
    quota_use_conversations: bool
    servername: str
    sharedprefix: bytes
    sieve_folder: bytes
    smmapd_allow_empty_list: bool
    smmapd_backend_port: int
    smmapd_backend_timeout: int
    smmapd_backend_unreachable: bool
    sql_database: str | None
    sql_engine: str | None
    sql_hostnames: str
    sql_passwd: str | None
    sql_user: str | None
    sql_usessl: bool
    syslog_facility: str | None
    syslog_prefix: str | None
    tcp_keepalive: bool
    tcp_keepalive_cnt: int
    tcp_keepalive_idle: int
    tcp_keepalive_intvl: int
    unixhierarchysep: bool
    userdeny_db: str
    userdeny_db_path: str
    username_tolower: bool
    userprefix: bytes
    virtdomains: int
    given: frozenset[str]

    def __init__(self, **given: object) -> None:
        """Takes options by name; what is not given has its default.

        Needs `configdirectory`.  Values have the attribute's type already.
        """
        values: dict[str, object] = {option.name: option.default for option in OPTIONS}
        values.update(given)
        directory = values["configdirectory"]
        for name, below in _DATABASE_PATHS.items():
            if values[name] is None:
                values[name] = f"{directory}{below}"
        if values["servername"] is None:
            values["servername"] = os.uname().nodename
        values["given"] = frozenset(given)
        for name in self.__slots__:
            setattr(self, name, values[name])
        self._freeze()

    @property
    def kicks_mupdate(self) -> bool:
        """Whether such a server asks mupdate for mailboxes that its list does not hold.

        A standard backend keeps its own list and asks nobody.
        """
        backend = self.mupdate_config == MUPDATE_STANDARD and self.proxyservers is not None
        return self.mupdate_server is not None and not backend

    def __repr__(self) -> str:
        """Without the SQL password."""
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"ImapdConf({', '.join(x for x in shown if not x.startswith('sql_passwd='))})"


def load(path: str, service: str | None = None, *, prefix: str | None = None) -> ImapdConf:
    """Read the imapd.conf at `path` for `service`, its name in cyrus.conf.

    `prefix` is the value of the environment's CYRUS_PREFIX, if there is one.
    Raises `ConfigurationError` with file, line and option.
    """
    known = {option.name: option.parse for option in OPTIONS}
    known |= {old: known[new] for old, new in RENAMED.items()}
    values = imapdconf_file.read_settings(path, service, known, prefix)
    for old, new in RENAMED.items():
        if old in values:
            values.setdefault(new, values.pop(old))
    directory = values.get("configdirectory")
    if not isinstance(directory, str):
        raise ConfigurationError("the option is missing", file=path, option="configdirectory")
    if not directory.startswith("/") or directory == "/":
        raise ConfigurationError(
            f"must be an absolute path and not /: {directory}", file=path, option="configdirectory"
        )
    return ImapdConf(**_with_directory(values, directory))


def problems(path: str, service: str | None = None) -> list[ConfigurationError]:
    """Every mistake of the imapd.conf at `path`; none if `load` takes it.

    What is wrong with the whole (configdirectory, an unreadable file) comes last.
    """
    found: list[ConfigurationError] = []
    known = {option.name: option.parse for option in OPTIONS}
    try:
        imapdconf_file.read_settings(path, service, known, report=found.append)
        if not found:
            load(path, service)
    except ConfigurationError as fault:
        found.append(fault)
    return found


def _with_directory(values: Mapping[str, object], directory: str) -> dict[str, object]:
    """Put `directory` in the place of a leading {configdirectory}."""
    resolved = dict(values)
    for name, value in values.items():
        if name == "configdirectory":
            continue
        if isinstance(value, str) and value[:_WIDTH].lower() == _PLACEHOLDER:
            resolved[name] = directory + value[_WIDTH:]
        elif isinstance(value, bytes) and value[:_WIDTH].lower() == _PLACEHOLDER.encode():
            resolved[name] = directory.encode("utf-8", "surrogateescape") + value[_WIDTH:]
    return resolved
