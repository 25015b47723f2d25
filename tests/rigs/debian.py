"""Debian 12, 13 and testing, each in a folder: clean roots to change, and programs of another release.

    with debian("python3-gevent") as root:
        root.run("dpkg", "--install", "/tmp/some.deb")

    root = kept_root("cyrus-imapd", release=DEBIAN_13)
    run([*root.guest(account("cyrus")), "/usr/lib/cyrus/bin/ctl_cyrusdb", "-r", "-C", path])

debootstrap makes a minimal system once, apt-get adds the named packages once
for each set of names, and both are kept in the cache folder of packages.sh: a
changed list of packages is another root.  Two who want the same one wait for
each other.  `debian` gives a copy to change; `kept_root` the one in the cache,
whose programs run as guests of this machine: they see this machine's temporary
folder and accounts, and can write nowhere else.  The mirror is the one that
this machine's apt uses.

Whatever is mounted is mounted in a mount namespace of its own, so that it is
gone with the last process, however that ends.  No maintainer script starts a
service: there is no init in the root, and a policy forbids it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.rigs.folders import make_folder, write_text
from tests.rigs.processes import PATH, Account, Daemon, RigError, complete, run

DEBIAN_12, DEBIAN_13, TESTING = "bookworm", "trixie", "testing"
# What runs in a root may be a whole test run, or fetch and unpack a system, on a busy machine.
TIMEOUT_S = 1800.0
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# $0 is the root, the rest a command in it.
_ENTER = """
mount -t proc proc "$0/proc" &&
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$0/dev/pts" &&
mount --bind "$0/dev/pts/ptmx" "$0/dev/ptmx" &&
exec chroot "$0" "$@"
"""
# $0 is the root, $1 this machine's folder of temporary files, the rest chroot's words.
_VISIT = """
set -e
folder=$1; shift
mkdir -p "$0$folder"
mount --bind "$0" "$0"
mount -o remount,bind,ro "$0"
mount -t proc proc "$0/proc"
mount --rbind /dev "$0/dev"
mount --bind /tmp "$0/tmp"
[ "$folder" = /tmp ] || mount --bind "$folder" "$0$folder"
for file in passwd group hosts; do mount --bind "/etc/$file" "$0/etc/$file"; done
exec chroot "$@"
"""
# What maintainer scripts ask before they start a service, and what they are told.
_POLICY, _NO_STARTS = "/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n"
# Postfix without a main.cf: the tests run private instances only.
_ANSWERS = b"postfix postfix/main_mailer_type select No configuration\n"
_APT = ("apt-get", "-q", "-y", "-o", "Dpkg::Options::=--force-unsafe-io")
_APT_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "DEBCONF_NONINTERACTIVE_SEEN": "true"}


@dataclass(frozen=True, slots=True)
class Root:
    """A Debian root in `folder`."""

    folder: str

    def path(self, inside: str) -> str:
        """The path, from outside, of what has the absolute path `inside` in the root."""
        return self.folder + inside

    def command(self, *argv: str) -> list[str]:
        """The words that run `argv` in the root; they become that program by exec."""
        return ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", _ENTER, self.folder, *argv]

    def run(self, *argv: str, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> bytes:
        """Run a program in the root to its end; its standard output.

        Raises RigError, with what it said, where it fails.
        """
        return run(self.command(*argv), env=env, stdin=stdin, timeout_s=TIMEOUT_S)

    def complete(self, *argv: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Run a program in the root to its end; its exit code and all that it said."""
        done = complete(self.command(*argv), env=env, timeout_s=TIMEOUT_S)
        return done.returncode, (done.stdout + done.stderr).decode(errors="replace")

    def guest(self, user: Account | None = None) -> list[str]:
        """The words before a program of the root that works on this machine's temporary files.

        It runs as `user`, or as root.  The root itself is read-only for it, and its
        accounts are this machine's.
        """
        who: tuple[str, ...] = ()
        if user is not None:
            groups = ",".join(map(str, user.groups))
            who = (f"--userspec={user.uid}:{user.gid}", f"--groups={groups}")
        shared = os.path.realpath(tempfile.gettempdir())
        words = ("/usr/bin/unshare", "--mount", "/bin/sh", "-c", _VISIT, self.folder, shared)
        return [*words, *who, self.folder]

    def daemon(
        self,
        *argv: str,
        log: str,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        pass_fds: Sequence[int] = (),
    ) -> Daemon:
        """A program of the root in the foreground, not started yet.

        `log` is a path outside; `prefix` is run outside, before the root is entered.
        """
        return Daemon([*prefix, *self.command(*argv)], log=log, env=env, pass_fds=pass_fds)

    def apt(self, *words: str) -> None:
        """apt-get with these words."""
        self.run(*_APT, *words, env=_APT_ENVIRONMENT)

    def files(self) -> dict[str, tuple[int, ...]]:
        """Everything in the root with its mode, owner and, of files, size and time."""
        found: dict[str, tuple[int, ...]] = {}
        for folder, folders, files in os.walk(self.folder):
            for name in (*folders, *files):
                path = os.path.join(folder, name)
                state = os.lstat(path)
                about: tuple[int, ...] = (state.st_mode, state.st_uid, state.st_gid)
                if name in files:
                    about = (*about, state.st_size, state.st_mtime_ns)
                found[path.removeprefix(self.folder)] = about
        return found


@contextmanager
def debian(*packages: str, release: str = DEBIAN_12) -> Iterator[Root]:
    """A clean root of a release with these packages, for the length of a `with`."""
    kept = _kept(packages, release)
    folder = make_folder("deb")
    try:
        # A copy by a program of its own: quick, and it keeps every kind of file.
        run(["/bin/cp", "--archive", f"{kept}/.", folder])
        yield Root(folder)
    finally:
        shutil.rmtree(folder)


def kept_root(*packages: str, release: str) -> Root:
    """The root of a release with these packages that the cache keeps: not to be changed."""
    return Root(_kept(packages, release))


def cache_folder() -> str:
    """The folder that packages.sh keeps things in, for root alone: it holds set-uid programs."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    top = os.environ.get("SMMAPD_TESTS_CACHE") or os.path.join(base, "smmapd-tests")
    path = os.path.join(top, "debian")
    os.makedirs(path, exist_ok=True)
    os.chmod(path, 0o700)
    return path


def _kept(packages: Sequence[str], release: str) -> str:
    """The folder with a root that has these packages, made now if it is not in the cache."""
    cache = cache_folder()
    with open(os.path.join(cache, ".lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        base = os.path.join(cache, release)
        if not os.path.isdir(base):
            with _fresh(cache, base) as new:
                _bootstrap(new, release)
        if not packages:
            return base
        digest = hashlib.sha256("\n".join(sorted(packages)).encode()).hexdigest()[:16]
        path = f"{base}-{digest}"
        if not os.path.isdir(path):
            with _fresh(cache, path) as new:
                run(["/bin/cp", "--archive", f"{base}/.", new])
                _install(Root(new), packages)
        return path


def _install(root: Root, packages: Sequence[str]) -> None:
    """Bring the packages into a new root; nothing is started."""
    policy = root.path(_POLICY)
    write_text(policy, _NO_STARTS, 0o755)
    root.run("debconf-set-selections", stdin=_ANSWERS)
    root.apt("update")
    root.apt("install", "--no-install-recommends", *packages)
    root.apt("clean")
    os.unlink(policy)


@contextmanager
def _fresh(cache: str, path: str) -> Iterator[str]:
    """A new folder that becomes `path` if nothing goes wrong in the `with`."""
    new = tempfile.mkdtemp(prefix=".new-", dir=cache)
    os.chmod(new, 0o755)
    try:
        yield new
        os.rename(new, path)
    except BaseException:
        shutil.rmtree(new)
        raise


def _bootstrap(folder: str, release: str) -> None:
    """A minimal system, with this machine's way to the mirror."""
    debootstrap = [
        "/usr/sbin/debootstrap", "--variant=minbase", f"--keyring={_KEYRING}",
        release, folder, _mirror(),
    ]  # fmt: skip
    # In a mount namespace of its own, too: debootstrap mounts and may be killed.
    run(["/usr/bin/unshare", "--mount", *debootstrap], env=_proxies(), timeout_s=TIMEOUT_S)
    shutil.copy("/etc/resolv.conf", os.path.join(folder, "etc", "resolv.conf"))
    with open(os.path.join(folder, "etc/apt/apt.conf.d/90tests"), "w", encoding="utf-8") as file:
        file.write('APT::Install-Recommends "false";\n')
        if release == TESTING:
            # Its lists are good for a week, and a mirror may be a picture of an earlier day.
            file.write('Acquire::Check-Valid-Until "false";\n')
        file.writelines(line + "\n" for line in _ways())


def _mirror() -> str:
    """Where this machine's apt gets Debian itself from."""
    layout = "$(ORIGIN) $(LABEL) $(REPO_URI)"
    for line in run(["apt-get", "indextargets", "--format", layout]).decode().splitlines():
        origin, label, address = line.split(" ", 2)
        if origin == label == "Debian":
            return address
    raise RigError("apt knows no mirror of Debian: run apt-get update")


def _ways() -> list[str]:
    """The lines of apt's configuration that say how to reach mirrors."""
    lines = run(["apt-config", "dump"]).decode().splitlines()
    return [line for line in lines if line.startswith(("Acquire::http::", "Acquire::https::"))]


def _proxies() -> dict[str, str]:
    """The same for debootstrap, which asks the environment."""
    found = {name: os.environ[name] for name in ("http_proxy", "https_proxy") if name in os.environ}
    shell = 'eval $(apt-config shell x Acquire::http::Proxy); printf %s "$x"'
    proxy = subprocess.run(
        ["/bin/sh", "-c", shell], capture_output=True, check=True, text=True, env={"PATH": PATH}
    ).stdout
    return {**found, "http_proxy": proxy} if proxy else found
