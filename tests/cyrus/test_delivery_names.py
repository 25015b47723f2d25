"""The short way from an address to its mailbox's key, where lmtpd has no other reading of it."""

from __future__ import annotations

import pytest

from gateway.cyrus.delivery_names import DeliveryNaming
from gateway.cyrus.imapdconf import VIRTDOMAINS_USERID, ImapdConf


@pytest.mark.parametrize(
    ("address", "key"),
    [
        (b"fred", b"Nuser\x1ffred"),
        (b"fred@virt.example", b"Nvirt.example\x1duser\x1ffred"),
        # the default domain: versions differ in which letters of it they take
        (b"fred@example.org", None),
        (b"fred@EXAMPLE.org", None),
        # quotes, eight bits, and what is not a domain
        (b"fr ed", None),
        (b"fr\xe9d", None),
        (b"fred@b_c", None),
        (b"", None),
        (b"@virt.example", None),
    ],
)
def test_addresses_with_one_reading(address: bytes, key: bytes | None) -> None:
    """All others are left to the authority."""
    conf = ImapdConf(
        configdirectory="/conf", virtdomains=VIRTDOMAINS_USERID, defaultdomain=b"example.org"
    )
    plain = DeliveryNaming(conf).plain(address)
    assert (plain[0] if plain is not None else None) == key


def test_without_a_default_domain_users_without_a_domain_have_one_reading() -> None:
    """Nothing is compared with a domain that is not there."""
    plain = DeliveryNaming(ImapdConf(configdirectory="/conf")).plain(b"fred")
    assert plain == (b"Nuser\x1ffred", b"fred")


@pytest.mark.parametrize("address", [b"bb@virt.example", b"BB@virt.example", b"bb"])
def test_the_postuser_has_no_inbox_in_any_domain(address: bytes) -> None:
    """The local part alone is compared with it, and the user of that name is never asked for."""
    conf = ImapdConf(configdirectory="/conf", virtdomains=VIRTDOMAINS_USERID, postuser=b"bb")
    naming = DeliveryNaming(conf)
    assert naming.plain(address) is None
    addressed = naming.recipient(address)
    assert addressed is not None
    assert addressed.inbox is None


@pytest.mark.parametrize(
    ("detail", "keys", "older"),
    [
        (b"Sent", [b"Sent"], []),
        (b"A&B", [b"A&-B"], [b"A&B"]),
        (b"B&APw-cher", [b"B&APw-cher", b"B&-APw-cher"], []),
    ],
)
def test_the_folders_of_a_detail(detail: bytes, keys: list[bytes], older: list[bytes]) -> None:
    """In today's list as each version spells it; as it is written only in an older one."""
    addressed = DeliveryNaming(ImapdConf(configdirectory="/conf")).recipient(b"fred+" + detail)
    assert addressed is not None
    found = [(name.dbkey, name.oldkey) for name in addressed.folders]
    assert found == [
        *((b"Nuser\x1ffred\x1f" + key, b"user.fred." + key) for key in keys),
        *((b"", b"user.fred." + key) for key in older),
    ]
