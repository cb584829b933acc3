"""The demo page in a real browser: headless Chromium against a running demo server.

Fixtures that the conftest has to provide, both of module scope:

- `demo_url`: the address of a running demo, for example `http://127.0.0.1:41233`.
- `demo_server`: the demo behind it, with `stop()` (an orderly shutdown as by SIGTERM; returns when
  the port is closed) and `start()` (on the same port; returns when it answers).
"""

import json
import os
import uuid
from urllib.parse import urlsplit

import pytest

from harness.browser import Page

BOTH = ("a", "b")


@pytest.fixture
def page(browser, demo_url):
    """A freshly loaded page whose panes are both open. No test may leave an exception in it."""
    page = browser.open(demo_url)
    try:
        for pane in BOTH:
            wait_for_state(page, pane, "open")
        yield page
        page.evaluate("0")
        assert page.errors == []
    finally:
        # The next page needs the connections: a browser opens only six to one host.
        page.command("Page.close")
        page.close()


def root(pane: str) -> str:
    return f"document.querySelector('#pane-{pane}')"


def state(page: Page, pane: str) -> str:
    return page.evaluate(f"{root(pane)}.dataset.state")


def wait_for_state(page: Page, pane: str, wanted: str) -> None:
    page.wait_for(f"{root(pane)}?.dataset.state === '{wanted}'", f"pane {pane} is {wanted}",
                  show=f"{root(pane)}?.innerText.slice(0, 300)")


def items(page: Page, pane: str, kind: str = "message") -> list[dict]:
    """What the pane shows, oldest first."""
    return page.evaluate(f"""
        [...document.querySelectorAll('#pane-{pane}-list > .item[data-kind="{kind}"]')].reverse()
          .map((item) => ({{
            text: item.querySelector('.body').textContent, id: item.dataset.id,
            replayed: item.dataset.replayed === 'true', odd: item.dataset.odd || '',
            mark: item.querySelector('.took').textContent,
          }}))""")


def having(page: Page, pane: str, part: str) -> list[dict]:
    return [item for item in items(page, pane) if part in item["text"]]


def wait_for_text(page: Page, pane: str, text: str) -> dict:
    page.wait_for(f"""[...document.querySelectorAll('#pane-{pane}-list .body')]
        .some((body) => body.textContent === {json.dumps(text)})""",
                  f"pane {pane} shows {text!r}", show=f"{root(pane)}.innerText.slice(0, 600)")
    return having(page, pane, text)[0]


def wait_for_ticks(page: Page, pane: str, number: int) -> None:
    page.wait_for(f"document.querySelectorAll('#pane-{pane}-list [data-kind=tick]').length >= {number}",
                  f"pane {pane} shows {number} ticks", show=f"{root(pane)}.innerText.slice(0, 600)")


def publish(page: Page, text: str) -> None:
    """As a person does it: type, press Enter, see that it was taken."""
    page.type_text("#publish-text", text)
    page.press_enter()
    status = "document.querySelector('#publish-status')"
    page.wait_for(f"{status}.dataset.state === 'done' && !document.querySelector('#publish-text').value",
                  f"{text!r} is published", show=f"{status}.textContent")


def fresh(text: str) -> str:
    return f"{text} {uuid.uuid4().hex[:8]}"


def totals(page: Page, name: str) -> int:
    return int(page.evaluate(f"document.querySelector('#total-{name}').textContent").replace(",", ""))


def assert_each_once(page: Page) -> None:
    assert totals(page, "odd") == 0
    for pane in BOTH:
        ids = [item["id"] for kind in ("message", "tick") for item in items(page, pane, kind)]
        assert len(ids) == len(set(ids))


def test_both_panes_open_and_tick(page):
    ids = [page.evaluate(f"{root(pane)}.dataset.connectionId") for pane in BOTH]
    assert all(len(one) == 16 and int(one, 16) >= 0 for one in ids)
    assert ids[0] != ids[1]
    for pane in BOTH:
        wait_for_ticks(page, pane, 2)
        numbers = [int(item["text"].removeprefix("tick ")) for item in items(page, pane, "tick")]
        assert numbers == sorted(set(numbers))
    assert_each_once(page)


def test_shows_how_to_publish_from_sql(page):
    page.wait_for("document.querySelector('#psql-line').textContent.includes('psql')",
                  "the psql line is shown")
    assert page.evaluate("document.querySelector('#version').textContent")


def test_asks_nobody_but_the_demo_server(page, demo_url):
    publish(page, fresh("only here"))
    origin = urlsplit(demo_url).netloc
    elsewhere = [url for url in page.requests
                 if not url.startswith("data:") and urlsplit(url).netloc != origin]
    assert len(page.requests) >= 4
    assert elsewhere == []


def test_published_text_reaches_both_panes(page):
    text = fresh("to everyone")
    publish(page, text)
    seen = [wait_for_text(page, pane, text) for pane in BOTH]
    assert seen[0]["id"] == seen[1]["id"] != ""
    assert not any(item["replayed"] for item in seen)
    assert all(item["mark"].endswith("ms") for item in seen)


@pytest.mark.parametrize("text", [
    "<b>bold</b> & <img src=x onerror=\"document.title='broken'\"> &amp; ",
    "Grüße, 東京, 🌊 100% of a+b=c #1?d&e ",
])
def test_text_stays_text(page, text):
    text += uuid.uuid4().hex
    publish(page, text)
    for pane in BOTH:
        wait_for_text(page, pane, text)
        assert page.evaluate(f"document.querySelectorAll('#pane-{pane}-list :is(b, img)').length") == 0
    assert page.evaluate("document.title") == "Millstream demo"


def test_what_was_missed_is_replayed_once(page):
    before, after = fresh("before the cut"), fresh("after the cut")
    missed = [fresh(f"missed {number}") for number in (1, 2, 3)]
    publish(page, before)
    for pane in BOTH:
        wait_for_text(page, pane, before)
    page.click("#pane-a-auto")
    page.click("#pane-a-toggle")
    wait_for_state(page, "a", "cut")
    for text in missed:
        publish(page, text)
        wait_for_text(page, "b", text)
    assert not any(having(page, "a", text) for text in missed)
    assert state(page, "a") == "cut"

    page.click("#pane-a-toggle")
    wait_for_state(page, "a", "open")
    wait_for_text(page, "a", missed[-1])
    publish(page, after)
    wait_for_text(page, "a", after)

    shown = items(page, "a")
    assert [item["text"] for item in shown if item["replayed"]] == missed
    assert [item["text"] for item in shown if item["text"] in (before, *missed, after)] \
        == [before, *missed, after]
    assert not any(item["replayed"] for item in items(page, "b"))
    assert totals(page, "replayed") >= 3
    assert_each_once(page)


def test_a_cut_pane_comes_back_by_itself(page):
    old = page.evaluate(f"{root('b')}.dataset.connectionId")
    page.click("#pane-b-toggle")
    wait_for_state(page, "b", "cut")
    wait_for_state(page, "b", "open")
    assert page.evaluate(f"{root('b')}.dataset.connectionId") != old
    assert totals(page, "reconnects") == 1
    assert_each_once(page)


def test_not_to_pane_a(page):
    page.click("#publish-exclude")
    hidden, shown = fresh("not to A"), fresh("to both again")
    publish(page, hidden)
    wait_for_text(page, "b", hidden)
    page.click("#publish-exclude")
    publish(page, shown)
    wait_for_text(page, "a", shown)
    assert having(page, "a", hidden) == []


def test_leaving_the_page_frees_its_connections(page, demo_url):
    """Two connections stay for every page left behind: the fourth could not be loaded."""
    for _ in range(5):
        page.go(demo_url)
        for pane in BOTH:
            wait_for_state(page, pane, "open")


def test_comes_back_after_a_restart(page, demo_server):
    publish(page, before := fresh("before the restart"))
    for pane in BOTH:
        wait_for_text(page, pane, before)
    old = [page.evaluate(f"{root(pane)}.dataset.connectionId") for pane in BOTH]
    demo_server.stop()
    try:
        for pane in BOTH:
            wait_for_state(page, pane, "reconnecting")
        unsent = fresh("while it was away")
        page.type_text("#publish-text", unsent)
        page.press_enter()
        page.wait_for("document.querySelector('#publish-status').dataset.state === 'failed'",
                      "publishing to nobody is said to have failed",
                      show="document.querySelector('#publish-status').textContent")
        assert page.evaluate("document.querySelector('#publish-text').value") == unsent
    finally:
        demo_server.start()
    for pane in BOTH:
        wait_for_state(page, pane, "open")
    new = [page.evaluate(f"{root(pane)}.dataset.connectionId") for pane in BOTH]
    assert not set(old) & set(new)

    page.evaluate("document.querySelector('#publish-text').value = ''")
    publish(page, after := fresh("after the restart"))
    for pane in BOTH:
        wait_for_text(page, pane, after)
        assert len(having(page, pane, before)) == 1
    assert_each_once(page)


def test_keeps_a_bounded_number_of_rows(page, demo_url):
    flood = fresh("flood")
    page.evaluate(f"""(async () => {{
        for (let n = 0; n < 260; n += 1) {{
          await fetch("/demo/publish?data=" + encodeURIComponent({json.dumps(flood)} + " " + n),
                      {{ method: "POST" }});
        }}
    }})()""")
    for pane in BOTH:
        wait_for_text(page, pane, f"{flood} 259")
        assert page.evaluate(f"document.querySelector('#pane-{pane}-list').childElementCount") == 200
        assert int(page.evaluate(f"{root(pane)}.dataset.count")) >= 260
    assert_each_once(page)


def test_screenshot(page):
    """What the README shows: a cut, what came back, and text that is text."""
    page.prefer(color_scheme="light", reduced_motion="reduce")
    wait_for_ticks(page, "a", 3)
    publish(page, "Hello, both of you")
    wait_for_text(page, "a", "Hello, both of you")
    page.click("#pane-a-auto")
    page.click("#pane-a-toggle")
    wait_for_state(page, "a", "cut")
    for text in ("Order 1041 was paid", "<b>bold</b> & plain"):
        publish(page, text)
        wait_for_text(page, "b", text)
    page.click("#pane-a-toggle")
    wait_for_text(page, "a", "<b>bold</b> & plain")
    publish(page, "and live again")
    for pane in BOTH:
        wait_for_text(page, pane, "and live again")
    wait_for_ticks(page, "a", 6)
    page.evaluate("document.activeElement.blur()")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if path := os.environ.get("DEMO_SCREENSHOT"):
        page.screenshot(path)
        assert os.path.getsize(path) > 20_000
