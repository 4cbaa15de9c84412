"""The code of the pages of the documentation, as a reader takes it from there."""

import doctest
import re
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE  # those of docs/conf.py
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INCLUDE = re.compile(r"^```{include} (\S+)\n:start-after: (.*)\n:end-before: (.*)\n```$", re.MULTILINE)


def page(name):
    """The text of a page, with what it includes from other files."""
    path = DOCS / f"{name}.md"

    def included(found):
        text = (path.parent / found[1]).read_text()
        return text.split(found[2])[1].split(found[3])[0].strip()

    return INCLUDE.sub(included, path.read_text())


def blocks(text, *languages):
    """The blocks of code of a page in these languages, in order: pairs of the language and the code."""
    return [(language, code) for language, code in BLOCK.findall(text) if language in languages]


def failures(text):
    """How many examples of a page do something else than it says; ``python`` runs as a program."""
    names = {"__name__": "__main__"}
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    for language, code in blocks(text, "pycon", "python"):
        if language == "python":
            exec(code, names)
        else:
            test = doctest.DocTestParser().get_doctest(code, names, "page", None, 0)
            runner.run(test, clear_globs=False)
            names.update(test.globs)
    return runner.summarize(verbose=False).failed
