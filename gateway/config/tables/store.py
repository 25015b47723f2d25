"""The table [cyrus]: which Cyrus IMAP installation the store `cyrus` reads."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.declaration import Section, declarations_of, setting
from gateway.config.types import absolute_path, boolean, name


@dataclass(frozen=True, slots=True, kw_only=True)
class CyrusSettings:
    """One Cyrus IMAP installation on this machine."""

    imapd_conf: str = setting(
        absolute_path(),
        default="/etc/imapd.conf",
        description="The configuration file of Cyrus. It says where the databases are and how "
        "recipients become mailbox names.",
        example='"/etc/imapd.conf"',
    )
    service: str = setting(
        name("the name of a service"),
        default="smmap",
        description="The name under which the gateway appears to Cyrus, as an entry of "
        "cyrus.conf(5) would: it selects options of imapd.conf with that prefix, and it is what "
        "the patterns of the userdeny database are matched against. A user that it denies is "
        "refused, whatever delivery would do.",
        example='"lmtp"',
    )
    skip_plus: bool = setting(
        boolean(),
        default=False,
        description='With answers = "smmapd": ignore everything from the first + to the @ of a '
        "recipient, so that only the user's existence counts and not that of the folder. The same "
        "as `smmapd -p`. Delivery never refuses a user for the folder.",
        example="true",
    )
    allow_empty_list: bool = setting(
        boolean(),
        default=False,
        description="Whether a mailbox list without any record is believed: every recipient "
        "is then unknown. With false it is a fault of the store, and recipients get a temporary "
        "failure, because such a list is usually being restored, or belongs to a new server that "
        "replaces the old one.",
        example="true",
    )
    delivery_service: str = setting(
        name("the name of a service", empty="empty: as cyrus.conf says"),
        default="",
        description="The name of lmtpd's entry in cyrus.conf(5), which selects its options of "
        "imapd.conf and its patterns of the userdeny database. If it is empty, it is that of "
        "the first entry that starts lmtpd, those on Unix sockets first, in the cyrus.conf beside "
        "imapd.conf, or lmtpunix if there is none.",
        example='"lmtp"',
    )


SECTION = Section(
    name="cyrus",
    title="The Cyrus installation",
    description='Used where store = "cyrus".',
    build=CyrusSettings,
    declarations=declarations_of(CyrusSettings),
)
