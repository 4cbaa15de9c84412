import numpy as np
import pytest
import torch

torch.set_num_threads(1)  # the tests run side by side


def pytest_ignore_collect(collection_path):
    """What the tests share has no examples; looked for, they would be imported a second time."""
    return True if collection_path.suffix == ".py" and not collection_path.name.startswith("test_") else None


@pytest.fixture(autouse=True)
def _seed():
    torch.default_generator.manual_seed(0)  # of the CPU: torch.manual_seed asks for all kinds of devices


@pytest.fixture
def inline(monkeypatch):
    """The cells of a study run in this process: processes take seconds to start, and are shown with the engines."""
    from inline import Inline  # of the benchmarks; most tests do without

    from benchmarks.engines import ENGINES

    monkeypatch.setitem(ENGINES, "local", Inline)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder for data sets and another for the cache, and no hub."""
    monkeypatch.setenv("EQUICONV_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("EQUICONV_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EQUICONV_HUB", raising=False)
    return tmp_path / "data"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of images: 3 classes of 10, told apart by a bright corner-to-corner pattern."""
    from PIL import Image  # of the benchmarks; most tests do without

    root = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for label in range(3):
        (root / f"class{label}").mkdir()
        for index in range(10):
            pixels = generator.integers(0, 80, (20, 24, 3), dtype=np.uint8)
            pixels[4 : 8 + 4 * label, 6:12, 0] = 255
            Image.fromarray(pixels).save(root / f"class{label}" / f"{index}.png")
    return root
