"""Other people's servers of the same protocols, each set up for its best.

- postfix-mta-sts-resolver with uvloop: socketmap.  It is asked for parent
  domains, which it answers without cache, DNS or HTTP.
- Dovecot's quota-status: policy, and the nearest job: user data base and quota.
- policyd-rate-limit: policy; nobody is limited, so that it counts nothing.
- a milter of pymilter that always continues.

packages.sh here and that of the rigs bring them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from tests.bench.needs import BENCH_PACKAGES, RIG_PACKAGES, check_packages
from tests.bench.servers import DOMAIN, PROJECT, DaemonServer
from tests.rigs.folders import make_subfolder, write_text
from tests.rigs.processes import account
from tests.rigs.require import unpacked

# The peers' processes wait here for connections; more than the measures open.
_PROCESSES = 1000
# What Dovecot's users may have, unless somebody says otherwise.
_QUOTA_BYTES = 1 << 30


class MtaStsResolver(DaemonServer):
    """postfix-mta-sts-resolver with uvloop on a Unix socket."""

    def __init__(self) -> None:
        check_packages(BENCH_PACKAGES, "mta-sts")
        super().__init__()

    def command(self) -> list[str]:
        """Its daemon with the internal cache, logging warnings only."""
        self.address = self.path("sts")
        config = write_text(
            self.path("sts.yml"),
            f"path: {self.address}\nmode: 438\nshutdown_timeout: 1\ncache:\n  type: internal\n"
            "default_zone:\n  strict_testing: false\n  timeout: 4\n",
        )
        daemon = os.path.join(unpacked("mta-sts", BENCH_PACKAGES), "bin", "mta-sts-daemon")
        return [daemon, "-v", "warn", "-c", config]


class QuotaStatus(DaemonServer):
    """Dovecot's quota-status, unpacked: each of `users` exists and has a quota."""

    def __init__(self, users: Iterable[str]) -> None:
        check_packages(RIG_PACKAGES, "dovecot")
        super().__init__()
        self.users: dict[str, int] = dict.fromkeys(users, _QUOTA_BYTES)
        self._root = unpacked("dovecot", RIG_PACKAGES)

    def environment(self) -> dict[str, str]:
        """Its libraries are where they were unpacked."""
        lib = os.path.join(self._root, "usr/lib/dovecot")
        return {"LD_LIBRARY_PATH": f"{lib}:{lib}/modules/old-stats"}

    def command(self) -> list[str]:
        """Dovecot with nothing but auth and quota-status, as user mail."""
        self.address = self.path("quota-status")
        lib = os.path.join(self._root, "usr/lib/dovecot")
        owner = account("mail")
        make_subfolder(self.folder, "mail", owner)
        self.write_users()
        config = write_text(
            self.path("dovecot.conf"),
            f"""
base_dir = {self.path("run")}
state_dir = {self.path("state")}
libexec_dir = {lib}
mail_plugin_dir = {lib}/modules
log_path = {self.path("log")}
default_internal_user = mail
default_internal_group = mail
default_login_user = nobody
import_environment = LD_LIBRARY_PATH
first_valid_uid = 1
first_valid_gid = 1
protocols =
ssl = no
mail_location = maildir:~/Maildir
mail_plugins = quota
userdb {{
  driver = passwd-file
  args = username_format=%u {self.path("users")}
}}
passdb {{
  driver = passwd-file
  args = username_format=%u {self.path("users")}
}}
plugin {{
  quota = count:User quota
  quota_vsizes = yes
  quota_status_success = DUNNO
  quota_status_nouser = REJECT
  quota_status_overquota = "552 5.2.2 Mailbox is full"
}}
service quota-status {{
  executable = quota-status -p postfix
  process_limit = {_PROCESSES}
  client_limit = 1
  unix_listener {self.address} {{
    mode = 0666
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
service auth {{
  unix_listener auth-userdb {{
    mode = 0666
  }}
}}
service anvil {{
  client_limit = {2 * _PROCESSES}
}}
""",
        )
        # dovecot would look for doveconf in /usr/bin, so it is started the other way round.
        words = ["-f", "service=master", "-c", config, "-m", "master", "-e"]
        dovecot = [os.path.join(self._root, "usr/sbin/dovecot"), "-F", "-c", config]
        return [os.path.join(self._root, "usr/bin/doveconf"), *words, *dovecot]

    def write_users(self) -> None:
        """Write the list of users again, from `users`: the bytes that each may have."""
        owner = account("mail")
        passwd = [
            f"{user}@{DOMAIN}::{owner.uid}:{owner.gid}::{self.path('mail')}/{user}:"
            f":userdb_quota_rule=*:bytes={limit}\n"
            for user, limit in self.users.items()
        ]
        # As an administrator's program does it: nobody reads a part.
        os.rename(write_text(self.path("users.new"), "".join(passwd)), self.path("users"))

    def deliver(self, user: str, size: int) -> None:
        """Put a mail of `size` bytes into the user's mailbox."""
        owner = account("mail")
        for part in ("", "Maildir", "Maildir/cur", "Maildir/new", "Maildir/tmp"):
            make_subfolder(self.path("mail"), os.path.join(user, part), owner)
        name = f"mail/{user}/Maildir/new/{time.time_ns()}.bench"
        path = write_text(self.path(name), "Subject: x\n\n" + "x" * (size - 12))
        os.chown(path, owner.uid, owner.gid)


class RateLimit(DaemonServer):
    """policyd-rate-limit on a Unix socket."""

    def __init__(self) -> None:
        check_packages(BENCH_PACKAGES, "policyd")
        super().__init__()
        self._root = unpacked("policyd", BENCH_PACKAGES)

    def environment(self) -> dict[str, str]:
        """Its modules are where they were unpacked."""
        return {"PYTHONPATH": os.path.join(self._root, "usr/lib/python3/dist-packages")}

    def command(self) -> list[str]:
        """Its daemon with SQLite and only authenticated senders limited, of which there are none."""
        self.address = self.path("policyd")
        config = write_text(
            self.path("policyd.yaml"),
            f"debug: false\nuser: root\ngroup: root\npidfile: {self.path('pid')}\nbackend: 0\n"
            f"sqlite_config:\n  database: {self.path('db')}\nSOCKET: {self.address}\n"
            "socket_permission: 0666\nlimits: [[10, 60]]\nlimit_by_sasl: true\n"
            "limit_by_sender: false\nlimit_by_ip: false\nsuccess_action: DUNNO\nreport: false\n"
            "delay_to_close: 300\n",
        )
        program = os.path.join(self._root, "usr/bin/policyd-rate-limit")
        return ["/usr/bin/python3", program, "-f", config]


class BareMilter(DaemonServer):
    """bare_milter.py: pymilter with one callback, which continues."""

    def command(self) -> list[str]:
        """It runs with the project's virtual environment, as our milter does."""
        self.address = self.path("milter")
        python = os.path.join(PROJECT, ".venv", "bin", "python")
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bare_milter.py")
        return [python, script, f"unix:{self.address}"]
