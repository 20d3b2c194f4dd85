"""The built book, and a small one, in headless Chromium, cut off from every host but this machine."""

import json
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import anywidget
import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from mechlib.authoring import site
from tests.browser import running, small

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
)
CUT_OFF = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
INSIDE = ("data:", "blob:", "chrome:")
"""Addresses that nobody else answers: in the page itself, or in the browser."""
AXE = "axe-core@4.14.1"
REQUIRE = "requirejs@2.3.8"
MANAGER = "@jupyter-widgets/html-manager@1.0.15"
COMPLAINTS = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ['violations']}).then(
  found => done(found.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html).join(' | '))));
"""
"""With axe on the page: what it has to complain of."""
SERIOUS = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ['violations']}).then(found => done(
  found.violations.filter(v => ['serious', 'critical'].includes(v.impact))
    .map(v => v.id + ': ' + v.nodes.map(n => n.html).join(' | '))));
"""
SETTLED = """
const done = arguments[arguments.length - 1];
const mathematics = window.MathJax && MathJax.startup ? MathJax.startup.promise : Promise.resolve();
mathematics.then(() => document.fonts.ready).then(() => done(true));
"""
SHOW_ALL = "document.querySelector('.mechlib-guesses-kept .ml-show-all')?.click()"


@dataclass
class Browser:
    """A browser on the book: opens its pages, and tells what they asked for and complained of."""

    driver: Chrome
    address: str

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def open(self, page: str, *, guessed: bool = True) -> None:
        """Open a page, such as ``book/intro``, on a desktop, and wait for its mathematics, fonts and widgets.

        What waits for a guess is shown, as its reader can have it, unless ``guessed`` is false.
        """
        self.driver.get_log("browser"), self.driver.get_log("performance")
        self.resize(1300, 1000)
        self.driver.get(f"{self.address}/{page}.html")
        self.driver.execute_async_script(SETTLED)
        if guessed:
            self.driver.execute_script(SHOW_ALL)
        views = self.all('script[type="application/vnd.jupyter.widget-view+json"]')
        wait = WebDriverWait(self.driver, 30)
        wait.until(lambda _: len(self.all(".widget-subarea .mechlib-widget")) >= len(views))

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        """The only element that matches."""
        found = self.all(selector)
        assert len(found) == 1, f"{len(found)} elements match {selector!r}"
        return found[0]

    def strangers(self) -> list[str]:
        """Every address asked for since the page was opened that is not on this machine."""
        events = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        sent = (e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent")
        ours = urlsplit(self.address).netloc
        return [url for url in sent if urlsplit(url).netloc != ours and not url.startswith(INSIDE)]

    def errors(self) -> list[str]:
        """What the page complained of since it was opened: uncaught errors, files that are not there."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture(scope="session")
def book() -> Path:
    """The folder of the built pages."""
    pages = site.pages()
    if not (pages / "index.html").is_file():
        pytest.fail(f"the book is not built, {pages} has no index.html: run 'make html'")
    return pages


@pytest.fixture(scope="session")
def chromium(program, tmp_path_factory) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = program("chromium", "google-chrome", package="chromium")
    service = Service(program("chromedriver", package="chromium-driver"))
    for argument in (*QUIET, CUT_OFF, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with Chrome(options=options, service=service) as driver:
        driver.set_script_timeout(60)
        yield driver


def from_npm(program, folder: Path, package: str, file: str) -> bytes:
    """A file of a package of npm's registry."""
    (named,) = json.loads(
        subprocess.run(
            [program("npm", package="npm"), "pack", "--silent", "--json", package],
            cwd=folder,
            check=True,
            capture_output=True,
        ).stdout
    )
    (archive,) = folder.glob(f"{named['name'].removeprefix('@').replace('/', '-')}-{named['version']}.tgz")
    with tarfile.open(archive) as packed:
        source = packed.extractfile(f"package/{file}")
        assert source is not None
        return source.read()


@pytest.fixture(scope="session")
def axe(tmp_path_factory, program) -> str:
    """The source of axe-core."""
    return from_npm(program, tmp_path_factory.mktemp("axe"), AXE, "axe.min.js").decode()


def serious(driver: Chrome, axe: str) -> list[str]:
    """What axe calls serious or critical on the page that is open."""
    driver.execute_script(axe)
    return driver.execute_async_script(SERIOUS)


@pytest.fixture(scope="session")
def front_end(tmp_path_factory, program) -> Path:
    """A folder with the scripts of a front end of Jupyter: what it shows widgets with, and anywidget's part of it."""
    folder = tmp_path_factory.mktemp("front-end")
    (folder / "require.js").write_bytes(from_npm(program, folder, REQUIRE, "require.js"))
    (folder / "embed-amd.js").write_bytes(from_npm(program, folder, MANAGER, "dist/embed-amd.js"))
    (folder / "anywidget.js").write_bytes(
        Path(anywidget.__file__).with_name("nbextension").joinpath("index.js").read_bytes()
    )
    return folder


PORTS = [8899]
"""Those that were used: the browser keeps files and connections of an address, so none is used again."""


@contextmanager
def served(pages: Path, driver: Chrome) -> Iterator[Browser]:
    """The browser on the pages in a folder."""
    with site.server(pages, PORTS[-1] + 1) as server:
        PORTS.append(server.server_port)
        Thread(target=server.serve_forever, daemon=True).start()
        yield Browser(driver, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


@pytest.fixture(scope="session")
def browser(book, chromium) -> Iterator[Browser]:
    """The browser on the built book."""
    with served(book, chromium) as browser:
        yield browser


@pytest.fixture(scope="session")
def small_book(chromium, tmp_path_factory) -> Iterator[Browser]:
    """The browser on a book of one chapter, which is built for it."""
    with served(small.build(tmp_path_factory.mktemp("small")), chromium) as browser:
        yield browser


@pytest.fixture(scope="session")
def engine(chromium, tmp_path_factory) -> Iterator[running.Engine]:
    """The functions of the playground, in the browser on a page that holds nothing else."""
    with served(running.write(tmp_path_factory.mktemp("engine")), chromium) as browser:
        yield running.Engine(browser.driver, browser.address)
