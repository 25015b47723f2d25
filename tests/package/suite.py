"""The tests on another release of Debian, in a root of it.

    python -m tests.package.suite trixie|testing [PYTEST WORDS...]

Debian 13 (trixie) runs everything: its root has every program that the tests
drive, in that release's versions.  Testing is there for its Python, and runs
what needs no other program.  Either has the clone as it is, with what is
not committed.  The tests run there as `make test` and `make unit` run them
here: packages.sh brings what must be unpacked, venv.sh makes the environment on
the release's Python from what constraints.txt pins (fetched here, by hash),
then pytest.  Its output is shown as it comes; its exit code is the program's.

The root is a copy that is thrown away.  In the cache beside it stay what pip
and packages.sh have fetched.  The suite runs in namespaces of its own for
processes and mounts, and in this machine's network: apt-get is needed inside.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tests.rigs.debian import DEBIAN_13, TESTING, Root, cache_folder, debian
from tests.rigs.processes import run
from tests.rigs.program import ROOT
from tests.rigs.require import PACKAGES


@dataclass(frozen=True, slots=True)
class _Suite:
    """What runs on a release: its Python, pytest's marks, and what packages are needed.

    `groups` are those of packages.sh; none: the default ones, some of which are unpacked inside.
    """

    python: str
    marks: str
    groups: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


_SUITES = {
    DEBIAN_13: _Suite("3.13", "not clean and not delivery"),
    TESTING: _Suite(
        "3.14",
        "not real and not clean and not delivery",
        groups=("build",),
        # What psycopg calls, what reads the units of the documents, and the usual commands.
        packages=("libpq5", "procps", "systemd", "util-linux"),
    ),
}
# What a minimal system lacks that tests take for granted: they call curl, git and openssl, and
# expect the usual commands of a machine that somebody works on.
TOOLS = ("ca-certificates", "curl", "git", "openssl", "gawk", "file", "less", "man-db", "xz-utils")
SOURCE, _WHEELS, _KEPT = "/src", "/wheels", "/root/.cache/smmapd-tests"

# $0 is the root, the rest a command in it.
_ENTER = """
set -e
mount --bind "$0" "$0"
cd "$0"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mount --bind "$KEPT" ."$INSIDE"
mkdir -p .outside
pivot_root . .outside
exec chroot . /bin/sh -c 'umount -l /.outside; exec "$@"' sh "$@"
"""

_WORK = """
set -e
cd /src
git init -q .
git add -A
# shellcheck disable=SC2086
tests/rigs/packages.sh install $GROUPS_WANTED
contrib/venv.sh /usr/bin/python3 .venv
.venv/bin/python -VV
# Process 1 stays this shell, as tests about process ids expect.
.venv/bin/python -m pytest -q "$@" || exit
"""


def fetch_wheels(version: str, folder: str) -> None:
    """What constraints.txt pins, for a Python of that version, by way of this machine's pip."""
    words = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--quiet",
        "--no-deps",
        "--require-hashes",
    ]
    words += ["--python-version", version, "--implementation", "cp"]
    words += [f"--abi=cp{version.replace('.', '')}", "--abi=abi3", "--abi=none"]
    # pymilter is there as a source only.
    words += ["--only-binary=:all:", "--no-binary=pymilter", "--dest", folder]
    subprocess.run([*words, "-r", os.path.join(ROOT, "constraints.txt")], check=True)


def copy_source(root: Root) -> None:
    """The clone as it is."""
    os.mkdir(root.path(SOURCE))
    words = ["git", "-c", f"safe.directory={ROOT}", "-C", ROOT]
    words += ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    copy = ["tar", "-C", ROOT, "--null", "--files-from=-", "--ignore-failed-read", "-c"]
    listed = subprocess.run(words, check=True, capture_output=True).stdout
    packed = subprocess.run(copy, check=True, capture_output=True, input=listed).stdout
    subprocess.run(["tar", "-C", root.path(SOURCE), "-x"], check=True, input=packed)


def suite(release: str, words: Sequence[str]) -> int:
    """Run the suite in a root of the release; pytest's exit code."""
    wanted = _SUITES[release]
    names = run(["/bin/bash", PACKAGES, "names", "13", *wanted.groups]).decode().split()
    kept = os.path.join(cache_folder(), f"{release}-suite")
    wheels = os.path.join(kept, "wheels")
    os.makedirs(wheels, exist_ok=True)
    fetch_wheels(wanted.python, wheels)
    with debian(*names, *wanted.packages, *TOOLS, release=release) as root:
        copy_source(root)
        os.makedirs(root.path(_KEPT))
        os.symlink(f"{_KEPT}/wheels", root.path(_WHEELS))
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", _ENTER]
        command += [root.folder, "/bin/sh", "-c", _WORK, "suite", "-m", wanted.marks, *words]
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "TERM": os.environ.get("TERM", "dumb"),
            "CI": "true",
            "KEPT": kept,
            "INSIDE": _KEPT,
            "GROUPS_WANTED": " ".join(wanted.groups),
            # Nothing comes from a registry in there: what is pinned has been fetched.
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": _WHEELS,
        }
        return subprocess.run(command, check=False, env=environment).returncode


if __name__ == "__main__":
    sys.exit(suite(sys.argv[1], sys.argv[2:]))
