"""The cache: what is read is what was written, whatever happened in between."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from benchmarks.data import cache
from benchmarks.data.cache import cached, digest
from equiconv import EquiconvError


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUICONV_CACHE", str(tmp_path))


class Maker:
    """Makes the same arrays every time, and counts how often."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return {"images": np.arange(5000, dtype=np.int16), "names": np.array(["a", "bc"])}


def test_made_once_and_read_afterwards(tmp_path):
    make = Maker()
    first, second = cached("x", ("recipe", 1), make), cached("x", ("recipe", 1), make)
    assert make.calls == 1
    assert digest(first) == digest(second) == digest(Maker()())
    cached("x", ("recipe", 2), make)
    assert make.calls == 2
    assert len(list(tmp_path.glob("x-*.npz"))) == 2


def test_many_at_once_make_it_once():
    make = Maker()
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: digest(cached("x", 1, make)), range(4)))
    assert make.calls == 1
    assert len(set(results)) == 1


def test_digest_sees_values_types_shapes_and_names():
    base = np.arange(6)
    others = [
        {"a": base + 1},
        {"b": base},
        {"a": base.reshape(2, 3)},
        {"a": base.astype(np.int32)},
        {"a": base, "b": base},
    ]
    assert len({digest(arrays) for arrays in [{"a": base}, *others]}) == 6


def halved(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path):
    path.write_bytes(b"")


def changed(path):
    """Change a value and keep the file whole, with the old checksum."""
    with np.load(path) as file:
        arrays = dict(file)
    arrays["images"][7] += 1
    np.savez(path, **arrays)


def unsigned(path):
    np.savez(path, **Maker()())


@pytest.mark.parametrize("damage", [halved, emptied, changed, unsigned])
def test_damaged_files_are_not_taken(tmp_path, damage):
    make = Maker()
    expected = digest(cached("x", 1, make))
    (path,) = tmp_path.glob("*.npz")
    damage(path)
    with pytest.warns(UserWarning, match="damaged and is made anew"):
        assert digest(cached("x", 1, make)) == expected
    assert make.calls == 2
    assert digest(cached("x", 1, make)) == expected
    assert make.calls == 2


KILLED = """
import os, signal
import numpy as np
from benchmarks.data import cache

def half(stream, **arrays):
    stream.write(b"half of it")
    stream.flush()
    os.kill(os.getpid(), signal.SIGKILL)

cache.np.savez = half
cache.cached("x", 1, lambda: {"images": np.zeros(3)})
"""


def test_a_killed_writer_leaves_nothing_that_is_read_or_stays(tmp_path):
    assert subprocess.run([sys.executable, "-c", KILLED], env=os.environ, check=False).returncode == -signal.SIGKILL
    assert not list(tmp_path.glob("*.npz"))
    assert list(tmp_path.glob(".*.draft"))
    assert digest(cached("x", 1, Maker())) == digest(Maker()())
    assert not list(tmp_path.glob(".*.draft"))


def test_a_failing_writer_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(cache.np, "savez", fail)
        with pytest.raises(OSError, match="no space"):
            cached("x", 1, Maker())
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EQUICONV_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(EquiconvError, match="set EQUICONV_CACHE to a folder that can"):
        cached("x", 1, Maker())


def test_where_the_cache_is(monkeypatch, tmp_path):
    assert cache.cache_folder() == tmp_path
    monkeypatch.delenv("EQUICONV_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_folder() == tmp_path / "xdg" / "equiconv"
