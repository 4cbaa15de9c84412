"""The benchmark of equivariance sees what is exact, what is approximate, what is wrong; no number of it is a test."""

import json

import numpy as np
import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.deviation import SIDE, Inputs, Protocol, measure, summary
from benchmarks.equivariance import KINDS, contenders, markdown
from benchmarks.steerable import build
from benchmarks.symmetries import SYMMETRIES
from benchmarks.waves import PlaneWaves, cropped
from equiconv.bases import Harmonics
from equiconv.groups import Cyclic
from equiconv.groups.irreps import rotations

FEW = Protocol(seeds=2, images=2, field_images=1, turns=1)


class Backwards(Harmonics):
    """Functions that turn against the group."""

    def samples(self):
        mirrored = np.flip(super().samples().reshape(-1, *self.kernel_size), 1)
        return mirrored.reshape(self.size, -1)


def errors_of(name, network, shrink, fmax=0.25):
    symmetry = SYMMETRIES[name]()
    inputs = Inputs(symmetry, PlaneWaves(FEW.images, fmax), SIDE + shrink)
    errors = measure(network, symmetry, inputs, shrink, FEW)
    return symmetry, errors, summary(errors, symmetry)


def test_images_move_as_the_group_acts():
    waves, group = PlaneWaves(2, 0.25), Cyclic(4)
    still = waves.render(group.plane[0], 21)
    torch.testing.assert_close(waves.render(group.plane[1], 21), torch.rot90(still, 1, (-2, -1)), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(waves.render(np.diag([1.0, -1.0]), 21), still.flip(-2), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(cropped(still, 9), waves.render(group.plane[0], 9))
    turn = rotations(np.array([0.3]))[0]
    point = turn @ [3.0, 2.0]  # where the turn sends the pixel in column 10 + 3, row 10 - 2
    moved = waves.values(point[None] @ turn)  # the moved image there: the image at the point before the turn
    np.testing.assert_allclose(moved[..., 0], still[..., 8, 13], atol=1e-5)
    assert 0.8 < PlaneWaves(6, 0.25).render(group.plane[0], 33).std() < 1.2


@pytest.mark.parametrize("name", SYMMETRIES)
def test_elements(name):
    symmetry = SYMMETRIES[name]()
    turns = rotations(np.deg2rad(symmetry.degrees))
    flipped = np.where(np.array(symmetry.mirrored)[:, None, None], np.diag([1.0, -1.0]) @ turns, turns)
    np.testing.assert_allclose(flipped, symmetry.planes, atol=1e-9)
    assert sum(symmetry.on_grid) == 4 * (1 + any(symmetry.mirrored))


@pytest.mark.parametrize("name", ["C8", "D4", "D8", "SO2"])
@pytest.mark.parametrize("basis", [Harmonics.e2cnn((3, 3)), Harmonics((3, 3))], ids=repr)
def test_exact_on_the_grid_and_nearly_between(name, basis):
    symmetry, errors, found = errors_of(name, build(SYMMETRIES[name](), 3, 2, basis), 4)
    grid = [g for g, exact in enumerate(symmetry.on_grid) if exact]
    assert found["exact"][1] < 1e-5
    assert np.array(errors["center"])[:, grid].max() < 1e-5
    if len(grid) < len(symmetry.planes):
        assert 1e-5 < found["center"][0] < 0.3
        assert 1e-5 < found["invariant"][0] < 0.1
        assert 1e-5 < found["field"][0] < 0.3


def test_a_kernel_that_turns_backwards_is_seen():
    _, _, found = errors_of("C8", build(SYMMETRIES["C8"](), 5, 1, Backwards((5, 5))), 4)
    assert all(found[kind][0] > 0.1 for kind in ("center", "field", "exact"))


def test_e2cnn_is_asked_for_the_same_elements():
    pytest.importorskip("sympy", reason="e2cnn is not installed")
    builder = contenders([], ["e2cnn"])["e2cnn"]
    for name in ("C8", "D8", "SO2"):
        network = builder(SYMMETRIES[name](), 3, 2)
        found = errors_of(name, network, 4)[2]
        assert found["exact"][1] < 1e-5
        assert found["center"][1] < 0.3
        assert name == "SO2" or network.weights == build(SYMMETRIES[name](), 3, 2, Harmonics.e2cnn((3, 3))).weights


def test_default_rings_turn_better_at_the_same_size():
    for side in (5, 7):
        plain, default = Harmonics.e2cnn((side, side)), Harmonics((side, side))
        assert default.size == plain.size
        assert default.condition < 4
        assert np.isclose((default.samples() ** 2).sum(), default.size)
        before, after = (
            errors_of("C8", build(SYMMETRIES["C8"](), side, 1, basis), side - 1)[2]["center"][0]
            for basis in (plain, default)
        )
        assert after < before / 2


def test_antialiased_activations_err_less():
    aliased, antialiased = (
        errors_of("C8", builder(SYMMETRIES["C8"](), 5, 2), 8)[2]["center"][0]
        for builder in contenders(["default", "antialiased"], []).values()
    )
    assert 0 < antialiased < aliased


def test_run_writes_all_errors_and_where_they_come_from(tmp_path):
    assert main(["equivariance", "--quick", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "equivariance.json").read_text())
    rows = report["rows"]
    assert len(rows) == 8
    assert report["provenance"]["versions"]["torch"]
    assert report["command"].startswith("python -m benchmarks equivariance --groups C4 C8 --kernels 3 ")
    for row in rows:
        assert [len(draw) for draw in row["errors"]["center"]] == [len(row["degrees"])]
    for kind in KINDS:
        lines = (tmp_path / ("table.md" if kind == "center" else f"{kind}.md")).read_text().splitlines()
        assert len(lines) == 2 + (4 if kind == "exact" else 2)  # C4 has no element off the grid
        assert {line.count("|") for line in lines} == {7}
    assert (tmp_path / "angles_C8_0.25.svg").read_text().startswith("<svg")


def test_table():
    row = {"group": "C8", "kernel": 3, "depth": 1, "fmax": 0.25}
    rows = [
        row | {"network": "a", "summary": {"center": [0.0123, 0.045], "exact": [1e-7, 2.4e-7]}},
        row | {"network": "b", "summary": {"center": [0.5, 0.75], "exact": [1e-7, 2.4e-7]}},
    ]
    assert markdown(rows, "center").splitlines()[2] == "| C8 | 3 | 1 | 0.25 | 1.2 % [4.5] | 50 % [75] |"
    assert markdown(rows[:1], "exact").splitlines()[2] == "| C8 | 3 | 1 | 0.25 | 2e-07 |"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds", "0"], "--seeds and --depths are at least 1, --kernels at least 3"),
        (["--kernels", "2"], "--kernels at least 3"),
        (["--fmax", "0.6"], "--fmax is above 0.02 and at most 0.5 cycles per pixel; got 0.6"),
        (["--bases"], "nothing to measure: name --bases or --peers"),
    ],
)
def test_options_that_cannot_be_used(options, message, tmp_path, capsys):
    assert main(["equivariance", "--quick", *options, "--out", str(tmp_path)]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())
