"""What holds for every test, whoever runs them and wherever.

Files are made with the usual umask: the programs under test run as other users
and must read them, and a root with a umask of 077 is no fault of theirs.

Hypothesis has one profile: no deadline, because this may be a slow or a busy
machine, and the same examples in every run, so that a change fails and not
chance.  Other examples: `--hypothesis-profile default`; `make fuzz` looks for
new ones.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

UMASK = 0o022
PROFILE = "steady"

settings.register_profile(
    PROFILE, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


def pytest_configure() -> None:
    """Before any test is imported: what is declared there builds on the profile."""
    os.umask(UMASK)
    settings.load_profile(PROFILE)
