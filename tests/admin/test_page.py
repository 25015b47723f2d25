"""The status page in a real headless Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.rigs.adminpage import Site, running
from tests.rigs.browser import ENTER, SHIFT, SPACE, TAB, Browser
from tests.rigs.folders import folder
from tests.rigs.require import require

pytestmark = pytest.mark.real

LIVE = "return document.body.dataset.state === 'live'"
ANSWER = "return document.querySelector('#answer .verdict strong')?.innerText"
FOCUS = "return document.activeElement.id || document.activeElement.innerText"
# Markup, quotes, and what a script, an attribute, JSON or a URL might take for its end.
ATTACKS = (
    "<script>document.title='stolen'</script>@example.org",
    "<img src=x onerror=document.title='stolen'>@example.org",
    "\"';}</style></script><svg onload=document.title='stolen'>",
    "javascript:document.title='stolen'",
    "fred\u202eexample.org",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests; each opens the page again."""
    require("chromium")
    with Browser() as made:
        yield made


@pytest.fixture
def page(site: Site, browser: Browser) -> Browser:
    """The browser with the page of the common gateway, live."""
    browser.console()
    browser.requests()
    browser.prefer("light")
    browser.resize(1280, 900)
    browser.open(site.url)
    browser.wait_script(LIVE, "the page is live")
    return browser


def explain(page: Browser, recipient: str) -> None:
    """Fill the box by hand and send it."""
    page.script("document.getElementById('answer').replaceChildren()")
    page.script(
        "const box = document.getElementById('recipient'); box.value = arguments[0]; box.focus()",
        recipient,
    )
    page.keys(ENTER)
    page.wait_script("return document.querySelector('#answer > *')", "there is an answer")


def test_the_page_shows_what_the_gateway_counts(site: Site, page: Browser) -> None:
    """Front ends with their verdicts, refusals, databases, processes."""
    site.socketmap(b"fred@example.org", b"olga@example.org")
    site.policy(b"dora@example.org")
    site.wait_value(1, "smmapd_requests_total", "policy", "denied")
    # Each process speaks for itself, and two may have answered.
    page.wait_script(
        "return document.getElementById('front-ends').innerText.includes('over quota')",
        "the verdicts of socketmap are shown",
    )
    page.wait_script(
        "return document.getElementById('refusals').innerText.includes('dora@example.org')",
        "the refusal is shown",
    )
    assert "socketmap, a second" in page.text("#front-ends")
    assert "Your account is locked" in page.text("#refusals")
    assert page.text("#databases").count("readable") == 3
    assert page.text("#processes").count("ready") == 3
    assert page.text("#ready") == "ready"
    assert page.text("#upstreams") == "No other server has been asked."
    assert page.console() == []


def test_before_anything_has_happened_it_says_so() -> None:
    """No figure is made up: a dash, or a sentence."""
    require("chromium")
    with folder("admin") as path, running(path) as site, Browser() as page:
        page.open(site.url)
        page.wait_script(LIVE, "the page is live")
        assert page.text("#front-ends") == "Nobody has asked yet."
        assert page.text("#refusals") == "Nothing has been refused by the processes that run now."
        assert "nothing to draw yet" in page.text("#trace-text")
        assert "none in the last 5 minutes" in page.text("#figures")


def test_a_recipient_is_explained_by_keyboard_alone(page: Browser) -> None:
    """Skip link, box, button, details: each reached by Tab, each with a visible focus."""
    page.keys(TAB)
    assert page.script(FOCUS) == "Skip to explain"
    page.keys(ENTER, TAB)
    assert page.script(FOCUS) == "recipient"
    page.keys("olga@example.org", TAB)
    assert page.script(FOCUS) == "Explain"
    page.keys(SPACE)
    assert page.wait_script(ANSWER, "there is a verdict") == "over quota"
    assert "DEFER_IF_PERMIT 4.2.2 Over quota" in page.text("#answer")
    assert "105,906,176 of 104,857,600 bytes" in page.text("#answer")
    page.keys(TAB)
    assert page.script(FOCUS) == "Size, client, sender"
    page.keys(ENTER, TAB)
    assert page.script(FOCUS) == "size"
    page.keys("99999999999", SHIFT + TAB, SHIFT + TAB, SHIFT + TAB)
    assert page.script(FOCUS) == "recipient"
    page.keys(*"\ue003" * len("olga@example.org"), "fred@example.org", ENTER)
    page.wait_script(f"{ANSWER} !== 'over quota'", "there is another verdict")
    outline = page.script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"


def test_the_box_keeps_its_text_and_focus_while_figures_change(page: Browser) -> None:
    """The page is redrawn every two seconds; nobody loses what they type."""
    page.script("document.getElementById('recipient').focus()")
    page.keys("half a rec")
    before = page.text("#updated")
    page.wait_script(
        "return document.getElementById('updated').innerText !== arguments[0]",
        "the page was redrawn",
        before,
    )
    assert page.script(FOCUS) == "recipient"
    assert page.script("return document.activeElement.value") == "half a rec"


@pytest.mark.parametrize("recipient", ATTACKS)
def test_a_recipient_is_never_taken_for_markup(site: Site, page: Browser, recipient: str) -> None:
    """Neither in the answer nor among the refusals: it stays text, and nothing runs."""
    site.socketmap(recipient.encode())
    site.policy(recipient.encode(), sender=recipient.replace("\u202e", "").encode())
    explain(page, recipient)
    page.wait_script(
        "return document.querySelectorAll('#refusals tbody tr').length > 1", "refusals"
    )
    assert "smmapd-gateway on" in str(page.script("return document.title"))
    foreign = (
        "script:not(body > script), img, svg:not(#trace), iframe, object, style:not(head > style)"
    )
    assert page.script("return document.querySelectorAll(arguments[0]).length", foreign) == 0
    assert (
        page.script(
            "return [...document.querySelectorAll('*')].some((e) => [...e.attributes].some((a) => a.name.startsWith('on')))"
        )
        is False
    )
    assert page.console() == []


def test_nothing_is_fetched_from_elsewhere(site: Site, page: Browser) -> None:
    """The document, /status.json, /explain; and the policy would stop anything else."""
    explain(page, "fred@example.org")
    asked = {url.split("?")[0] for url in page.requests() if url.startswith("http")}
    assert asked == {site.url, f"{site.url}status.json", f"{site.url}explain"}
    page.script("fetch('http://192.0.2.1/').catch(() => { document.body.dataset.fetch = 'no' })")
    page.wait_script("return document.body.dataset.fetch === 'no'", "the fetch is refused")
    page.script(
        "const s = document.createElement('style'); s.textContent = 'h1 { display: none }';"
        "document.head.append(s)"
    )
    assert page.script("return getComputedStyle(document.querySelector('h1')).display") != "none"
    assert (
        page.script("try { document.body.innerHTML = 'x'; return 'set' } catch { return 'no' }")
        == "no"
    )
    refused = " ".join(page.console())
    assert "Content Security Policy" in refused
    assert page.script("return document.cookie") == ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(page: Browser, scheme: str) -> None:
    """As the user's screen; text stands out from its ground by 4.5 to 1 at least (WCAG 2.1, AA)."""
    page.prefer(scheme)
    explain(page, "olga@example.org")
    ground = page.script("return getComputedStyle(document.body).backgroundColor")
    assert isinstance(ground, str)
    assert (luminance(ground) > 0.5) == (scheme == "light")
    found = page.script(TEXTS)
    assert isinstance(found, list)
    assert len(found) > 50
    weak = [(text, ink, on) for text, ink, on in found if contrast(ink, on) < 4.5]
    assert weak == []


# Each piece of text with its colour and that of the nearest ground that is painted.
TEXTS = """
const found = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const text = walk.currentNode.textContent.trim();
  const holder = walk.currentNode.parentElement;
  if (!text || ["SCRIPT", "NOSCRIPT"].includes(holder.tagName) || !holder.checkVisibility()) continue;
  let ground = holder;
  while (ground && getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
  found.push([text, getComputedStyle(holder).color, getComputedStyle(ground || document.body).backgroundColor]);
}
return found;
"""


def luminance(colour: str) -> float:
    """The relative luminance of `rgb(r, g, b)`."""
    parts = [int(each) / 255 for each in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """The ratio of two colours."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_everything_has_a_name(page: Browser) -> None:
    """What can be used, and every region and table, as a screen reader would say it."""
    explain(page, "fred@example.org")
    nodes = page.devtools("Accessibility.getFullAXTree")["nodes"]
    assert isinstance(nodes, list)
    roles = ("button", "textbox", "link", "region", "image", "DisclosureTriangle")
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node.get("ignored") and node.get("role", {}).get("value") in roles
    ]
    assert {role for role, _ in named} == set(roles)
    assert [role for role, name in named if not name] == []
    assert ("textbox", "Recipient") in named


@pytest.mark.parametrize("recipient", ["olga@example.org", f"{'o' * 200}@example.org"])
@pytest.mark.parametrize("width", [320, 390, 768])
def test_a_phone_shows_it_too(page: Browser, width: int, recipient: str) -> None:
    """The page never scrolls sideways, for a long name either; wide tables do, inside their frame."""
    explain(page, recipient)
    page.resize(width, 844)
    assert page.script("return innerWidth") == width
    root = "document.documentElement"
    assert page.script(f"return {root}.scrollWidth <= {root}.clientWidth") is True


def test_a_table_that_goes_on_shows_it(site: Site, page: Browser) -> None:
    """A shadow stands at the side on which there is more, and nothing is cut off without one."""
    site.policy(b"dora@example.org")
    page.wait_script(
        "return document.getElementById('refusals').innerText.includes('dora@example.org')",
        "the refusal is shown",
    )
    page.resize(360, 844)
    wider = "[...document.querySelectorAll('table')].filter("
    wider += "each => each.getBoundingClientRect().width > each.parentElement.clientWidth)"
    assert page.script(f"return {wider}.length > 0") is True
    shadowed = (
        "each => each.parentElement.className === 'scroll'"
        " && getComputedStyle(each.parentElement).overflowX === 'auto'"
        " && getComputedStyle(each.parentElement).backgroundImage.split('linear-gradient').length === 5"
    )
    assert page.script(f"return {wider}.every({shadowed})") is True


def test_a_gateway_that_is_gone_is_said_to_be(browser: Browser) -> None:
    """The page says how old its figures are, and recovers by itself."""
    with folder("admin") as path, running(path) as site:
        browser.open(site.url)
        browser.wait_script(LIVE, "the page is live")
        site.gateway.stop()
        browser.wait_script("return document.body.dataset.state === 'stale'", "the page is stale")
        assert browser.text("#ready") == "no answer"
        assert "does not answer" in browser.text("#updated")
        site.gateway.start()
        browser.wait_script(LIVE, "the page is live again")


def test_a_damaged_database_shows_at_once(browser: Browser) -> None:
    """With the file and what to do."""
    with folder("admin") as path, running(path) as site:
        browser.open(site.url)
        browser.wait_script(LIVE, "the page is live")
        with open(f"{site.store.configdirectory}/mailboxes.db", "wb") as file:
            file.write(b"\0\0\0\0")
        browser.wait_script(
            "return document.getElementById('ready').innerText === 'not ready'", "it says so"
        )
        assert "mailboxes.db" in browser.text("#problems")
        assert browser.text("#databases").count("readable") == 2


def test_addresses_are_as_private_as_the_log(browser: Browser) -> None:
    """With `addresses = "off"` no recipient or sender reaches the page."""
    with folder("admin") as path, running(path, {"logging": {"addresses": "off"}}) as site:
        site.policy(b"dora@example.org")
        site.milter(b"dora@example.org")
        browser.open(site.url)
        browser.wait_script(
            "return document.querySelectorAll('#refusals tbody tr').length === 2", "two refusals"
        )
        assert "dora" not in browser.text("#refusals")
        assert "sender" not in browser.text("#refusals tbody")
        assert "hidden" in browser.text("#refusals-note")
        assert "dora" not in site.get("/status.json").text


def test_a_refusal_has_its_date_its_reply_and_its_explanation(site: Site, page: Browser) -> None:
    """A link explains the recipient, and what was asked stands in the address bar."""
    site.policy(b"dora@example.org")
    page.wait_script(
        "return document.getElementById('refusals').innerText.includes('dora@example.org')",
        "the refusal is shown",
    )
    row = str(page.script("return document.querySelector('#refusals tbody tr').innerText"))
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", row)
    assert "550 5.2.1 " in page.text("#refusals")
    assert "configuration in force since " in page.text("#reload")
    page.script(
        "[...document.querySelectorAll('#refusals a')]"
        ".find((each) => each.innerText.startsWith('dora')).click()"
    )
    assert page.wait_script(ANSWER, "there is a verdict") == "denied"
    address = str(page.script("return location.hash"))
    assert address.startswith("#recipient=dora%40example.org")
    page.open(site.url.rstrip("/") + "/#recipient=fred%2BWork%40example.org")
    wanted = "return document.querySelector('#answer .mono')?.innerText === 'fred+Work@example.org'"
    page.wait_script(wanted, "a bookmark explains")
    assert page.console() == []


def test_refusals_are_filtered(site: Site, page: Browser) -> None:
    """By words of any column; those of other rows are not shown."""
    site.policy(b"dora@example.org")
    site.socketmap(b"nobody@example.org")
    for name in ("dora", "nobody"):
        page.wait_script(
            f"return document.getElementById('refusals').innerText.includes('{name}@example.org')",
            f"the refusal of {name} is shown",
        )
    page.script(
        "const box = document.getElementById('filter'); box.value = 'DORA policy';"
        "box.dispatchEvent(new Event('input'))"
    )
    assert "dora@example.org" in page.text("#refusals")
    assert "nobody@example.org" not in page.text("#refusals")
    assert re.fullmatch(r"\d+ of \d+ shown", page.text("#filtered"))
