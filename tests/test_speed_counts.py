"""The speed benchmark counts multiplications and memory as formulas do."""

import operator
from functools import partial

import pytest

from benchmarks.speed import Case, Setting
from benchmarks.speed.cases import DEPTHWISE, REFERENCE
from benchmarks.speed.memory import CLEAR, peak_memory
from benchmarks.speed.steps import multiplications, step_memory
from equiconv.groups import P4M, HueShift

needs_linux = pytest.mark.skipif(not CLEAR.exists(), reason="the peak of a process can be reset on Linux only")
MEBI = 2**20


@pytest.mark.parametrize(("kernel", "fields"), [(3, 4), (5, 6)])
def test_multiplications_of_a_hue_convolution(kernel, fields):
    case = Case(HueShift(3), fields, kernel=kernel, batch=4, size=7)
    pixels = case.batch * case.size**2
    builds = dict(case.contestants())
    dense = 9 * fields**2 * kernel**2 * pixels
    assert multiplications(builds[REFERENCE], case) == dense
    assert multiplications(builds["dense"], case) == dense
    blocks, transforms = 4 * fields**2 * kernel**2 * pixels, 2 * 12 * fields * pixels
    assert blocks <= multiplications(builds["fourier"], case) <= blocks + transforms


def test_multiplications_of_a_pointwise_and_a_depthwise_convolution():
    case = Case(P4M(), 2, "gc", batch=4, size=7)
    channels, pixels = 16, case.batch * case.size**2
    builds = dict(case.contestants())
    assert multiplications(builds[DEPTHWISE], case) == (channels**2 + 9 * channels) * pixels
    assert multiplications(builds[REFERENCE], case) == 9 * channels**2 * pixels


@needs_linux
def test_the_peak_grows_with_the_memory_that_is_taken():
    small, large = (peak_memory(partial(operator.mul, b"x", size * MEBI), Setting()) for size in (32, 64))
    assert abs(small / MEBI - 32) < 1
    assert abs(large / MEBI - 64) < 1


@needs_linux
def test_the_peak_of_a_step_holds_what_it_needs():
    case = Case(HueShift(3), 32, batch=8, size=32)
    _, channels = case.channels
    maps, kernel = case.batch * channels * case.size**2, 9 * channels**2
    least = 4 * (4 * maps + 2 * kernel)  # input, output and their gradients; kernel and its gradient
    first, second = (step_memory(case.dense, case, Setting()) for _ in range(2))
    assert least <= first < 2 * least
    assert abs(first - second) < 0.03 * first


def test_where_the_peak_cannot_be_known(monkeypatch, tmp_path):
    monkeypatch.setattr("benchmarks.speed.memory.CLEAR", tmp_path / "none")
    from benchmarks.speed.memory import _on_cpu

    assert _on_cpu(dict, Setting()) is None
