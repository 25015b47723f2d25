"""imapd.conf: tables of files and what must come out, after lib/libconfig.c."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cyrus import imapdconf, imapdconf_file
from gateway.cyrus.imapdconf import ImapdConf, load
from gateway.cyrus.imapdconf_file import MAX_INCLUDE_DEPTH, read_settings
from gateway.errors import ConfigurationError

Write = Callable[[bytes], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes an imapd.conf that begins with a configdirectory, and gives its path."""

    def write(content: bytes) -> str:
        path = tmp_path / "imapd.conf"
        path.write_bytes(b"configdirectory: /var/lib/cyrus\n" + content)
        return str(path)

    return write


# lib/imapoptions of Cyrus 3.13, and smmapd(8); what is not here is NULL or empty.
DEFAULTS = b"""
addressbookprefix: #addressbooks
altnamespace: 1
auditlog: 0
auth_mech: unix
autocreate_post: 0
autocreate_quota: -1
autocreate_quota_messages: -1
autocreate_users: anyone
calendarprefix: #calendars
davdriveprefix: #drive
davnotificationsprefix: #notifications
debug: 0
defaultdomain: internal
deletedprefix: DELETED
fulldirhash: 0
hashimapspool: 0
improved_mboxlist_sort: 0
jmapnotificationfolder: #jmapnotification
jmappushsubscriptionfolder: #jmappushsubscription
jmapsubmissionfolder: #jmapsubmission
jmapuploadfolder: #jmap
lmtp_downcase_rcpt: 1
lmtp_fuzzy_mailbox_match: 0
lmtp_over_quota_perm_failure: 0
lmtp_strict_quota: 0
lmtp_strict_rfc2821: 1
mboxlist_db: twoskip
mboxlist_db_path: {configdirectory}/mailboxes.db
mupdate_config: standard
mupdate_port: 3905
quota_db: quotalegacy
quota_db_path: {configdirectory}/quotas.db
quota_use_conversations: 0
sharedprefix: Shared Folders
sieve_folder: #sieve
smmapd_backend_port: 12345
smmapd_backend_timeout: 5s
smmapd_backend_unreachable: ok
sql_usessl: 0
tcp_keepalive: 0
tcp_keepalive_cnt: 0
tcp_keepalive_idle: 0
tcp_keepalive_intvl: 0
unixhierarchysep: 1
userdeny_db: flat
userdeny_db_path: {configdirectory}/user_deny.db
username_tolower: 1
userprefix: Other Users
virtdomains: off
"""


def test_defaults_are_those_of_the_newest_cyrus(write: Write) -> None:
    """A file with nothing but configdirectory says what one with every default written out says."""
    conf = load(write(b""))
    assert conf.configdirectory == "/var/lib/cyrus"
    assert conf.mboxlist_db_path == "/var/lib/cyrus/mailboxes.db"
    assert conf.servername
    written = load(write(DEFAULTS))
    assert conf.given == {"configdirectory"}
    for name in set(ImapdConf.__slots__) - {"given"}:
        assert getattr(conf, name) == getattr(written, name), name
        if f"\n{name}: " not in DEFAULTS.decode() and name not in ("configdirectory", "servername"):
            assert not getattr(conf, name), name


def test_every_declared_option_is_an_attribute() -> None:
    """The table and the class name the same options, so none is read in vain."""
    assert set(ImapdConf.__slots__) == {option.name for option in imapdconf.OPTIONS} | {"given"}
    assert set(ImapdConf.__annotations__) == set(ImapdConf.__slots__)


def test_the_password_is_not_shown(write: Write) -> None:
    """repr() is fit for a log: it leaves the SQL password out."""
    assert "hush" not in repr(load(write(b"sql_passwd: hush\n")))


LINES = [
    (b"postuser: bb", b"bb"),
    (b"postuser:bb", b"bb"),
    (b"  \tpostuser: bb", b"bb"),
    (b"postuser: \t bb \r", b"bb"),
    (b"PostUser: Bb", b"Bb"),
    (b"postuser: b b", b"b b"),
    (b"postuser: b#b", b"b#b"),
    (b"postuser: b:b", b"b:b"),
    (b"# postuser: no\npostuser: bb", b"bb"),
    (b"   # postuser: no\n\n \t\npostuser: bb", b"bb"),
    (b"postuser: b\\\nb", b"bb"),
    (b"postuser: \\\n  bb", b"bb"),
    (b"postuser: b\\\n \\\nb", b"b b"),
    (b"# a comment goes on \\\npostuser: no\npostuser: bb", b"bb"),
    (b"unknown_option: x\npostuser: bb", b"bb"),
    (b"partition-default: /var/spool\npostuser: bb", b"bb"),
    (b"postuser: bb\\", b"bb\\"),
    (b"postuser: bb\0 and more", b"bb"),
    (b"postuser: bb\nuserprefix: lost\\\n", b"bb"),
    (b"postuser: \\\n\\\n", b""),
    (b"postuser: {ConfigDirectory}/x", b"/var/lib/cyrus/x"),
    (b"postuser: x{configdirectory}", b"x{configdirectory}"),
    (b"postuser: \xff\xfe", b"\xff\xfe"),
]


@pytest.mark.parametrize(("content", "postuser"), LINES)
def test_lines_are_read_as_cyrus_reads_them(write: Write, content: bytes, postuser: bytes) -> None:
    """White space, comments, continuations and NUL bytes are treated as Cyrus does."""
    assert load(write(content)).postuser == postuser


SERVICES = [
    (b"smmap_postuser: own\npostuser: all", "smmap", b"own"),
    (b"postuser: all\nsmmap_postuser: own", "smmap", b"own"),
    (b"postuser: all\nsmmap_postuser: own", "lookup", b"all"),
    (b"postuser: all\nsmmap_postuser: own", None, b"all"),
    (b"postuser: all\nSMMAP_postuser: own", "SmMap", b"own"),
    (b"smmap_postuser: own\npostuser: all\npostuser: again", "smmap", b"own"),
    (b"postuser: all\nsmmap_postuser: own\npostuser: again", "smmap", b"own"),
    (b"smmap_unknown: x\npostuser: all", "smmap", b"all"),
]


@pytest.mark.parametrize(("content", "service", "postuser"), SERVICES)
def test_an_option_of_a_service_wins_for_that_service_alone(
    write: Write, content: bytes, service: str | None, postuser: bytes
) -> None:
    """SERVICE_option wins for its own service, wherever it is, and for no other."""
    assert load(write(content), service).postuser == postuser


@pytest.mark.parametrize(
    ("word", "value"),
    [
        (b"off", imapdconf.VIRTDOMAINS_OFF),
        (b"no", imapdconf.VIRTDOMAINS_OFF),
        (b"0", imapdconf.VIRTDOMAINS_OFF),
        (b"f", imapdconf.VIRTDOMAINS_OFF),
        (b"false", imapdconf.VIRTDOMAINS_OFF),
        (b"userid", imapdconf.VIRTDOMAINS_USERID),
        (b"on", imapdconf.VIRTDOMAINS_ON),
        (b"yes", imapdconf.VIRTDOMAINS_ON),
        (b"1", imapdconf.VIRTDOMAINS_ON),
        (b"t", imapdconf.VIRTDOMAINS_ON),
        (b"true", imapdconf.VIRTDOMAINS_ON),
    ],
)
def test_virtdomains_takes_its_words(write: Write, word: bytes, value: int) -> None:
    """virtdomains takes its own words and the spellings of yes and no."""
    assert load(write(b"virtdomains: " + word)).virtdomains == value


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("virtdomains", "off userid on"),
        ("mupdate_config", "standard unified replicated"),
        ("smmapd_backend_unreachable", "ok temp"),
    ],
)
def test_the_words_of_an_option_are_told_apart(write: Write, option: str, words: str) -> None:
    """No two of them are the same value."""
    values = {getattr(load(write(f"{option}: {word}".encode())), option) for word in words.split()}
    assert len(values) == len(words.split())


# mupdate_server, mupdate_config, proxyservers, and whether such a server asks mupdate for mailboxes
# that its list does not hold: all of a Murder do but a standard one's backends, which have a list
# of their own.
KICKS = [
    (None, None, None, False),
    (None, None, "frontend", False),
    (None, "standard", None, False),
    (None, "unified", "frontend", False),
    (None, "replicated", None, False),
    ("mupdate.example", None, None, True),
    ("mupdate.example", None, "frontend", False),
    ("mupdate.example", "standard", None, True),
    ("mupdate.example", "standard", "frontend", False),
    ("mupdate.example", "unified", None, True),
    ("mupdate.example", "unified", "frontend", True),
    ("mupdate.example", "replicated", None, True),
    ("mupdate.example", "replicated", "frontend", True),
]


@pytest.mark.parametrize(("server", "config", "proxyservers", "kicks"), KICKS)
def test_who_asks_mupdate(
    write: Write, server: str | None, config: str | None, proxyservers: str | None, kicks: bool
) -> None:
    """Frontends of each kind of Murder, and backends that have all of its list."""
    options = {"mupdate_server": server, "mupdate_config": config, "proxyservers": proxyservers}
    lines = [f"{name}: {value}\n" for name, value in options.items() if value is not None]
    assert load(write("".join(lines).encode()), "smmap").kicks_mupdate is kicks


FAULTS = [
    (b"postuser bb", 2, None, "expected"),
    (b"postuser : bb", 2, None, "expected"),
    (b": bb", 2, None, "expected"),
    (b"post.user: bb", 2, None, "expected"),
    (b"\npostuser:", 3, "postuser", "empty"),
    (b"postuser: a\npostuser: b", 3, "postuser", "twice"),
    (b"unknown: a\nunknown: b", 3, "unknown", "twice"),
    (b"smmap_postuser: a\nsmmap_postuser: b", 3, "smmap_postuser", "twice"),
    (b"lmtp_downcase_rcpt: maybe", 2, "lmtp_downcase_rcpt", "maybe"),
    (b"lmtp_downcase_rcpt: maybe\nsmmap_lmtp_downcase_rcpt: yes", 2, "lmtp_downcase_rcpt", "maybe"),
    (b"virtdomains: Yes", 2, "virtdomains", "Yes"),
    (b"mboxlist_db: berkeley", 2, "mboxlist_db", "berkeley"),
    (b"mupdate_port: http", 2, "mupdate_port", "http"),
    (b"tcp_keepalive_idle: soon", 2, "tcp_keepalive_idle", "soon"),
    (b"@exclude: /x", 2, "@exclude", "directive"),
    (b"@ include: /x", 2, None, "expected"),
    (b"@include: /nonexistent/file", 2, "@include", "/nonexistent/file"),
    (b"a: 1\\\n2\n b c", 4, None, "expected"),
]


@pytest.mark.parametrize(("content", "line", "option", "word"), FAULTS)
def test_a_fault_names_the_file_its_line_and_the_option(
    write: Write, content: bytes, line: int, option: str | None, word: str
) -> None:
    """A fault names the file, its line and the option."""
    path = write(content)
    with pytest.raises(ConfigurationError, match=word) as caught:
        load(path, "smmap")
    assert (caught.value.file, caught.value.line, caught.value.option) == (path, line, option)


@pytest.mark.parametrize("content", [b"", b"configdirectory: var", b"configdirectory: /"])
def test_configdirectory_is_needed(tmp_path: Path, content: bytes) -> None:
    """configdirectory is an absolute path and not the root."""
    path = tmp_path / "imapd.conf"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load(str(path))
    assert caught.value.option == "configdirectory"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that cannot be read is a configuration error with its name."""
    with pytest.raises(ConfigurationError, match="cannot read") as caught:
        load(str(tmp_path / "none"))
    assert caught.value.file == str(tmp_path / "none")


def test_include_reads_at_its_place(write: Write, tmp_path: Path) -> None:
    """An included file counts as if it were in the place of the directive."""
    (tmp_path / "more").write_bytes(b"postuser: bb\nquota_db_path: {configdirectory}/q\n")
    conf = load(write(f"@Include: {tmp_path}/more\nmboxlist_db: flat".encode()))
    assert (conf.postuser, conf.mboxlist_db) == (b"bb", "flat")
    assert conf.quota_db_path == "/var/lib/cyrus/q"


def test_a_fault_in_an_included_file_names_that_file(write: Write, tmp_path: Path) -> None:
    """The line is counted in the file where the fault stands."""
    (tmp_path / "more").write_bytes(b"\n\npostuser\n")
    with pytest.raises(ConfigurationError) as caught:
        load(write(f"@include: {tmp_path}/more".encode()))
    assert (caught.value.file, caught.value.line) == (str(tmp_path / "more"), 3)


def test_include_loops_end(write: Write, tmp_path: Path) -> None:
    """A file that includes itself is an error."""
    path = write(f"@include: {tmp_path}/imapd.conf".encode())
    with pytest.raises(ConfigurationError, match="twice"):
        load(path)


def chain(folder: Path, files: int) -> str:
    """The first of so many files, each of which includes the next."""
    for at in range(files):
        following = f"@include: {folder}/{at + 1}" if at + 1 < files else ""
        (folder / str(at)).write_text(following)
    return f"{folder}/0"


def test_files_include_each_other_to_a_depth(write: Write, tmp_path: Path) -> None:
    """A chain of links with ever new names ends; files side by side are not a chain."""
    beside = [tmp_path / f"beside{number}" for number in range(MAX_INCLUDE_DEPTH + 1)]
    for path in beside:
        path.write_bytes(b"# nothing")
    lines = "".join(f"@include: {path}\n" for path in beside)
    load(write(f"{lines}@include: {chain(tmp_path, MAX_INCLUDE_DEPTH - 1)}".encode()))
    with pytest.raises(ConfigurationError, match=f"more than {MAX_INCLUDE_DEPTH} files"):
        load(write(f"{lines}@include: {chain(tmp_path, MAX_INCLUDE_DEPTH)}".encode()))


def test_a_file_without_end_is_none(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of settings is some kilobytes; what is larger than the bound is refused."""
    path = write(b"postuser: bb")
    size = Path(path).stat().st_size
    monkeypatch.setattr(imapdconf_file, "MAX_FILE_SIZE", size)
    assert load(path).postuser == b"bb"
    monkeypatch.setattr(imapdconf_file, "MAX_FILE_SIZE", size - 1)
    with pytest.raises(ConfigurationError, match=f"larger than {size - 1} bytes"):
        load(path)


def test_files_are_looked_for_below_cyrus_prefix_first(tmp_path: Path) -> None:
    """With CYRUS_PREFIX a file is looked for below it first, then at its own path."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "imapd.conf").write_bytes(b"configdirectory: /conf\n")
    assert load("/etc/imapd.conf", prefix=str(tmp_path)).configdirectory == "/conf"
    plain = str(tmp_path / "etc" / "imapd.conf")
    assert load(plain, prefix="/nonexistent").configdirectory == "/conf"


@given(st.binary(max_size=300) | st.text("abc:@#\\ \n\t_0-").map(str.encode))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """No content raises anything but ConfigurationError."""
    path = tmp_path_factory.getbasetemp() / "any.conf"
    path.write_bytes(content)
    try:
        read_settings(
            str(path), "smmap", {option.name: option.parse for option in imapdconf.OPTIONS}
        )
    except ConfigurationError as error:
        assert str(error)


def test_every_mistake_at_once(tmp_path: Path) -> None:
    """For the administrator that corrects the file; what `load` takes has none."""
    path = tmp_path / "imapd.conf"
    path.write_text(
        "configdirectory: /var/lib/cyrus\nvirtdomains: perhaps\nnonsense\nvirtdomains: off\n"
        "@frobnicate: x\nlmtp_downcase_rcpt: maybe\n"
    )
    assert [(each.line, each.option) for each in imapdconf.problems(str(path))] == [
        (2, "virtdomains"),
        (3, None),
        (4, "virtdomains"),
        (5, "@frobnicate"),
        (6, "lmtp_downcase_rcpt"),
    ]
    path.write_text("configdirectory: /var/lib/cyrus\n")
    assert imapdconf.problems(str(path)) == []
    path.write_text("servername: x\n")
    assert [each.option for each in imapdconf.problems(str(path))] == ["configdirectory"]
    assert len(imapdconf.problems(str(tmp_path / "none"))) == 1
