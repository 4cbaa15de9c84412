"""A reader who copies from the pages gets what they say, and pictures are those that are drawn."""

import shutil
import sys
from code import InteractiveConsole
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread, imsave
from pages import DOCS, blocks, failures, page

from equiconv import errors

ERRORS = set(errors.__all__) - {"EquiconvError"}


def pasted(code, names, capsys):
    """What Python complains of, if a program is pasted into it line by line."""
    console = InteractiveConsole(names)
    capsys.readouterr()
    more = False
    for line in code.splitlines():
        more = console.push(line)
    if more:
        console.push("")
    return capsys.readouterr().err


def typed(code):
    """What a reader copies: of a session what stands behind the prompts."""
    lines = code.splitlines()
    return "\n".join(line[4:] for line in lines if line[:4] in (">>> ", "... ")) if lines[0][:4] == ">>> " else code


@pytest.fixture
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)


@pytest.mark.usefixtures("_elsewhere")
def test_the_programs_of_the_first_page_can_be_pasted(capsys):
    names = {"__name__": "__console__"}
    for _, code in blocks(page("start"), "python", "pycon"):
        assert pasted(typed(code).replace("range(150)", "range(1)"), names, capsys) == ""
    assert names["equivariant"](names["images"][:2]).shape == (2, 10)
    assert {path.name for path in Path.cwd().iterdir()} == {"kernels.png", "digits.safetensors"}


def test_a_program_that_cannot_be_pasted_is_seen(capsys):
    assert "SyntaxError" in pasted("for i in range(2):\n    i\ni = 3", {}, capsys)
    assert "SyntaxError" in pasted(typed(">>> for i in range(2):\n...     i\n0\n1\n>>> i\n1"), {}, capsys)
    assert "NameError" in pasted("from equiconv import P4\n\nP4(missing)", {}, capsys)


def test_a_page_that_says_something_else_is_seen():
    text = "```pycon\n>>> from equiconv import P4\n>>> P4().order\n4\n```\n"
    assert failures(text) == 0
    assert failures(text.replace("\n4\n", "\n5\n")) == 1
    message = "equiconv.errors.GroupError: the elements of Cyclic(4) are the integers 0 .. 3; got 7"
    text += f"```pycon\n>>> P4().check_element(7)\nTraceback (most recent call last):\n    ...\n{message}\n```\n"
    assert failures(text) == 0
    assert failures(text.replace("integers", "numbers")) == 1


def kinds_raised(text):
    """The kinds of errors whose messages a page shows."""
    return {name for name in ERRORS for _, code in blocks(text, "pycon") if f"\nequiconv.errors.{name}: " in code}


def test_every_kind_of_error_is_on_the_page_of_errors():
    assert kinds_raised(page("errors")) == ERRORS
    assert "ExportError" not in kinds_raised(page("errors").replace("ExportError", "Exported"))


def test_pictures_that_look_otherwise_are_seen(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    from figures import unlike

    shown = DOCS / "_static"
    for path in shown.glob("*.png"):
        shutil.copy(path, tmp_path)
    assert unlike(tmp_path, shown) == []
    picture = imread(tmp_path / "law.png")
    imsave(tmp_path / "law.png", np.ascontiguousarray(picture[::-1]))
    (tmp_path / "orbit.png").unlink()
    assert unlike(tmp_path, shown) == ["orbit.png", "law.png"]
