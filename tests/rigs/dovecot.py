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
from collections.abc import Mapping

from tests.rigs.folders import make_subfolder, write_text
from tests.rigs.ports import accepts_unix
from tests.rigs.processes import Daemon, account, run
from tests.rigs.require import unpacked
from tests.rigs.rig import Rig
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


# The same for 2.4 (Debian 13), whose settings have other names.
_CONFIGURATION_2_4 = """\
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
base_dir = {folder}/run
state_dir = {folder}/run
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
protocols = lmtp
log_path = {folder}/log
mail_driver = maildir
mail_path = {folder}/mail/%{{user}}
mail_uid = {user}
mail_gid = {group}
first_valid_uid = 1
first_valid_gid = 1
ssl = no
mail_plugins = quota
lmtp_rcpt_check_quota = yes
recipient_delimiter = +
auth_username_format = %{{user | lower}}
passdb passwd-file {{
  passwd_file_path = {folder}/users
}}
userdb passwd-file {{
  passwd_file_path = {folder}/users
}}
quota "User quota" {{
  driver = maildir
}}
quota_full_tempfail = {tempfail}
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


class Dovecot(Rig):
    """One instance; `users` are addresses, each with its quota in bytes or None for no limit."""

    prefix = "dv"
    program = "Dovecot"

    def __init__(self, users: Mapping[str, int | None], *, quota_tempfail: bool = False) -> None:
        super().__init__()
        self._users = dict(users)
        self._tempfail = quota_tempfail

    def _populate(self) -> None:
        owner = account(_USER)
        make_subfolder(self.folder, "run")
        make_subfolder(self.folder, "mail", owner)
        newer = _version() >= (2, 4)
        write_text(
            os.path.join(self.folder, "dovecot.conf"),
            (_CONFIGURATION_2_4 if newer else _CONFIGURATION).format(
                folder=self.folder,
                user=_USER,
                group=_GROUP,
                tempfail="yes" if self._tempfail else "no",
            ),
        )
        lines = []
        for user, limit in self._users.items():
            rule = (
                f"userdb_quota_storage_size={limit}B"
                if newer
                else f"userdb_quota_rule=*:bytes={limit}"
            )
            rule = "" if limit is None else f" {rule}"
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
        argv = ["/usr/sbin/dovecot", "-F", "-c", os.path.join(self.folder, "dovecot.conf")]
        self._launch(
            Daemon(
                ["unshare", "--mount", "sh", "-c", _SCRIPT, "sh", unpacked("dovecot"), *argv],
                log=os.path.join(self.folder, "stderr"),
            )
        )
        wait_until(self._accepts, "Dovecot accepts")

    def _accepts(self) -> bool:
        self.daemon.check()
        return accepts_unix(self.socket)

    def log(self) -> str:
        """What it has logged."""
        try:
            with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""


def _version() -> tuple[int, int]:
    """The release of the unpacked Dovecot."""
    words = ["unshare", "--mount", "sh", "-c", _SCRIPT, "sh", unpacked("dovecot")]
    # 2.4.1 (7d8c0bc759)
    major, minor = run([*words, "/usr/sbin/dovecot", "--version"]).split(b".")[:2]
    return int(major), int(minor)
