"""What systemd puts around a service, put around a program without systemd.

    prefix = Sandbox(writable=[folder], calls=names, families=["AF_UNIX"], ...).prefix(folder)
    daemon = Daemon([*prefix, *argv], ...)

A mount namespace (everything read-only but `writable`, a small /dev, a /proc
without the machine), a bounding set of capabilities, no new privileges, and
a seccomp filter: the system calls by name, and the conditions on arguments
that RestrictAddressFamilies=, MemoryDenyWriteExecute= and RestrictNamespaces=
stand for.  Needs root, setpriv and a C preprocessor, which knows the numbers
of this machine's system calls.

Limits: PrivateTmp and ProtectHome are left out, because the tests' own
folders and the program itself may be there.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

# linux/audit.h
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# linux/bpf_common.h and linux/seccomp.h
_LOAD, _AND, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
# mman.h and sched.h
_WRITE, _EXECUTE = 2, 4
_NEW_NAMESPACES = 0x7E020080

# $1 is a new empty folder, the next words up to "--" are what may be written to.
_MOUNTS = """
set -e
dev=$1; shift
mount -t tmpfs -o mode=755 tmpfs "$dev"
for node in null zero full random urandom tty; do
    : >"$dev/$node"
    mount --bind "/dev/$node" "$dev/$node"
done
mkdir -m 1777 "$dev/shm"
ln -s /proc/self/fd "$dev/fd"
while [ "$1" != -- ]; do
    mount --bind "$1" "$1"
    kept="$kept $1 "
    shift
done
shift
mount --move "$dev" /dev
mount -t proc -o hidepid=invisible,subset=pid proc /proc
while read -r _ place _; do
    case "$place:$kept" in
        /proc*|/dev/*|"${place}:"*" $place "*) ;;
        # A mount that belongs to somebody else's namespace stays as it is.
        *) mount -o remount,bind,ro "$place" 2>/dev/null || : ;;
    esac
done </proc/self/mounts
umask 0077
exec "$@"
"""

# Takes the filter from the file of its first word and becomes the rest.
_LOADER = """
import ctypes, os, sys
with open(sys.argv[1], "rb") as file:
    code = file.read()
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
program = Program(len(code) // 8, code)
prctl = ctypes.CDLL(None, use_errno=True).prctl
if prctl(22, 2, ctypes.byref(program), 0, 0):  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
    raise OSError(ctypes.get_errno(), "no seccomp filter")
os.execvp(sys.argv[2], sys.argv[2:])
"""


def _numbers() -> dict[str, int]:
    """This machine's system calls."""
    done = subprocess.run(
        ["cc", "-E", "-dM", "-"], input="#include <asm/unistd.h>\n",
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    found = re.findall(r"^#define __NR_(\w+) (\d+)$", done.stdout, re.MULTILINE)
    return {name: int(number) for name, number in found}


def _instruction(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def _refuse(number: int) -> bytes:
    return _instruction(_RETURN, _ERRNO | number)


def _argument(place: int) -> bytes:
    """Load the low half of an argument."""
    return _instruction(_LOAD, _ARGUMENTS_AT + 8 * place)


@dataclass(frozen=True)
class Sandbox:
    """One service's: what may be written to, capabilities, system calls, address families."""

    writable: Sequence[str]
    capabilities: Collection[str]
    calls: Collection[str]
    families: Collection[str]

    def prefix(self, folder: str) -> list[str]:
        """The words before a command; `folder` takes what the sandbox itself needs."""
        dev = os.path.join(folder, "dev")
        os.mkdir(dev)
        path = os.path.join(folder, "seccomp")
        with open(path, "wb") as file:
            file.write(b"".join(self._filter()))
        kept = [f"+{name.removeprefix('CAP_').lower()}" for name in self.capabilities]
        return [
            *("unshare", "--mount", "sh", "-c", _MOUNTS, "sh", dev, *self.writable, "--"),
            *("setpriv", f"--bounding-set=-all,{','.join(kept)}", "--no-new-privs", "--"),
            *(os.path.realpath(sys.executable), "-I", "-c", _LOADER, path),
        ]

    def _filter(self) -> Iterator[bytes]:
        numbers = _numbers()
        yield _instruction(_LOAD, _ARCHITECTURE_AT)
        yield _instruction(_EQUAL, _ARCHITECTURES[platform.machine()], 1, 0)
        yield _instruction(_RETURN, _KILL)
        for name, steps in self._conditions():
            if name in numbers:
                yield _instruction(_LOAD, _NUMBER_AT)
                # Where it is another call, go on behind the steps.
                yield _instruction(_EQUAL, numbers[name], 0, len(steps))
                yield from steps
        yield _instruction(_LOAD, _NUMBER_AT)
        for name in sorted(self.calls):
            if name in numbers:
                yield _instruction(_EQUAL, numbers[name], 0, 1)
                yield _instruction(_RETURN, _ALLOW)
        yield _refuse(errno.EPERM)

    def _conditions(self) -> Iterator[tuple[str, list[bytes]]]:
        """System calls with the steps that refuse some of their arguments."""
        families = [int(getattr(socket, name)) for name in self.families]
        of_family = [_argument(0)]
        for place, number in enumerate(families):
            of_family.append(_instruction(_EQUAL, number, len(families) - place, 0))
        of_family.append(_refuse(errno.EAFNOSUPPORT))
        yield "socket", of_family
        yield "socketpair", of_family
        both = _WRITE | _EXECUTE
        yield (
            "mmap",
            [
                _argument(2),
                _instruction(_AND, both),
                _instruction(_EQUAL, both, 0, 1),
                _refuse(errno.EPERM),
            ],
        )
        later = [_argument(2), _instruction(_ANY_BIT, _EXECUTE, 0, 1), _refuse(errno.EPERM)]
        yield "mprotect", later
        yield "pkey_mprotect", later
        named = [_argument(0), _instruction(_ANY_BIT, _NEW_NAMESPACES, 0, 1)]
        yield "clone", [*named, _refuse(errno.EPERM)]
        yield "unshare", [*named, _refuse(errno.EPERM)]
        yield "setns", [_refuse(errno.EPERM)]
        # Its arguments are behind a pointer; a program that is told that there is none uses clone.
        yield "clone3", [_refuse(errno.ENOSYS)]
