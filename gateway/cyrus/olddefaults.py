"""What imapd.conf leaves open for a mailbox list with the keys of Cyrus up to 3.4.

Options that decide about answers had other defaults in 2.x.  An installation with such
a Cyrus, or has moved its list to a newer one, has them only by writing them
down; otherwise the defaults of the newest Cyrus count here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.cyrus.imapdconf import ImapdConf

# The options, and what they were by default (lib/imapoptions of 2.4.22 to 3.0.18).
OLD_DEFAULTS = {
    "unixhierarchysep": "no before 3.0",
    "lmtp_downcase_rcpt": "no before 2.5",
    "altnamespace": "no before 3.0",
}


def warning(path: str, conf: ImapdConf) -> str | None:
    """What to tell about the list at `path`; None where imapd.conf leaves nothing open."""
    missing = [
        f"{name} ({default}, {'yes' if getattr(conf, name) else 'no'} here)"
        for name, default in OLD_DEFAULTS.items()
        if name not in conf.given
    ]
    if not missing:
        return None
    return (
        f"{path} has the keys of Cyrus up to 3.4, and imapd.conf does not set {', '.join(missing)}"
    )


MEND = "set them in imapd.conf as the Cyrus that wrote the list has them: answers depend on them"
