"""Where fuzzing begins: sound inputs and some odd ones, all made by code."""

from __future__ import annotations

import os
import tempfile

from gateway.cyrus.names import Naming
from gateway.protocols.milter import packet
from tests.support.fault_sites import DENIALS, FORMATS, MAILBOXES, QUOTAS

NAMINGS = (
    Naming(),
    Naming(keeps_domains=True, default_domain=b"example.org", separator=b".", postuser=b"bb"),
    Naming(keeps_domains=True, skip_plus=True, downcase=False),
)

NETSTRINGS = tuple(
    b"\x03" + text
    for text in (
        b"10:smmap fred,",
        b"10:smmap fred,12:smmap anna+x,",
        b"0:,",
        b"010:smmap fred,",
        b"5:abcde;",
        b"99999999999:",
        b"GET / HTTP/1.1\r\n\r\n",
    )
)

_POLICY = (
    b"request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\n"
    b"sender=foo@bar.tld\nrecipient=fred@example.org\nsize=12345\nsasl_username=\n"
    b"client_address=1.2.3.4\nrecipient_count=0\ninstance=123.456.7\n\n"
)
POLICY = (b"\x0a" + _POLICY, b"\x64" + _POLICY + _POLICY, b"\x01request=\n\n", b"\x02a\0=b\n\n")

MILTER_OFFER = packet(b"O", bytes.fromhex("00000006000001ff001fffff"))
_MAIL = packet(b"M", b"<joe@bar.tld>\0SIZE=1000\0")
_RCPT = packet(b"D", b"Ri\x004ABC\0{rcpt_mailer}\0lmtp\0") + packet(b"R", b"<fred@example.org>\0")
MILTER = tuple(
    b"\x05" + data
    for data in (
        packet(b"C", b"mx.bar.tld\x004\x12\x34192.0.2.1\0") + _MAIL + _RCPT + packet(b"A"),
        _MAIL + _RCPT + _RCPT + packet(b"E") + packet(b"Q"),
        packet(b"C", b"mx.bar.tld\x006\0\0IPv6:::1\0") + packet(b"K") + packet(b"C", b"x\0U"),
        packet(b"D", b"M{auth_authen}\0") + MILTER_OFFER,
        b"\0\1\0\1B",
        b"GET / HTTP/1.1\r\n\r\n",
    )
)

LMTP = tuple(
    b"\x05" + text
    for text in (
        b"220 imap.example.org LMTP ready\r\n",
        b"250-imap\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n",
        b"250 2.1.5 ok\r\n550-5.1.1 unknown\r\n550 5.1.1 user\r\n",
        b"250-a\r\n251 b\r\n",
        b"999 x\n",
    )
)

ADDRESSES = (
    b"fred@example.org",
    b"<fred+box@example.org>",
    b"@hop.example,@b:fred@example.org",
    b'"quoted \\" @"@example.org',
    b"fred@[127.0.0.1]",
    b"+shared/folder@example.org",
    b"fred+INBOX/&AOQ-/x.y^z",
    b"user.fred\xc3\xa4",
    b"a!b!c",
)

CONFIGURATIONS = (
    b"configdirectory: /var/lib/imap\npartition-default: /var/spool\n",
    b"# c\nconfigdirectory: /c\nsmmap_mboxlist_db: twoskip\nvirtdomains: userid\n"
    b"defaultdomain: example.org\nquota_db: quotalegacy\nunixhierarchysep: on\n",
    b"configdirectory: /c\nhashimapspool: 1\nlmtp_over_quota_perm_failure: yes\ntimeout: 30m\n",
    b"configdirectory /c\n: x\nvirtdomains: maybe\n",
)

ALIASES = (
    b"# comment\npostmaster: root\n",
    b'"with space": /dev/null\nlist: a,\n  b\n:include:/x\n',
    b"@example.org x@example.com\nfred@example.org: |prog\n",
    b'"open: x\nname\n[v6:: a\n',
)

LOGS = tuple(
    b"\x20" + line
    for line in (
        b"Oct  3 12:00:00 mx postfix/smtpd[1]: NOQUEUE: reject: RCPT from a[1.2.3.4]: 550 5.1.1 "
        b"<x@y>: Recipient address rejected: User unknown; from=<a@b> to=<x@y> proto=ESMTP\n",
        b"2026-01-01T00:00:00+01:00 mx postfix/lmtp[2]: ABC: to=<x@y>, relay=r, delay=1, "
        b"dsn=2.1.5, status=sent (250 2.1.5 Ok)\n",
        b"Oct  3 12:00:00 mx sm-mta[3]: x9: to=<a@b>,<c@d>, delay=1, dsn=5.1.1, stat=User unknown\n",
        b"Oct  3 12:00:00 mx sm-mta[3]: x9: ruleset=check_rcpt, arg1=<a@b>, reject=550 5.1.1 no\n",
    )
)

RECORDS = (
    *MAILBOXES.values(),
    *QUOTAS.values(),
    *DENIALS.values(),
    b"%(T e P default A %(anyone lrs) I {36}\r\n123456789012345678901234567890123456 V 1)",
    b'%(N "a\\"b" A NIL S (1 2) M (3 4))',
    b"0 default fred\tlrswipkxtecda\t",
    b"1000 2000 MESSAGE 3 4",
)


def file_of(form: str) -> tuple[bytes, ...]:
    """Small database files of one format, empty ones among them."""
    images = []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file.db")
        for records in (MAILBOXES, QUOTAS, DENIALS):
            FORMATS[form](path, records)
            with open(path, "rb") as file:
                images.append(file.read())
    return tuple(images)
