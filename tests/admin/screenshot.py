"""Takes docs/status.png, the README's picture of the status page.

    .venv/bin/python -m tests.admin.screenshot [FOLDER]

A real gateway with mail passing through all three interfaces, in a real Chromium:
what the picture shows has happened.  In FOLDER (default: docs) it writes
status.png, as a light screen shows the page.  It takes two minutes, so that
there are rates and a line to draw.
"""

from __future__ import annotations

import math
import os
import random
import sys
import time

from tests.rigs.adminpage import Site, running
from tests.rigs.browser import Browser
from tests.rigs.folders import folder
from tests.rigs.program import ROOT

SECONDS = 120
# Seconds between two bursts of mail.
PAUSE = 0.05
WIDTH = 1120
# The top of the page, down to the first refusals.
HEIGHT = 1480
USERS = (
    *("fred", "Fred", "fred+work/reports", "+news") * 6,
    *("olga", "dora", "+archive", "info"),
    *("nobody", "sales", "max", "anna", "webmaster"),
)
EXPLAINED = "olga@example.org"


def traffic(site: Site, seconds: float) -> None:
    """Mail for all interfaces: more and less, as through a day."""
    choose = random.Random(7)
    end = time.monotonic() + seconds
    step = 0
    while time.monotonic() < end:
        step += 1
        burst = int(9 + 6 * math.sin(step / 60))
        names = [f"{choose.choice(USERS)}@example.org".encode() for _ in range(burst)]
        site.socketmap(*names)
        for name in names[: burst // 3]:
            site.policy(name, f"news{choose.randrange(9)}@sender.example".encode())
        if step % 4 == 0:
            site.milter(names[0])
        time.sleep(PAUSE)


def main() -> None:
    """Take it."""
    where = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "docs")
    os.makedirs(where, exist_ok=True)
    with folder("mx1") as path, running(path) as site, Browser(WIDTH, HEIGHT) as browser:
        traffic(site, SECONDS)
        browser.open(site.url)
        browser.wait_script("return document.body.dataset.state === 'live'", "the page is live")
        browser.script(
            "document.getElementById('recipient').value = arguments[0];"
            "document.getElementById('ask').requestSubmit()",
            EXPLAINED,
        )
        traffic(site, 3)
        browser.wait_script("return document.querySelector('#answer .verdict')", "the answer")
        browser.prefer("light")
        browser.resize(WIDTH, HEIGHT)
        with open(os.path.join(where, "status.png"), "wb") as file:
            file.write(browser.screenshot(WIDTH, HEIGHT))


if __name__ == "__main__":
    main()
