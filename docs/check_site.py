"""Check the built pages: ``python docs/check_site.py FOLDER``. Links lead somewhere, and the search finds an entry.

The search is that of the pages themselves, in Chromium without a window. Where there is no Chromium it is not tried.
"""

import shutil
import subprocess
import sys
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from urllib.parse import unquote, urlencode, urlsplit

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 60  # seconds
SEARCHED = ("GroupConv2d", "equiconv.layers.GroupConv2d")  # a word, and the anchor of its entry


class Page(HTMLParser):
    """What a page links to, and the anchors that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the links and anchors of an element."""
        for name, value in attrs:
            if name in ("href", "src"):
                self.links.append(value or "")
            if name == "id" or (name, tag) == ("name", "a"):
                self.anchors.add(value or "")


class Quiet(SimpleHTTPRequestHandler):
    """Serve files without a line for each of them."""

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def dead_links(folder: Path) -> list[str]:
    """Return the links inside a folder of pages that lead nowhere, each behind its page."""
    folder = folder.resolve()
    pages = {path: Page(path.read_text()) for path in sorted(folder.rglob("*.html"))}
    return [
        f"{path.relative_to(folder)}: {link}"
        for path, page in pages.items()
        for link in dict.fromkeys(page.links)
        if _is_inside(link) and not _leads(link, path, folder, pages)
    ]


def _is_inside(link: str) -> bool:
    parts = urlsplit(link)
    return not parts.scheme and not parts.netloc


def _leads(link: str, path: Path, folder: Path, pages: dict[Path, Page]) -> bool:
    """Tell whether a link of a page leads to a file in the folder, and to an anchor that it has."""
    parts = urlsplit(link)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file() or not target.is_relative_to(folder):
        return False
    return target not in pages or unquote(parts.fragment) in pages[target].anchors


def browser() -> str | None:
    """Return the path of Chromium, or of a browser made of it; None if there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def found(folder: Path, words: str, chromium: str) -> list[str]:
    """Return the links that the search of the pages answers with."""
    static = Page((folder / "search.html").read_text()).links
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/search.html?{urlencode({'q': words})}"
        shown = Page(_opened(chromium, address)).links
        server.shutdown()
    return [link for link in dict.fromkeys(shown) if link not in static]


def _opened(chromium: str, address: str) -> str:
    """Return the page at an address after its scripts have run."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            f"--user-data-dir={profile}",
        ]
        command = [chromium, *options, "--virtual-time-budget=10000", "--dump-dom", address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    return done.stdout


def problems(folder: Path, words: str, anchor: str, chromium: str | None) -> list[str]:
    """Return what is wrong with a folder of pages, whose search for the words should find the anchor."""
    wrong = [f"dead link in {link}" for link in dead_links(folder)]
    if chromium and not any(urlsplit(link).fragment == anchor for link in found(folder, words, chromium)):
        wrong.append(f"the search for {words} does not find {anchor}")
    return wrong


def main(folder: Path) -> str | None:
    """Return what is wrong, line by line; None if nothing is."""
    chromium = browser()
    if not chromium:
        sys.stderr.write("no Chromium here: the search of the pages was not tried\n")
    return "\n".join(problems(folder, *SEARCHED, chromium)) or None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
