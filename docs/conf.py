"""Settings of the documentation: Sphinx with MyST pages and the furo theme."""

import doctest
import pkgutil
import re
import sys
from importlib import import_module
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.logging import getLogger

import equiconv

sys.path.insert(0, str(Path(__file__).parent))
measured = import_module("measured")

project = "equiconv"
author = "The equiconv authors"
project_copyright = "2026, The equiconv authors"
version = release = equiconv.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "gallery", "examples/*.ipynb"]
templates_path: list[str] = []

myst_enable_extensions = ["colon_fence", "deflist", "substitution"]
myst_substitutions = measured.tables()
myst_heading_anchors = 3

nb_execution_mode = "force"
nb_execution_timeout = 600  # seconds, of a cell
nb_execution_show_tb = True
nb_render_markdown_format = "myst"  # with tables
nb_merge_streams = True  # one box for what a cell prints

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "examples",  # not under _build, whose pages Sphinx leaves out
    "filename_pattern": r"\.py$",
    "within_subsection_order": "gallery_parts.Order",
    "image_scrapers": ("gallery_parts.drawn", "matplotlib"),
    "capture_repr": (),  # what is not a figure is printed where it is meant to be read
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_signature": False,
    "write_computation_times": False,
    "min_reported_time": 1e9,  # the time that a page took is no part of it
}

html_theme = "furo"
html_title = f"equiconv {release}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

autoclass_content = "class"
autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "extra_repr"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Equivariance", "Shapes", "Initialization", "Source"]

# The examples in the docstrings run under pytest, which gives them the names of their module.
doctest_test_doctest_blocks = ""
# What a page writes goes into a folder that is thrown away.
doctest_global_setup = """
import os, tempfile
_home, _scratch = os.getcwd(), tempfile.TemporaryDirectory()
os.chdir(_scratch.name)
"""
doctest_global_cleanup = "os.chdir(_home); _scratch.cleanup()"
doctest_default_flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

# The build reads nothing from the network, so there is no inventory to find the names of other projects in.
nitpick_ignore_regex = [
    (r"py:.*", r"(torch|np|numpy|matplotlib|collections|contextlib|abc|enum|pathlib|typing)\..*"),
    (r"py:.*", r"(Tensor|NDArray|Callable|Iterable|Iterator|Sequence|Any|ABC|Ints|Floats|optional)"),
]


def run_code_blocks(_app: Sphinx, doctree: nodes.document) -> None:
    """Let the doctest builder run plain code blocks: ``pycon`` as a session, ``python`` as a program."""
    kinds = {"pycon": "doctest", "python": "testcode"}
    for block in doctree.findall(nodes.literal_block):
        kind = kinds.get(block.get("language", ""))
        if kind:
            block["testnodetype"], block["groups"] = kind, ["default"]


def keep_colons(_app: Sphinx, what: str, _name: str, _value: object, _options: object, lines: list[str]) -> None:
    """Hide the first line of a property from napoleon, which takes the words before a colon for a type."""
    if what == "property":
        lines[:0] = ["..", ""]  # an empty comment


def name_arrays(*arguments: object) -> tuple[object, ...]:
    """Write the types of arrays in a signature as the source does: ``Ints`` and ``Floats``."""
    array = re.compile(r"~?numpy\.ndarray\[tuple\[~?typing\.Any, \.\.\.\], ~?numpy\.dtype\[~?numpy\.(int|float)64\]\]")
    names = {"int": "Ints", "float": "Floats"}
    return tuple(text and array.sub(lambda found: names[found[1]], str(text)) for text in arguments[-2:])


def miss_public_names(_app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of public names that no page documents: those in ``__all__`` of the modules of equiconv."""
    modules = (import_module(f"equiconv.{found.name}") for found in pkgutil.iter_modules(equiconv.__path__))
    names = (f"{module.__name__}.{name}" for module in modules for name in getattr(module, "__all__", ()))
    for name in set(names) - set(env.domains.python_domain.objects):
        getLogger(__name__).warning("public, but on no page: %s", name)


def setup(app: Sphinx) -> None:
    """Connect the hooks."""
    app.connect("autodoc-process-docstring", keep_colons, priority=400)  # napoleon has 500
    app.connect("env-check-consistency", miss_public_names)
    app.connect("autodoc-process-signature", name_arrays)
    app.connect("doctree-read", run_code_blocks)
