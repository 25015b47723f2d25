"""Files in memory, on kernels of every age, and where a sandbox refuses them."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import memoryfiles
from tests.rigs.require import require_root

ROOT = Path(__file__).parents[1]
NOEXEC_SEAL = 0x8
REALLY = os.memfd_create

# $1: what the sysctl is; a namespace of processes has its own.
ENFORCED = """
mount -t proc proc /proc || exit 99
[ -e /proc/sys/vm/memfd_noexec ] || exit 98
echo 2 >/proc/sys/vm/memfd_noexec || exit 99
exec "$@"
"""
MAKES = """
import os, sys
sys.path.insert(0, sys.argv[1])
from gateway import memoryfiles
os.write(memoryfiles.create("test"), b"x")
"""


def kernel_6_3(name: str, flags: int) -> int:
    """Linux 6.3 to 6.5 with vm.memfd_noexec=2 (mm/memfd.c): EINVAL where nothing is said."""
    if not flags & NOEXEC_SEAL:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return REALLY(name, flags)


def kernel_6_2(name: str, flags: int) -> int:
    """Earlier ones: EINVAL for a flag that is not known."""
    if flags & NOEXEC_SEAL:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return REALLY(name, flags)


@pytest.mark.parametrize("kernel", [kernel_6_2, kernel_6_3, REALLY])
def test_every_kernel_makes_one(monkeypatch: pytest.MonkeyPatch, kernel: object) -> None:
    """It can be written and sealed, and is closed in programs that are started."""
    monkeypatch.setattr(os, "memfd_create", kernel)
    descriptor = memoryfiles.create("test")
    try:
        assert os.write(descriptor, b"index") == len(b"index")
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
        assert fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE
        assert not os.get_inheritable(descriptor)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM, errno.ENOMEM])
def test_a_refusal_names_the_call(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A sandbox's, or a lack of memory: what the log says shows what was wanted."""

    def refuse(_name: str, _flags: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "memfd_create", refuse)
    with pytest.raises(OSError, match=os.strerror(number)) as refused:
        memoryfiles.create("test")
    assert (refused.value.errno, refused.value.filename) == (number, "memfd_create")


@pytest.mark.processes
def test_where_the_system_enforces_it() -> None:
    """A real kernel with vm.memfd_noexec=2."""
    require_root("only root makes namespaces")
    namespace = [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        ENFORCED,
        "sh",
    ]
    done = subprocess.run(
        [*namespace, sys.executable, "-I", "-c", MAKES, str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 98), done.stderr  # 98: an earlier kernel, which has no such thing
