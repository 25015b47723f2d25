"""A headless Chromium, driven through chromedriver's WebDriver protocol.

    with Browser() as browser:
        browser.open("http://127.0.0.1:9625/")
        browser.wait_script("return document.title === 'x'", "the title is set")

The client is this file: the protocol is JSON over HTTP (W3C WebDriver), and a
page needs little of it.  The browser's profile is new each time and goes with
it.  It asks nobody outside: no updates, no sync, no QUIC.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Mapping
from http.client import HTTPConnection
from typing import Self

from tests.rigs.folders import make_folder
from tests.rigs.ports import LOOPBACK, accepts, free_ports
from tests.rigs.processes import Daemon, RigError
from tests.rigs.waiting import wait_until

CHROMEDRIVER = "/usr/bin/chromedriver"
# The browser may be slow to start on a busy machine.
START_LIMIT_S = 120.0
TIMEOUT_S = 120.0

ARGUMENTS = (
    "--headless",
    # Chromium's sandbox does not run as root, and the tests do.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-extensions",
    "--metrics-recording-only",
)

# WebDriver's names of keys, in its part of Unicode.
TAB = "\ue004"
ENTER = "\ue007"
SHIFT = "\ue008"
SPACE = "\ue00d"
ARROW_RIGHT = "\ue014"

Json = Mapping[str, object]


class Browser:
    """One browser with one window; a context that ends it."""

    def __init__(self, width: int = 1280, height: int = 900) -> None:
        self._size = (width, height)
        self._folder = ""
        self._port = 0
        self._session = ""
        self._daemon: Daemon | None = None

    def __enter__(self) -> Self:
        self._folder = make_folder("browser")
        try:
            (self._port,) = free_ports(1)
            self._daemon = Daemon(
                [CHROMEDRIVER, f"--port={self._port}"],
                log=os.path.join(self._folder, "log"),
                env={"HOME": self._folder, "TMPDIR": self._folder},
            )
            self._daemon.start()
            wait_until(self._listens, "chromedriver listens", START_LIMIT_S)
            options = {
                "args": [
                    *ARGUMENTS,
                    f"--user-data-dir={self._folder}/profile",
                    "--window-size={},{}".format(*self._size),
                ],
            }
            wanted = {
                "browserName": "chrome",
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            }
            made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            assert isinstance(made, dict)
            self._session = f"/session/{made['sessionId']}"
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        try:
            if self._session:
                self._call("DELETE", self._session)
        finally:
            if self._daemon is not None:
                self._daemon.stop()
            shutil.rmtree(self._folder, ignore_errors=True)

    # --- the page -----------------------------------------------------------------------------

    def open(self, url: str) -> None:
        """Load a page and wait until it is loaded."""
        self._command("POST", "/url", {"url": url})

    def script(self, text: str, *arguments: object) -> object:
        """What the body of a function returns that runs in the page."""
        return self._command("POST", "/execute/sync", {"script": text, "args": list(arguments)})

    def wait_script(self, text: str, what: str, *arguments: object) -> object:
        """Run a script again and again until it returns something true, and return that."""
        return wait_until(lambda: self.script(text, *arguments), what)

    def text(self, selector: str) -> str:
        """The text of the first element as it is shown."""
        found = self.script("return document.querySelector(arguments[0]).innerText", selector)
        assert isinstance(found, str)
        return found

    def keys(self, *keys: str) -> None:
        """Press and release keys, one after the other, wherever the focus is.

        A string of several characters is typed; a tuple's worth of SHIFT and
        another key is written as one string that begins with SHIFT.
        """
        actions: list[Json] = []
        for text in keys:
            held = text[0] if len(text) > 1 and text[0] == SHIFT else ""
            if held:
                actions.append({"type": "keyDown", "value": held})
            for character in text.removeprefix(held):
                actions.append({"type": "keyDown", "value": character})
                actions.append({"type": "keyUp", "value": character})
            if held:
                actions.append({"type": "keyUp", "value": held})
        self._command(
            "POST", "/actions", {"actions": [{"type": "key", "id": "k", "actions": actions}]}
        )

    def devtools(self, command: str, **parameters: object) -> Json:
        """A command of Chromium's DevTools protocol."""
        found = self._command("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})
        assert isinstance(found, dict)
        return found

    def prefer(self, scheme: str) -> None:
        """Have the page believe that its user prefers a `light` or `dark` screen."""
        self.devtools(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )

    def resize(self, width: int, height: int) -> None:
        """A window of this size in CSS pixels, at one device pixel each."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def screenshot(self, width: int, height: int) -> bytes:
        """The page's upper left part as a PNG, in a window that shows all of it."""
        whole = self.script("return document.documentElement.scrollHeight")
        assert isinstance(whole, int)
        self.resize(width, whole)
        clip = {"x": 0, "y": 0, "width": width, "height": min(height, whole), "scale": 1}
        taken = self.devtools("Page.captureScreenshot", format="png", clip=clip)
        return base64.b64decode(str(taken["data"]))

    # --- what it did --------------------------------------------------------------------------

    def console(self) -> list[str]:
        """What the browser said since the last call: errors of scripts, refusals of the policy."""
        return [str(entry["message"]) for entry in self._log("browser")]

    def requests(self) -> list[str]:
        """The addresses of everything that it wanted to fetch since the last call."""
        found = []
        for entry in self._log("performance"):
            message = json.loads(str(entry["message"]))["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(str(message["params"]["request"]["url"]))
        return found

    def _log(self, kind: str) -> list[Json]:
        found = self._command("POST", "/se/log", {"type": kind})
        assert isinstance(found, list)
        return found

    # --- the protocol -------------------------------------------------------------------------

    def _listens(self) -> bool:
        assert self._daemon is not None
        self._daemon.check()
        return accepts(LOOPBACK, self._port)

    def _command(self, method: str, path: str, body: Json | None = None) -> object:
        return self._call(method, self._session + path, body)

    def _call(self, method: str, path: str, body: Json | None = None) -> object:
        connection = HTTPConnection(LOOPBACK, self._port, timeout=TIMEOUT_S)
        try:
            data = json.dumps(body).encode() if body is not None else None
            connection.request(method, path, data, {"Content-Type": "application/json"})
            reply = connection.getresponse()
            told = json.loads(reply.read())
        finally:
            connection.close()
        value: object = told["value"]
        if reply.status != 200:
            assert isinstance(value, dict)
            raise RigError(f"{method} {path}: {value.get('error')}: {value.get('message')}")
        return value
