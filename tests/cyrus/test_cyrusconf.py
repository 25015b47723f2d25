"""cyrus.conf: which services there are, and which deliver."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cyrus import cyrusconf

CONF = """# a comment
START {
  recover cmd="ctl_cyrusdb -r"
}
SERVICES {
  # lmtpold cmd="lmtpd" listen="x"
  imap cmd="imapd -U 30" listen="imap" prefork=0
  lmtp cmd="/usr/lib/cyrus/bin/lmtpd" listen="127.0.0.1:lmtp"
  lmtpunix cmd="lmtpd" listen="/run/cyrus/socket/lmtp" prefork=1
  empty
}
EVENTS {
  tidy cmd="lmtpd"
}
"""


def test_services_come_in_the_order_of_their_entries(tmp_path: Path) -> None:
    """The entries of SERVICES, in their order, with what they say."""
    path = tmp_path / "cyrus.conf"
    path.write_text(CONF)
    found = cyrusconf.read(str(path))
    assert [each.name for each in found] == ["imap", "lmtp", "lmtpunix", "empty"]
    assert (found[0].words, found[0].listen) == (["imapd", "-U", "30"], "imap")
    assert [each.program for each in found] == ["imapd", "lmtpd", "lmtpd", ""]


def test_a_unix_socket_delivers_before_a_tcp_one() -> None:
    """On a Unix socket first: there a mail server on the same machine delivers."""
    found = cyrusconf.deliveries(cyrusconf.services(CONF))
    assert [each.name for each in found] == ["lmtpunix", "lmtp"]
    assert not cyrusconf.deliveries([])


def test_a_file_that_is_none(tmp_path: Path) -> None:
    """A folder, or nothing, is an error of the system."""
    with pytest.raises(OSError, match="regular"):
        cyrusconf.read(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        cyrusconf.read(str(tmp_path / "none"))
