"""Checkpoints of others are read without running what is in them."""

import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch

from equiconv.errors import EquiconvError
from equiconv.interop import read_checkpoint
from equiconv.interop.weights import shared_prefix, unwrapped, without_prefix

STATE = {"fc.weight": torch.rand(2, 3), "fc.bias": torch.rand(2)}


class Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def same(state):
    return list(state) == list(STATE) and all(torch.equal(state[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_hostile_pickle_is_refused_and_not_run(tmp_path, zipped):
    file, trace = tmp_path / "weights.pth", tmp_path / "trace"
    torch.save({**STATE, "more": Hostile(trace)}, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(EquiconvError, match=r"holds pathlib.*\.touch, which could run code|holds .*getattr"):
        read_checkpoint(file)
    assert not trace.exists()
    torch.load(file, weights_only=False)
    assert trace.exists()  # else the file would prove nothing


WRAPPED = {
    "as they are": STATE,
    "DataParallel": {f"module.{name}": value for name, value in STATE.items()},
    "Lightning": {
        "epoch": 3,
        "state_dict": {f"model.{name}": value for name, value in STATE.items()},
        "hyper_parameters": {"args": Namespace(rotations=3, classes=["cat", "dog"])},
        "optimizer_states": [{"state": {}, "param_groups": [{"lr": 0.1}]}],
    },
    "compiled and parallel": {"state_dict": {f"module._orig_mod.{name}": value for name, value in STATE.items()}},
    "another name": {"net": STATE, "acc": 3.0, "epoch": 3},
    "with an optimizer": {"model": STATE, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}},
    "averaged": {"n_averaged": torch.tensor(1), **{f"module.{name}": value for name, value in STATE.items()}},
    "NumPy and paths": {
        "state_dict": STATE,
        "best": np.float64(3.2),
        "epochs": [np.int32(1), np.bool_(True)],
        "history": np.arange(3.0),
        "names": np.array(["cat"]),
        "args": Namespace(root=Path("data")),
    },
    "of a dictionary": {"model_state_dict": STATE, "optimizer": {"lr": 1.0}},
}


@pytest.mark.parametrize("name", WRAPPED)
def test_wrappers_are_taken_off(tmp_path, name):
    torch.save(WRAPPED[name], tmp_path / "weights.pth")
    assert same(read_checkpoint(tmp_path / "weights.pth"))
    assert same(unwrapped(WRAPPED[name]))


def test_several_state_dicts_are_not_chosen_from():
    with pytest.raises(EquiconvError, match="several state dicts: ema; net"):
        unwrapped({"net": STATE, "ema": STATE})


@pytest.mark.parametrize(
    ("name", "own", "left"),
    [
        ("net.fc.x", "fc.", "fc.x"),
        ("a.b.fc.x", "b.fc.", "b.fc.x"),
        ("fc.x", "fc.", "fc.x"),
        ("net.fc.x", "", "x"),
        ("net.fc.x", "c.", "net.fc.x"),
        ("x", "", "x"),
    ],
)
def test_prefixes_that_the_module_has_not_are_taken_off(name, own, left):
    assert list(without_prefix({name: torch.ones(1), f"{name}2": torch.ones(1)}, own)) == [left, f"{left}2"]
    assert shared_prefix(["ab.c", "a.c"]) == shared_prefix([]) == shared_prefix(["a"]) == ""


def test_names_are_kept_if_one_has_no_wrapper():
    assert list(unwrapped({**WRAPPED["DataParallel"], "scale": torch.ones(1)})) == [
        "module.fc.weight",
        "module.fc.bias",
        "scale",
    ]


@pytest.mark.parametrize("content", [b"", b"weights", b"PK\x03\x04 no archive"])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(EquiconvError, match="is not read"):
        read_checkpoint(tmp_path / "weights.pth")
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("content", [[1, 2], {}, {"epoch": 3}, torch.ones(2)])
def test_what_holds_no_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(EquiconvError, match="expected a state dict"):
        read_checkpoint(tmp_path / "weights.pth")


def test_importing_does_not_import_e2cnn():
    code = "import sys, equiconv; assert 'equiconv.interop' not in sys.modules"
    code += "; import equiconv.interop; assert 'e2cnn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)
