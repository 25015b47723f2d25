"""/healthz, /readyz, and who may ask."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from tests.rigs.adminpage import TIMEOUT_S, Site
from tests.rigs.folders import write_text
from tests.rigs.waiting import wait_until


def test_alive_and_ready(site: Site) -> None:
    """Two lines for two kinds of watchdogs."""
    assert (site.get("/healthz").status, site.get("/healthz").text) == (200, "ok\n")
    assert (site.get("/readyz").status, site.get("/readyz").text) == (200, "ready\n")


def test_a_damaged_database_is_not_ready(own_site: Site) -> None:
    """503 with the file and what is wrong; ready again by itself."""
    site = own_site
    path = os.path.join(site.store.configdirectory, "mailboxes.db")
    with open(path, "rb") as file:
        sound = file.read()
    with open(path, "wb") as file:
        file.write(b"\0" + sound)
    reply = site.get("/readyz")
    assert reply.status == 503
    assert reply.text.startswith(f"database mailboxes: {path}")
    assert site.value("smmapd_database_readable", "mailboxes") == 0
    assert site.socketmap(b"fred@example.org")[0].startswith(b"TEMP ")
    site.wait_value(1, "smmapd_requests_total", "socketmap", "store-fault")
    assert site.value("smmapd_database_faults_total", "mailboxes") >= 1
    status = site.get("/status.json").json()
    assert status["ready"] is False
    assert site.get("/healthz").status == 200
    site.store.write()
    assert site.get("/readyz").status == 200


def test_a_missing_userdeny_is_no_fault_and_a_missing_list_is(own_site: Site) -> None:
    """Cyrus makes user_deny.db when somebody is first denied."""
    site = own_site
    os.remove(os.path.join(site.store.configdirectory, "user_deny.db"))
    assert site.get("/readyz").status == 200
    os.remove(os.path.join(site.store.configdirectory, "mailboxes.db"))
    assert "mailboxes.db" in site.get("/readyz").text


def test_a_process_that_does_not_come_back_is_not_ready(own_site: Site) -> None:
    """The milter dies again and again; the reason names it until it serves again."""
    site = own_site

    def named() -> bool:
        for pid in site.gateway.pids("milter"):
            os.kill(pid, 9)
        reply = site.get("/readyz")
        return reply.status == 503 and reply.text.startswith("milter[0] ")

    wait_until(named, "the milter is said to be missing")
    wait_until(lambda: site.get("/readyz").status == 200, "the gateway is ready again")


def test_after_a_reload_the_new_processes_serve(own_site: Site) -> None:
    """And the page goes on: its sockets are the supervisor's."""
    own_site.gateway.reload({"logging": {"addresses": "off"}})
    assert own_site.get("/readyz").status == 200
    # The old process may have taken a client that came just now.
    wait_until(
        lambda: own_site.get("/status.json").json()["addresses"] == "off", "the new one answers"
    )


def test_a_refused_reload_is_shown_and_keeps_nobody_from_being_served(own_site: Site) -> None:
    """Until one is taken; the numbers are those that Prometheus' own programs give."""
    site = own_site
    refused = "new configuration refused, the old one stays in force: "
    taken = site.value("smmapd_config_last_reload_success_timestamp_seconds")
    path = site.gateway.configuration
    with open(path, encoding="utf-8") as file:
        good = file.read()
    write_text(path, "[polic")
    site.gateway.daemon.send_signal(signal.SIGHUP)
    site.wait_value(0, "smmapd_config_reload_successful")
    reply = site.get("/readyz")
    assert reply.status == 200
    assert reply.text.startswith(f"ready\n{refused}{path}: is not TOML")
    status = site.get("/status.json").json()
    assert status["ready"] is True
    assert refused in str(status["notes"])
    assert site.value("smmapd_config_last_reload_success_timestamp_seconds") == taken
    write_text(path, good)
    site.gateway.daemon.send_signal(signal.SIGHUP)
    site.wait_value(1, "smmapd_config_reload_successful")
    assert site.get("/readyz").text == "ready\n"
    assert site.value("smmapd_config_last_reload_success_timestamp_seconds") > taken


def test_a_lost_socket_is_not_ready(own_site: Site) -> None:
    """Nobody reaches it, until a reload makes it again."""
    site = own_site
    os.unlink(site.gateway.path("policy"))
    wait_until(lambda: site.get("/readyz").status == 503, "the loss is seen")
    assert site.get("/readyz").text.startswith("no client reaches unix:")
    site.gateway.daemon.send_signal(signal.SIGHUP)
    wait_until(lambda: site.get("/readyz").status == 200, "the socket is there again")
    assert site.policy(b"nobody@example.org").startswith(b"550 ")


def test_a_unix_socket_serves_too(site: Site) -> None:
    """For those who want no port at all."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(TIMEOUT_S)
        client.connect(site.gateway.path("admin"))
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while piece := client.recv(4096):
            received += piece
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert received.endswith(b"\r\n\r\nok\n")


@pytest.mark.parametrize(
    ("path", "method", "host", "status"),
    [
        ("/", "POST", "localhost", 405),
        ("/metrics", "DELETE", "localhost", 405),
        ("/", "GET", "evil.example", 421),
        ("/nowhere", "GET", "localhost", 404),
        ("/metrics/", "GET", "localhost", 404),
        ("//metrics", "GET", "localhost", 404),
        ("/%2e%2e/etc/passwd", "GET", "localhost", 404),
        ("/status.json", "HEAD", "127.0.0.1", 200),
    ],
)
def test_what_is_not_there_is_not_served(
    site: Site, path: str, method: str, host: str, status: int
) -> None:
    """Every refusal is a plain line; nothing of the request comes back in it."""
    reply = site.get(path, method, Host=host)
    assert reply.status == status
    if status != 200:
        assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert "evil" not in reply.text
        assert "passwd" not in reply.text


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/status.json", "/explain", "/x"])
def test_every_reply_is_safe_to_show(site: Site, path: str) -> None:
    """No cookie, nothing kept, nothing framed, nothing run that is not the page's own."""
    headers = {name.lower(): value for name, value in site.get(path).headers.items()}
    assert "set-cookie" not in headers
    assert "access-control-allow-origin" not in headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
