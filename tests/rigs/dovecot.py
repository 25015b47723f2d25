"""A throw-away Dovecot that only speaks LMTP, from packages that were unpacked, not installed.

    with Dovecot({"fred@example.org": None, "full@example.org": 10}) as dovecot:
        dovecot.start()
        ... dovecot.socket ...

Debian's dovecot-core conflicts with nothing, but a test must not install a
mail server for it; so its files are laid over /usr in a mount namespace of
the daemon's own (packages.sh, group dovecot).  All of it runs as user nobody
but master, which is root.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from tests.rigs.folders import make_folder, make_subfolder, write_text
from tests.rigs.ports import accepts_unix
from tests.rigs.processes import Daemon, RigError, account
from tests.rigs.require import PACKAGES
from tests.rigs.waiting import wait_until

_USER, _GROUP = "nobody", "nogroup"

_SCRIPT = """\
mount --make-rprivate / &&
mount -t overlay overlay -o lowerdir="$1/usr:/usr" /usr &&
shift && exec "$@"
"""

_CONFIGURATION = """\
base_dir = {folder}/run
state_dir = {folder}/run
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
protocols = lmtp
log_path = {folder}/log
mail_location = maildir:{folder}/mail/%u
mail_uid = {user}
mail_gid = {group}
first_valid_uid = 1
first_valid_gid = 1
ssl = no
mail_plugins = quota
lmtp_rcpt_check_quota = yes
recipient_delimiter = +
passdb {{
  driver = passwd-file
  args = username_format=%Lu {folder}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%Lu {folder}/users
}}
plugin {{
  quota = maildir:User quota
  quota_full_tempfail = {tempfail}
}}
service lmtp {{
  user = {user}
  unix_listener {folder}/lmtp {{
    mode = 0666
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


class Dovecot:
    """One instance; `users` are addresses, each with its quota in bytes or None for no limit."""

    def __init__(self, users: Mapping[str, int | None], *, quota_tempfail: bool = False) -> None:
        self._users = dict(users)
        self._tempfail = quota_tempfail
        self._daemon: Daemon | None = None
        self.folder = ""

    def __enter__(self) -> Self:
        self.folder = make_folder("dv")
        try:
            self._populate()
        except BaseException:
            shutil.rmtree(self.folder)
            raise
        return self

    def _populate(self) -> None:
        owner = account(_USER)
        make_subfolder(self.folder, "run")
        make_subfolder(self.folder, "mail", owner)
        write_text(
            os.path.join(self.folder, "dovecot.conf"),
            _CONFIGURATION.format(
                folder=self.folder,
                user=_USER,
                group=_GROUP,
                tempfail="yes" if self._tempfail else "no",
            ),
        )
        lines = []
        for user, limit in self._users.items():
            rule = "" if limit is None else f" userdb_quota_rule=*:bytes={limit}"
            lines.append(f"{user}:{{PLAIN}}x:::::: {rule}\n")
            if limit is not None:
                # One mail of 1000 bytes lies there.
                for part in ("", "cur", "new", "tmp"):
                    make_subfolder(self.folder, os.path.join("mail", user, part), owner)
                path = os.path.join(self.folder, "mail", user, "cur", "1.test,S=1000:2,")
                write_text(path, "Subject: x\n\n" + "x" * 988)
                os.chown(path, owner.uid, owner.gid)
        write_text(os.path.join(self.folder, "users"), "".join(lines))

    @property
    def socket(self) -> str:
        """The path of the LMTP socket."""
        return os.path.join(self.folder, "lmtp")

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        done = subprocess.run(
            ["/bin/bash", PACKAGES, "where", "dovecot"], capture_output=True, check=True, text=True
        )
        argv = ["/usr/sbin/dovecot", "-F", "-c", os.path.join(self.folder, "dovecot.conf")]
        self._daemon = Daemon(
            ["unshare", "--mount", "sh", "-c", _SCRIPT, "sh", done.stdout.strip(), *argv],
            log=os.path.join(self.folder, "stderr"),
        )
        self._daemon.start()
        wait_until(self._accepts, "Dovecot accepts")

    def _accepts(self) -> bool:
        if self._daemon is not None:
            self._daemon.check()
        return accepts_unix(self.socket)

    def log(self) -> str:
        """What it has logged."""
        try:
            with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def stop(self) -> None:
        """Stop it.  Raises `RigError` if anything had to be killed."""
        if self._daemon is None:
            return
        killed = self._daemon.stop(signal.SIGTERM)
        self._daemon = None
        if killed:
            raise RigError(f"Dovecot left processes behind, which had to be killed: {killed}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        except RigError:
            if error is None:
                raise
        finally:
            shutil.rmtree(self.folder)
