"""Debian's Prometheus, unpacked: promtool, and a server that scrapes each second.

with Prometheus(["127.0.0.1:9625"], rules="contrib/prometheus/rules.yml") as prometheus:
    prometheus.wait_scraped()
    prometheus.query("sum(smmapd_requests_total)")
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection
from urllib.parse import urlencode

from tests.rigs.folders import write_text
from tests.rigs.ports import LOOPBACK, accepts, free_ports
from tests.rigs.processes import Daemon, RigError
from tests.rigs.require import unpacked
from tests.rigs.rig import Rig
from tests.rigs.waiting import wait_until

# HTTP, while it starts.
_NOT_READY = 503

START_LIMIT_S = 60.0
TIMEOUT_S = 60.0

CONFIGURATION = """\
global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files: [{rules}]
scrape_configs:
  - job_name: smmapd
    static_configs:
      - targets: [{targets}]
"""


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`."""
    return os.path.join(unpacked("prometheus"), "usr/bin", name)


def promtool(*words: str, stdin: str = "", cwd: str = "/") -> tuple[int, str]:
    """promtool's exit code, and all that it says."""
    done = subprocess.run(
        [program("promtool"), *words],
        input=stdin,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        text=True,
    )
    return done.returncode, done.stdout


class NotReadyError(RigError):
    """It answers and has not read its own files yet, /-/ready or not."""


class Prometheus(Rig):
    """One server, which runs as long as the context."""

    prefix = "prometheus"
    program = "Prometheus"

    def __init__(self, targets: Sequence[str], rules: str = "") -> None:
        super().__init__()
        self._targets = targets
        self._rules = rules
        self._port = 0

    def _populate(self) -> None:
        (self._port,) = free_ports(1)
        text = CONFIGURATION.format(
            rules=json.dumps(self._rules) if self._rules else "",
            targets=", ".join(json.dumps(each) for each in self._targets),
        )
        config = write_text(os.path.join(self.folder, "prometheus.yml"), text)
        self._launch(
            Daemon(
                [
                    program("prometheus"),
                    f"--config.file={config}",
                    f"--storage.tsdb.path={self.folder}/data",
                    f"--web.listen-address={LOOPBACK}:{self._port}",
                ],
                log=os.path.join(self.folder, "log"),
            )
        )
        wait_until(self._ready, "Prometheus is ready", START_LIMIT_S)

    def wait_scraped(self, times: int = 3) -> None:
        """Wait until every target was scraped so often, so that there are rates."""
        expression = f'count(count_over_time(up{{job="smmapd"}}[10m]) >= {times})'

        def scraped() -> bool:
            try:
                return self.query(expression) == [float(len(self._targets))]
            except NotReadyError:
                return False

        wait_until(
            scraped,
            f"each target was scraped {times} times",
            START_LIMIT_S,
        )

    def query(self, expression: str) -> list[float]:
        """What an expression gives now, a value a series.

        Raises `RigError` where it cannot be evaluated.
        """
        data = self._get("/api/v1/query?" + urlencode({"query": expression}))
        found = data["result"]
        assert isinstance(found, list)
        return [float(each["value"][1]) for each in found]

    def alerts(self) -> dict[str, str]:
        """The state of each alert that is pending or firing."""
        found = self._get("/api/v1/alerts")["alerts"]
        assert isinstance(found, list)
        return {each["labels"]["alertname"]: each["state"] for each in found}

    def _ready(self) -> bool:
        self.daemon.check()
        return accepts(LOOPBACK, self._port) and self._ask("/-/ready")[0] == 200

    def _ask(self, path: str) -> tuple[int, bytes]:
        connection = HTTPConnection(LOOPBACK, self._port, timeout=TIMEOUT_S)
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def _get(self, path: str) -> Mapping[str, object]:
        status, body = self._ask(path)
        if status == _NOT_READY:
            raise NotReadyError(f"{path}: {body!r}")
        told = json.loads(body)
        if told["status"] != "success":
            raise RigError(f"{path}: {told['error']}")
        data = told["data"]
        assert isinstance(data, dict)
        return data
