"""A headless Chromium, driven over the DevTools protocol.

One `Browser` is one process with a profile of its own; `open(url)` gives a `Page`. Input is real
input (key and mouse events), so that what the tests do is what a person can do. Needs Debian's
package `chromium` and the Python package `websocket-client`.

Every wait is for a condition with a time limit, and says at its end what it waited for and what
was there instead.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, Callable

LIMIT_SECONDS = float(os.environ.get("BROWSER_LIMIT_SECONDS", "20"))
POLL_SECONDS = 0.02
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
    "--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--hide-scrollbars", "--no-proxy-server", "--window-size=1280,900",
)


class BrowserMissing(Exception):
    """Chromium or the websocket client is not installed; the text says what to install."""


class BrowserError(Exception):
    """Chromium ended, or refused a command."""


def find_chromium() -> str:
    named = os.environ.get("CHROMIUM")
    for name in (named,) if named else NAMES:
        if path := shutil.which(name):
            return path
    raise BrowserMissing(
        f"no Chromium found ({named or ', '.join(NAMES)}): install it with"
        " 'apt-get install chromium', or name one in CHROMIUM")


def websocket_module():
    try:
        import websocket
    except ImportError:
        raise BrowserMissing(
            "no Python package 'websocket-client': install it with"
            " 'pip install websocket-client' or 'apt-get install python3-websocket'") from None
    return websocket


def wait_until(condition: Callable[[], Any], what: str, limit_seconds: float = LIMIT_SECONDS,
               found: Callable[[], Any] | None = None) -> Any:
    """The first true value of `condition`, or an AssertionError that says `what` was missing."""
    deadline = time.monotonic() + limit_seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            instead = f"; instead: {found()!r}" if found else ""
            raise AssertionError(f"not within {limit_seconds:g} s: {what}{instead}")
        time.sleep(POLL_SECONDS)


class Browser:
    def __init__(self) -> None:
        program = find_chromium()
        websocket_module()
        self.profile = Path(tempfile.mkdtemp(prefix="millstream-chromium-"))
        self.log = open(self.profile / "stderr.txt", "wb")
        try:
            self.process = subprocess.Popen(
                [program, *FLAGS, f"--user-data-dir={self.profile}", "about:blank"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log)
        except OSError:
            self._remove_profile()
            raise
        self.pages: list[Page] = []
        try:
            self.port = wait_until(self._port, "Chromium names its DevTools port", 60)
        except BaseException:
            self.close()
            raise

    def _port(self) -> int | None:
        if self.process.poll() is not None:
            said = (self.profile / "stderr.txt").read_text(errors="replace")[-2000:]
            raise BrowserError(f"Chromium ended with {self.process.returncode}: {said}")
        try:
            lines = (self.profile / "DevToolsActivePort").read_text().split("\n")
        except FileNotFoundError:
            return None
        return int(lines[0]) if len(lines) > 1 and lines[0] else None

    def open(self, url: str, width: int = 1280, height: int = 900) -> "Page":
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/json/new?about:blank", method="PUT")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=LIMIT_SECONDS) as answer:
            target = json.load(answer)
        page = Page(target["webSocketDebuggerUrl"])
        self.pages.append(page)
        page.resize(width, height)
        page.go(url)
        return page

    def close(self) -> None:
        for page in self.pages:
            page.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._remove_profile()

    def _remove_profile(self) -> None:
        self.log.close()
        shutil.rmtree(self.profile, ignore_errors=True)

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class Page:
    """One tab. `errors` are its uncaught exceptions, `requests` the addresses that it asked for."""

    def __init__(self, address: str) -> None:
        # DevTools refuses a websocket that names an origin it was not told of.
        self.socket = websocket_module().create_connection(
            address, timeout=LIMIT_SECONDS, suppress_origin=True, http_no_proxy=["*"])
        self.last_command = 0
        self.loaded = False
        self.errors: list[str] = []
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Network"):
            self.command(f"{domain}.enable")

    def command(self, method: str, **params: Any) -> dict[str, Any]:
        self.last_command += 1
        self.socket.send(json.dumps({"id": self.last_command, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.last_command:
                break
            self._event(message)
        if "error" in message:
            raise BrowserError(f"{method}: {message['error']}")
        return message["result"]

    def crash(self) -> None:
        """Ends its process, so that nobody is left to answer."""
        self.socket.send(json.dumps({"id": 0, "method": "Page.crash"}))
        self.close()

    def _event(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            thrown = details.get("exception", {}).get("description")
            self.errors.append(thrown or details["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Page.loadEventFired":
            self.loaded = True

    def go(self, url: str) -> None:
        self.loaded = False
        refused = self.command("Page.navigate", url=url).get("errorText")
        if refused:
            raise BrowserError(f"{url}: {refused}")
        # Events arrive with the answers to commands, so asking is what lets `loaded` become true.
        wait_until(lambda: self.loaded or (self.evaluate("0"), self.loaded)[1], f"{url} is loaded")

    def evaluate(self, expression: str) -> Any:
        answer = self.command("Runtime.evaluate", expression=expression, returnByValue=True,
                              awaitPromise=True)
        if details := answer.get("exceptionDetails"):
            thrown = details.get("exception", {}).get("description", details["text"])
            raise BrowserError(f"{expression}: {thrown}")
        return answer["result"].get("value")

    def wait_for(self, expression: str, what: str | None = None, show: str | None = None,
                 limit_seconds: float = LIMIT_SECONDS) -> Any:
        """The first true value of a JavaScript expression; `show` is one to report on failure."""
        found = (lambda: self.evaluate(show)) if show else None
        return wait_until(
            lambda: self.evaluate(expression), what or expression, limit_seconds, found)

    def click(self, selector: str) -> None:
        x, y = self.evaluate(f"""(() => {{
            const node = document.querySelector({json.dumps(selector)});
            node.scrollIntoView({{block: "nearest", behavior: "instant"}});
            const box = node.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left",
                         clickCount=1)

    def type_text(self, selector: str, text: str) -> None:
        self.click(selector)
        self.command("Input.insertText", text=text)

    def press_enter(self) -> None:
        for kind, text in (("keyDown", {"text": "\r"}), ("keyUp", {})):
            self.command("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter",
                         windowsVirtualKeyCode=13, **text)

    def resize(self, width: int, height: int, phone: bool = False) -> None:
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height,
                     deviceScaleFactor=2, mobile=phone)

    def prefer(self, **features: str) -> None:
        """`prefer(color_scheme="dark")` sets the media feature `prefers-color-scheme`."""
        self.command("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-" + name.replace("_", "-"), "value": value}
            for name, value in features.items()])

    def screenshot(self, path: str | os.PathLike[str]) -> None:
        data = self.command("Page.captureScreenshot", format="png")["data"]
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(base64.b64decode(data))

    def close(self) -> None:
        self.socket.close()
