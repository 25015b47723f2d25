"""Settings that had another name: refused, and told the new one."""

from __future__ import annotations

import pytest

from gateway import config
from gateway.config import ConfigurationErrors
from gateway.config.model import SECTIONS
from gateway.config.renamed import RENAMED

NAMES = {section.dotted(key) for section in SECTIONS for key in section.declarations}


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_is_refused_with_the_new_one(old: str, new: str) -> None:
    """With file and line; nothing is taken of it, whatever it says."""
    assert new in NAMES
    assert old not in NAMES
    table, _, key = old.rpartition(".")
    text = f'[socketmap]\nlisten = ["unix:/run/s"]\n[{table}]\n{key} = 7\n'
    with pytest.raises(ConfigurationErrors) as caught:
        config.loads(text.encode(), "/etc/smmapd/gateway.toml")
    (line,) = str(caught.value).splitlines()
    assert line.startswith(
        f"/etc/smmapd/gateway.toml:4: {old}: is called {new.rsplit('.', maxsplit=1)[-1]} now"
    )
