"""A Cyrus store on this machine: its databases, opened as imapd.conf says.

The store reads on every call and keeps no answer.  It never writes, creates,
repairs or locks anything.  A database that cannot be read raises StoreError
when it is asked, and works again by itself once the file does.
"""

from __future__ import annotations

from gateway.cyrus.db.live import LiveDatabase
from gateway.cyrus.db.quotalegacy import QuotaLegacy
from gateway.cyrus.mailboxlist import MailboxList
from gateway.cyrus.names import Naming
from gateway.cyrus.quota import QuotaRoots
from gateway.cyrus.userdeny import UserDeny

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.cyrus.db.base import Database
    from gateway.cyrus.imapdconf import ImapdConf


class CyrusStore:
    """Mailbox list, quota roots and userdeny of one Cyrus server.

    `service` is the name that deny patterns are matched against;
    `skip_plus` is smmapd's `-p`; `report` takes warnings for the log.
    """

    __slots__ = ("conf", "denials", "mailboxes", "naming", "quotas", "service")

    def __init__(
        self,
        conf: ImapdConf,
        service: bytes,
        *,
        skip_plus: bool = False,
        report: Callable[[str], None] | None = None,
    ) -> None:
        self.conf = conf
        self.service = service
        self.naming = Naming.from_conf(conf, skip_plus=skip_plus)
        self.mailboxes = MailboxList(
            LiveDatabase(
                conf.mboxlist_db_path,
                conf.mboxlist_db,
                mboxsort=conf.improved_mboxlist_sort,
                report=report,
            )
        )
        self.denials = UserDeny(
            LiveDatabase(conf.userdeny_db_path, conf.userdeny_db, report=report)
        )
        self.quotas = QuotaRoots(_quota_database(conf, report))


def _quota_database(conf: ImapdConf, report: Callable[[str], None] | None) -> Database:
    if conf.quota_db == "quotalegacy":
        return QuotaLegacy(conf)
    return LiveDatabase(conf.quota_db_path, conf.quota_db, report=report)
