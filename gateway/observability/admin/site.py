"""The admin listener's pages, as a WSGI application.

It runs on the event loop; what may block (databases, explanations) is done by
threads of its own, so that a slow disk or backend holds up no mail.
Explanations are made one at a time, and only so many wait.
"""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING

import gevent
from gevent.threadpool import ThreadPool

from gateway.explain.explainer import Explainer
from gateway.frontends.inquiry import BadInquiry
from gateway.observability.admin import page, readiness, status
from gateway.observability.admin.history import CountHistory
from gateway.observability.admin.inquiry import parse
from gateway.observability.admin.server import NOTHING_POLICY, SAFETY
from gateway.observability.metrics import databases, exposition
from gateway.observability.metrics.exposition import View
from gateway.observability.metrics.gathering import gather
from gateway.observability.metrics.sharedmemory import SharedMetricsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.config import Settings
    from gateway.cyrus.store import CyrusStore
    from gateway.observability.admin.server import StartResponse
    from gateway.observability.metrics.databases import DatabaseState
    from gateway.observability.metrics.gathering import Gathered
    from gateway.observability.metrics.recorder import Recorder
    from gateway.observability.metrics.sharedmemory import SharedMetrics
    from gateway.verification.decider import Engine

_log = logging.getLogger(__name__)

# Explanations that may wait for the one in progress, and seconds that one waits.
MAX_WAITING = 8
EXPLAIN_SECONDS = 30.0

_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"
_HTML = "text/html; charset=utf-8"
_PATHS = ("/", "/metrics", "/healthz", "/readyz", "/status.json", "/explain?recipient=ADDRESS")


class Site:
    """The application.

    `make_engine` and `make_store` give an engine and a store that nobody else
    uses; there is no store where mailboxes are looked up on other servers.
    """

    def __init__(
        self,
        settings: Settings,
        shared_metrics: SharedMetrics,
        recorder: Recorder,
        *,
        make_engine: Callable[[], Engine],
        make_store: Callable[[], CyrusStore] | None,
    ) -> None:
        self.restarts: dict[str, int] = {}
        self.stopping = False
        self._settings = settings
        self._shared_metrics = shared_metrics
        self._recorder = recorder
        self._make_engine = make_engine
        self._explainer: Explainer | None = None
        self._explaining = 0
        self._store = make_store() if make_store is not None else None
        self._history = CountHistory()
        # One thread each, so that store and engine are used by one at a time.
        self._looker = ThreadPool(1)
        self._speaker = ThreadPool(1)
        self._page, self._policy = page.build()
        self._routes: dict[str, Callable[[dict[str, str]], _Reply]] = {
            "/": self._show_page,
            "/metrics": self._show_metrics,
            "/healthz": self._show_health,
            "/readyz": self._show_readiness,
            "/status.json": self._show_status,
            "/explain": self._explain,
        }

    def __call__(self, environ: dict[str, str], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path = environ["PATH_INFO"]
        route = self._routes.get(path)
        if route is None:
            reply = _Reply("404 Not Found", _TEXT, f"there are {', '.join(_PATHS)}\n".encode())
        else:
            try:
                reply = route(environ)
            except SharedMetricsError as error:
                _log.error("the metrics cannot be read: %s", error)
                problem = f"the metrics cannot be read: {error}\n"
                reply = _Reply("503 Service Unavailable", _TEXT, problem.encode())
        start_response(
            reply.status,
            [
                ("Content-Type", reply.kind),
                ("Content-Length", str(len(reply.body))),
                ("Content-Security-Policy", self._policy if path == "/" else NOTHING_POLICY),
                *SAFETY,
            ],
        )
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [reply.body]

    def sample(self) -> None:
        """Remember the counts of now, for rates; called every history.STEP seconds."""
        try:
            self._history.keep(time.monotonic(), self._gather().counts)
        except SharedMetricsError as error:
            _log.error("the metrics cannot be read: %s", error)

    def _gather(self) -> Gathered:
        # What is shown once is in the shared metrics, and outlives this process.
        self._recorder.publish()
        return gather(self._shared_metrics)

    def _view(self) -> View:
        return View(self._gather(), self._databases(), dict(self.restarts))

    def _databases(self) -> tuple[DatabaseState, ...]:
        store = self._store
        if store is None:
            return ()
        found: tuple[DatabaseState, ...] = self._looker.apply(lambda: tuple(databases.look(store)))
        return found

    def _reasons(self, view: View) -> list[str]:
        return list(readiness.reasons(view, stopping=self.stopping))

    def _show_page(self, _environ: dict[str, str]) -> _Reply:
        return _Reply("200 OK", _HTML, self._page)

    def _show_metrics(self, environ: dict[str, str]) -> _Reply:
        body, kind = exposition.render(self._view(), environ.get("HTTP_ACCEPT", ""))
        return _Reply("200 OK", kind, body)

    def _show_health(self, _environ: dict[str, str]) -> _Reply:
        return _Reply("200 OK", _TEXT, b"ok\n")

    def _show_readiness(self, _environ: dict[str, str]) -> _Reply:
        view = self._view()
        found, notes = self._reasons(view), list(readiness.notes(view))
        if not found:
            lines = "".join(f"{each}\n" for each in ("ready", *notes))
            return _Reply("200 OK", _TEXT, lines.encode())
        lines = "".join(f"{each}\n" for each in (*found, *notes))
        return _Reply("503 Service Unavailable", _TEXT, lines.encode())

    def _show_status(self, _environ: dict[str, str]) -> _Reply:
        view = self._view()
        found = status.document(
            view, self._history, self._settings, self._reasons(view), list(readiness.notes(view))
        )
        return _json("200 OK", found)

    def _explain(self, environ: dict[str, str]) -> _Reply:
        try:
            inquiry = parse(environ["QUERY_STRING"])
        except BadInquiry as error:
            return _json("400 Bad Request", {"error": str(error)})
        if self._explaining > MAX_WAITING:
            problem = "too many explanations are in progress; try again"
            return _json("503 Service Unavailable", {"error": problem})

        def explain() -> dict[str, object]:
            if self._explainer is None:
                self._explainer = Explainer(self._settings, self._make_engine())
            return self._explainer.explain(inquiry).as_json()

        self._explaining += 1
        task = self._speaker.spawn(explain)
        task.rawlink(self._explained)
        try:
            return _json("200 OK", task.get(timeout=EXPLAIN_SECONDS))
        except gevent.Timeout:
            problem = f"no answer within {EXPLAIN_SECONDS:g} s; another server is slow"
            return _json("504 Gateway Timeout", {"error": problem})

    def _explained(self, _task: object) -> None:
        self._explaining -= 1


class _Reply:
    """Status line, content type and body."""

    __slots__ = ("body", "kind", "status")

    def __init__(self, status_line: str, kind: str, body: bytes) -> None:
        self.status = status_line
        self.kind = kind
        self.body = body


def _json(status_line: str, found: object) -> _Reply:
    return _Reply(status_line, _JSON, json.dumps(found).encode() + b"\n")
