"""The page of a study: what it must tell, and what it must not."""

import re
from html.parser import HTMLParser

import pytest
from studied import PROVENANCE, SWEEP, TABLE, changed, results, row

from benchmarks.pages import merged
from benchmarks.studies.answer import answer, limits
from benchmarks.studies.plots import draw
from benchmarks.studies.report import write_report

VOID = {"meta"}


class Page(HTMLParser):
    """Collect the cells of the table and the words of a page, and refuse tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.rows, self.words, self.tags = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append(["", dict(attributes).get("class")])

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1][0] += text
        if "style" not in self.open:
            self.words.append(text)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))

    def column(self, header):
        """Return text and class of a column by row."""
        index = [text for text, _ in self.rows[0]].index(header)
        return {line[0][0]: tuple(line[index]) for line in self.rows[1:]}


def page(folder, content):
    write_report(folder, content)
    return Page((folder / "report.html").read_text())


# -- the page --------------------------------------------------------------------------------------------------------


def test_the_page_is_self_contained_and_has_its_plots_beside_it(tmp_path):
    found = page(tmp_path, TABLE)
    names = ("errors", "error_parameters", "error_macs", "losses")
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", *(f"turned_{name}.svg" for name in names)}
    assert [tag for tag, _ in found.tags].count("svg") == 4
    assert not {"script", "link", "iframe", "img"} & {tag for tag, _ in found.tags}
    targets = [each.get(key) for _, each in found.tags for key in ("href", "xlink:href", "src") if key in each]
    assert all(target.startswith("#") for target in targets)
    ids = [each["id"] for _, each in found.tags if "id" in each]
    assert len(ids) == len(set(ids))
    assert all(target[1:] in ids for target in targets)


def test_the_table_shows_published_beside_measured(tmp_path):
    found = page(tmp_path, TABLE)
    assert found.column("test error (%)")["P4CNN"] == ("2.31 ± 0.02", None)
    assert found.column("published error (%)")["P4CNN"] == ("2.23", None)
    assert found.column("published parameters")["gc-P4CNN"] == ("25,000", None)
    assert found.column("published MACs")["P4CNN"] == ("-", None)
    assert found.column("memory at batch 2")["P4CNN"] == ("1.00 MiB", None)
    assert found.column("test error (%)")["undone"] == ("-", None)
    assert found.column("test error (%)")["one seed"][0] == "3.00"
    assert [found.column("seeds")[name][0] for name in ("Z2CNN", "one seed", "undone")] == ["2", "1", "0"]


def test_only_errors_below_the_published_ones_are_marked(tmp_path):
    equal = row("equal as shown", 2, 1.7399, 0.1, published={"error": 1.74})
    found = page(tmp_path, results([*TABLE["rows"], equal]))
    marked = [(line[0][0], text) for line in found.rows for text, kind in line if kind == "best"]
    assert marked == [("gc-P4CNN", "1.70 ± 0.10"), ("one seed", "3.00")]
    assert "Green: lower than the published error" in found.text


@pytest.mark.parametrize("other", [{"quick": True}, {"part": "validation"}])
def test_what_is_not_comparable_says_so_and_is_not_compared(other, tmp_path):
    found = page(tmp_path, changed(TABLE, **other))
    assert "Published errors are not comparable with these." in found.text
    assert ("Quick run." in found.text) == ("quick" in other)
    assert ("Not on the test images." in found.text) == ("part" in other)
    assert not [kind for line in found.rows for _, kind in line if kind]
    assert "errors differ from the published ones" not in found.text
    assert "Green" not in found.text
    assert f"{other.get('part', 'test')} error" in answer(changed(TABLE, **other))[0]


def test_a_whole_run_has_no_notice(tmp_path):
    found = page(tmp_path, TABLE)
    assert "notice" not in [each.get("class") for _, each in found.tags]
    assert "Runs that failed" not in found.text
    assert "on rotmnist, 1 to 2 seeds each, beside what was published (Somebody, 5 seeds)." in found.text


def test_failures_are_told(tmp_path):
    found = page(tmp_path, changed(TABLE, failures=[{"row": "undone", "seed": 2, "reason": "the loss became nan"}]))
    assert ("a", {"href": "#failures"}) in found.tags
    assert ("h2", {"id": "failures"}) in found.tags
    assert "1 run failed and is not part of the numbers" in found.text
    assert "undone, seed 2: the loss became nan" in found.text


def test_how_it_was_measured(tmp_path):
    text = page(tmp_path, TABLE).text
    assert "epochs 3, batch size 256, optimizer adam, schedule step, every 2, gamma 0.1, learning rate 0.01" in text
    assert "momentum" not in text, "Adam does not read it"
    assert "one seed: learning rate 0.5." in text
    assert "untold: augmentation rotate 180." in text
    assert "Turned digits. Training: 12,000 images; test: 50,000; 28x28 pixels; 10 classes." in text
    assert "none: tested once." in text
    assert "cnn on P4M; width 10" in text
    assert "the first" not in text
    assert "that of the first 1,000." in page(tmp_path, changed(TABLE, curve_images=1000)).text


def test_an_ordinary_network_is_on_no_group(tmp_path):
    ordinary = row("ordinary", 1, 2.0, model="vgg", group="none", options={"orders": [4, 2, 1]})
    found = page(tmp_path, results([ordinary, row("other", 1, 1.0)]))
    assert found.column("group")["ordinary"] == ("none", None)
    assert "vgg; orders 4 2 1" in found.text
    assert "vgg on" not in found.text
    assert "cnn on P4" in found.text


def test_names_cannot_be_taken_for_html(tmp_path):
    name = "<script>alert('a & b')</script>"
    content = results([row(name, 1, 2.0, group="<b>P4</b>"), row("other", 1, 1.0)], title="<i>title</i>")
    content["failures"] = [{"row": name, "seed": 1, "reason": "<u>reason</u>"}]
    found = page(tmp_path, content)
    assert not {"script", "b", "i", "u"} & {tag for tag, _ in found.tags}
    assert found.column("group")[name] == ("<b>P4</b>", None)
    assert "<u>reason</u>" in found.text


def test_a_study_without_published_numbers(tmp_path):
    rows = [each | {"published": {}} for each in TABLE["rows"]]
    found = page(tmp_path, changed(TABLE, rows=rows, published_by=""))
    assert "published" not in found.text
    assert not [text for text, _ in found.rows[0] if "published" in text]
    assert len(draw(results(rows))) == 4


def test_nothing_done(tmp_path):
    found = page(tmp_path, results([row("Z2CNN", 0, published={"error": 5.2}), row("P4CNN", 0)]))
    assert "Nothing has been measured yet." in found.text
    assert "The plots" not in found.text
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert found.column("published error (%)")["Z2CNN"] == ("5.20", None)


def test_one_row_with_one_seed(tmp_path):
    found = page(tmp_path, results([row("P4CNN", 1, 2.31)]))
    assert "P4CNN has a test error: 2.31 %" in found.text
    assert "lowest" not in found.text
    assert "There is one seed a row" in found.text
    assert "do not cost the same" not in found.text


def test_runs_of_one_source_are_merged(tmp_path):
    other = PROVENANCE | {"commit": "b" * 40}
    sources = (("x", PROVENANCE), ("y", other), ("z", PROVENANCE), ("x", PROVENANCE))
    runs = [{"command": command, "provenance": source} for command, source in sources]
    assert [(each["commands"], each["provenance"]["commit"][0]) for each in merged(runs)] == [
        (["x", "z"], "a"),
        (["y"], "b"),
    ]
    text = page(tmp_path, changed(TABLE, runs=runs)).text
    assert text.index("x z") < text.index("commit " + "a" * 40) < text.index("commit " + "b" * 40)
    assert "2 combinations of commit, versions and machine" in text


# -- the sentences ---------------------------------------------------------------------------------------------------


def test_the_answer():
    lowest, within, off, single, missing = answer(TABLE)
    assert lowest.startswith("untold has the lowest test error: 1.60 ± 0.20 %, with 8,910 parameters (2 seeds)")
    assert lowest.endswith("; gc-P4CNN is within the spread.")
    assert within.startswith("2 of 3 errors differ from the published ones by no more than")
    assert off == "Farther off is P4CNN, higher: 2.31 ± 0.02 % measured, 2.23 % published."
    assert single.endswith("by: one seed.")
    assert missing == "Without a result: undone."


def test_the_side_on_which_an_error_is_off():
    rows = [row("a", 2, 1.0, 0.1, published={"error": 1.3}), row("b", 2, 9.0, 0.1, published={"error": 8.85})]
    _, within, off = answer(results(rows))
    assert within.startswith("1 of 2")
    assert off == "Farther off is a, lower: 1.00 ± 0.10 % measured, 1.30 % published."


def test_limits():
    text = " ".join(limits(TABLE))
    assert "There are 1 to 2 seeds a row" in text
    assert "8,910 to 24,810 parameters" in text
    assert "Not as many parameters as published: gc-P4CNN." in text
    assert "from the published ones by more than 1 %: gc-P4CNN." in text
    assert "Not all rows are trained alike: one seed and untold." in text
    assert "Trained on CPUs" in text
    assert "combinations" not in text


def test_limits_that_do_not_hold_are_not_told():
    source = PROVENANCE | {"versions": {"torch": "2.13.0+cu130"}}
    runs = [{"command": "x", "provenance": source}]
    assert limits(results([row("a", 12, 2.0, 0.1), row("b", 12, 2.0, 0.1)], runs=runs)) == []
    assert limits(results([row("a", 12, 2.0, 0.1)], runs=[])) == []


def test_the_answer_of_a_sweep_has_a_sentence_for_each_line(tmp_path):
    text = answer(SWEEP)
    assert text[0].startswith("P4CNN, 20 has the lowest test error: 2.01 ± 0.10 %, with 40,000 parameters")
    assert text[1:] == [
        "Z2CNN: lowest at width 20, 4.47 ± 0.10 % with 40,000 parameters.",
        "P4CNN: lowest at width 20, 2.01 ± 0.10 % with 40,000 parameters.",
    ]
    found = page(tmp_path, SWEEP)
    assert found.column("width")["P4CNN, 10"] == ("10", None)
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "turned_width.svg"}


def test_a_sweep_over_the_training_images(tmp_path):
    rows = [each | {"samples": 100 * each["value"] if each["value"] < 20 else None} for each in SWEEP["rows"]]
    sweep = {"name": "images", "title": "Error against training images", "varies": "samples", "axis": "samples"}
    text = page(tmp_path, changed(SWEEP, rows=rows, sweep=sweep)).text
    assert "Z2CNN, 5 and P4CNN, 5: samples 500." in page(tmp_path, changed(SWEEP, rows=rows)).text
    assert "exceptions" not in text, "the sweep says it"
    assert "Z2CNN, 5: samples 500." not in text
    assert "trained alike" not in text
    assert "training images" in (tmp_path / "turned_images.svg").read_text()
