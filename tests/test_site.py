"""The check of the built pages passes a whole site, and sees a broken one."""

import subprocess
import sys

import pytest

from docs import check_site
from docs.check_site import browser, dead_links, problems

chromium = browser()
needs_chromium = pytest.mark.skipif(chromium is None, reason="needs Chromium: the search of a page is a script")
WORD, ANCHOR = "GroupTent", "lib.GroupTent"

PAGES = {
    "index.html": """<link href="style.css"> <a href="api/all.html#lib.f">f</a> <a href="api/">API</a>
        <a href="#top">up</a> <a href="https://elsewhere.example/gone">out</a> <a href="mailto:a@b.example">mail</a>""",
    "api/index.html": '<a href="../index.html">back</a> <img src="../a%20b.png"> <a href="all.html?q=1">all</a>',
    "api/all.html": '<p id="lib.f">f</p><a name="old"></a> <a href="#old">here</a>',
    "style.css": "",
    "a b.png": "",
}


@pytest.fixture
def small(tmp_path):
    for name, text in PAGES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_links_that_lead_somewhere_pass(small):
    assert dead_links(small) == []


@pytest.mark.parametrize("gone", [name for name in PAGES if name != "index.html"])
def test_a_file_that_is_gone_is_seen(small, gone):
    (small / gone).unlink()
    assert dead_links(small)


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("index.html", "api/all.html#lib.g"),
        ("api/all.html", "#new"),
        ("api/all.html", "index.html#lib.f"),
        ("index.html", "../"),
        ("index.html", "/api/all.html"),
        ("api/index.html", "style.css"),
    ],
)
def test_a_dead_link_is_seen(small, name, link):
    with (small / name).open("a") as file:
        file.write(f'<a href="{link}">more</a>')
    assert dead_links(small) == [f"{name}: {link}"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Two pages that Sphinx has built."""
    pytest.importorskip("sphinx")
    source, out = tmp_path_factory.mktemp("pages"), tmp_path_factory.mktemp("html")
    (source / "conf.py").write_text('project = "lib"\nhtml_theme = "basic"\n')
    (source / "index.rst").write_text("Start\n=====\n\n.. toctree::\n\n   api\n")
    (source / "api.rst").write_text(f"API\n===\n\n.. py:class:: {ANCHOR}\n\n   Covers.\n")
    subprocess.run([sys.executable, "-m", "sphinx", "-q", "-b", "html", source, out], check=True)
    return out


@pytest.fixture
def site(built):
    """The same pages; what a test does to the index of the search is undone."""
    index = built / "searchindex.js"
    text = index.read_text()
    yield built
    index.write_text(text)


@needs_chromium
def test_the_search_finds_the_entry(site):
    assert problems(site, WORD, ANCHOR, chromium) == []


@needs_chromium
def test_a_search_that_does_not_find_the_entry_is_seen(site):
    index = site / "searchindex.js"
    index.write_text(index.read_text().replace(WORD, "GroupHouse").replace(WORD.lower(), "grouphouse"))
    assert problems(site, WORD, ANCHOR, chromium) == [f"the search for {WORD} does not find {ANCHOR}"]


def test_an_index_that_is_gone_is_seen(site):
    (site / "searchindex.js").unlink()
    (wrong,) = problems(site, WORD, ANCHOR, None)
    assert wrong.startswith("dead link in search.html: searchindex.js")


def test_without_chromium_it_says_so_and_checks_the_links(small, monkeypatch, capsys):
    monkeypatch.setattr(check_site, "browser", lambda: None)
    assert check_site.main(small) is None
    assert "the search of the pages was not tried" in capsys.readouterr().err
    (small / "style.css").unlink()
    assert check_site.main(small) == "dead link in index.html: style.css"
