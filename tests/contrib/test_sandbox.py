"""A gateway in the sandbox of its unit: it lacks nothing, and what it must not do is refused."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from tests.contrib.units import SERVICE, USER, allowed_calls, settings, value
from tests.rigs.folders import folder, write_text
from tests.rigs.gateway import Tables
from tests.rigs.load import FRED, NOBODY
from tests.rigs.managed import ManagedGateway
from tests.rigs.milter import CONTINUE, MilterClient
from tests.rigs.processes import complete
from tests.rigs.program import gateway_python
from tests.rigs.require import require
from tests.rigs.sandbox import Sandbox

pytestmark = pytest.mark.real

UNKNOWN = b"550 5.1.1 User unknown"
# include/uapi/linux/capability.h
CAPABILITIES = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_FOWNER": 3,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_NET_BIND_SERVICE": 10,
}

# What the sandbox refuses, each tried and its error's number printed; 0 would be a hole.
PROBES = """
import ctypes, mmap, os, resource, socket, sys

def tried(what):
    try:
        what()
    except OSError as error:
        return error.errno
    return 0

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p

def call(name, *arguments):
    if getattr(libc, name)(*arguments) in (-1, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), name)

WX = mmap.PROT_WRITE | mmap.PROT_EXEC
print(
    tried(lambda: open("/etc/of-the-test", "w")),
    tried(lambda: open(sys.argv[1] + "/of-the-test", "w")),
    tried(lambda: open("/proc/meminfo")),
    tried(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
    tried(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
    tried(lambda: call("mmap", None, 4096, WX, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)),
    tried(lambda: call("unshare", 0x00020000)),
    tried(lambda: call("mount", b"none", b"/mnt", b"tmpfs", 0, None)),
    tried(lambda: call("ptrace", 0, 0, 0, 0)),
    tried(lambda: os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0))),
    tried(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE))),
)
"""
REFUSED = [
    *(errno.EROFS, 0, errno.ENOENT, errno.EAFNOSUPPORT, 0),
    *(errno.EPERM, errno.EPERM, errno.EPERM, errno.EPERM, errno.EPERM, 0),
]


def sandbox(writable: str) -> Sandbox:
    """The unit's, with the folder in which the test's sockets are."""
    assert value("ProtectSystem") == "strict"
    assert value("MemoryDenyWriteExecute") == value("RestrictNamespaces") == "yes"
    assert (value("ProtectProc"), value("ProcSubset")) == ("invisible", "pid")
    assert value("SystemCallErrorNumber") == "EPERM"
    assert set(value("CapabilityBoundingSet").split()) == set(CAPABILITIES)
    return Sandbox(
        writable=[writable],
        capabilities=CAPABILITIES,
        calls=allowed_calls(),
        families=settings(SERVICE)["RestrictAddressFamilies"][0].split(),
    )


def test_the_sandbox_is_one() -> None:
    """Else the next test would show nothing; writing into the folder and raising a limit are not crimes."""
    require("systemd", "build")
    with folder("box") as own, folder("box") as place:
        python, _ = gateway_python(USER)
        done = complete([*sandbox(own).prefix(place), python, "-I", "-c", PROBES, own])
        assert done.returncode == 0, done.stderr
        assert [int(each) for each in done.stdout.split()] == REFUSED


def ask_interfaces(managed: ManagedGateway) -> None:
    """All interfaces give the answers that are true."""
    assert managed.ask("socketmap", FRED) == b"OK " + FRED
    assert managed.ask("policy", NOBODY) == UNKNOWN
    with MilterClient(managed.path("milter")) as mta:
        mta.connect()
        mta.mail()
        assert mta.rcpt(b"<%s>" % FRED) == CONTINUE
        assert mta.rcpt(b"<%s>" % NOBODY) == UNKNOWN


def test_a_gateway_lives_in_it() -> None:
    """It starts as root, leaves it, serves at every interface, restarts what dies, reloads and stops."""
    require("systemd", "build")
    with ManagedGateway({"": {"user": USER}}, milter=True) as managed, folder("box") as place:
        managed.python = gateway_python(USER)
        managed.start(prefix=sandbox(managed.folder).prefix(place))
        managed.wait_told("READY")
        for pid in managed.daemon.members():
            with open(f"/proc/{pid}/status", encoding="utf-8") as file:
                found = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
            assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")
            assert int(found["CapBnd"], 16) == sum(1 << bit for bit in CAPABILITIES.values())
            assert int(found["CapEff"], 16) == 0
        ask_interfaces(managed)
        os.kill(managed.pid("core"), signal.SIGKILL)
        ask_interfaces(managed)
        managed.reload()
        ask_interfaces(managed)
        managed.signal(signal.SIGTERM)
        assert managed.exit_code() == os.EX_OK
        assert not managed.logged("not permitted")
        assert not managed.logged("Traceback")


def test_postfix_tables_are_asked_in_it() -> None:
    """postconf and postmap run in the sandbox, too: no file, call or memory of theirs is refused."""
    require("systemd", "build", "postfix")
    with folder("box") as place, folder("mta") as tables:
        write_text(f"{tables}/virtual", "sales@example.org fred@example.org\n")
        write_text(f"{tables}/virtual.pcre", "/^team-[a-z]+@example.org$/ fred@example.org\n")
        write_text(
            f"{tables}/main.cf",
            "compatibility_level = 3.6\nmyhostname = mx.test.example\nmydestination =\n"
            "virtual_mailbox_domains = example.org\nvirtual_transport = lmtp:unix:/cyrus\n"
            f"virtual_alias_maps = hash:{tables}/virtual, pcre:{tables}/virtual.pcre\n",
        )
        done = complete(["/usr/sbin/postmap", "-c", tables, f"hash:{tables}/virtual"])
        assert done.returncode == 0, done.stderr
        scope: Tables = {"": {"user": USER}, "scope": {"domains": [], "postfix": tables}}
        with ManagedGateway(scope, milter=True) as managed:
            managed.python = gateway_python(USER)
            managed.start(prefix=sandbox(managed.folder).prefix(place))
            managed.wait_told("READY")
            ask_interfaces(managed)
            for alias in (b"sales@example.org", b"team-blue@example.org"):
                assert managed.ask("policy", alias) == b"DUNNO"
            assert not managed.logged("not permitted")
            managed.signal(signal.SIGTERM)
            assert managed.exit_code() == os.EX_OK
