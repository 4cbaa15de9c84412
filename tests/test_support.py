"""The support table: what it says of every public layer and network is what happens."""

import itertools
import json
from pathlib import Path

import pytest
import torch
from support import processes
from support.cases import CASES, Case
from support.features import ALONE, FEATURES
from support.outcome import WORKS, Outcome, outcome
from support.table import markdown, read
from torch import nn

import equiconv.layers
import equiconv.models
from equiconv import EquiconvError
from equiconv.groups import P4
from equiconv.layers import FieldBatchNorm
from equiconv.saving import Recorded

RESULTS = Path(__file__).parent.parent / "docs" / "results"
TABLE = read(json.loads((RESULTS / "support.json").read_text())["rows"])


@pytest.mark.parametrize("feature", ALONE)
@pytest.mark.parametrize("case", CASES)
def test_the_table_says_what_happens(case, feature):
    assert outcome(FEATURES[feature].check, CASES[case]) == TABLE[case][feature]


def test_the_table_says_what_happens_in_several_processes():
    for (feature, case), found in processes.in_two_processes().items():
        assert found == TABLE[case][feature], f"{feature} of {case}"
    for case, found in processes.spawned(list(CASES.values())).items():
        assert found == TABLE[case]["spawn"], f"spawn of {case}"


def test_nothing_fails():
    failed = [(case, name) for case, row in TABLE.items() for name, found in row.items() if found.kind == "fails"]
    assert failed == []


def test_the_page_has_the_table():
    assert (RESULTS / "support.md").read_text() == markdown(TABLE)


@pytest.mark.parametrize("package", [equiconv.layers, equiconv.models], ids=lambda package: package.__name__)
def test_every_public_module_has_a_row(package):
    public = {
        name
        for name in package.__all__
        if isinstance(kind := getattr(package, name), type)
        if issubclass(kind, nn.Module)
    }
    assert public <= {name.split(" (")[0] for name in CASES}


class Broken(Recorded):
    """A layer that breaks in one way."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(3, 1, 1) + 1)

    def forward(self, x):
        return x * self.weight


class Single(Broken):
    def forward(self, x):
        return (x * self.weight).float()


class Coarse(Broken):
    def forward(self, x):
        return (x.float() * self.weight.float()).to(x.dtype) if x.dtype == torch.float64 else x * self.weight


class Numb(Broken):
    def forward(self, x):
        return x * (self.weight.detach() + 0 * self.weight)


class Half(Broken):
    def forward(self, x):
        return x * (self.weight + self.weight.detach()) / 2


class Fragile(Broken):
    """Breaks in training alone."""

    def forward(self, x):
        return x * self.weight if not self.training else (x - x) / (self.weight - self.weight)


class Secret(Broken):
    made = itertools.count(1)

    def __init__(self):
        super().__init__()
        self._scale = float(next(self.made))

    def forward(self, x):
        return x * self.weight * self._scale


class Deaf(Broken):
    def forward(self, x):
        return x * self.weight.detach()


class Asking(Broken):
    def forward(self, x):
        return x * self.weight if x.sum().item() > 0 else -x * self.weight


class Fixed(Broken):
    def forward(self, x):
        return x * self.weight + torch.linspace(0, 1, len(x.tolist()) if not torch.compiler.is_compiling() else 2).view(
            -1, 1, 1, 1
        )


class Rows(Broken):
    def forward(self, x):
        return x.contiguous() * self.weight


class Made(Broken):
    def __init__(self):
        super().__init__()
        self.table = torch.rand(())  # follows neither devices nor types

    def forward(self, x):
        return x * self.weight * self.table


class Shared(Broken):
    def __init__(self):
        super().__init__()
        held = self.weight
        self.get = lambda: held

    def forward(self, x):
        return x * self.get()


class Modal(Broken):
    def train(self, mode=True):
        self.register_buffer("kept", None if mode else self.weight.detach().clone())
        return super().train(mode)


class Stale(Broken):
    def forward(self, x):
        if not hasattr(self, "kept"):
            self.kept = self.weight.detach().clone()
        return x * (self.weight if self.training else self.kept + 0 * self.weight)


BROKEN = [
    ("float64", Single),
    ("float64", Coarse),
    ("bfloat16", Single),
    ("float16", Single),
    ("float32", Deaf),
    ("float32", Numb),
    ("float32", Fragile),
    ("float64", Half),
    ("save", Secret),
    ("autocast", Deaf),
    ("channels_last", Rows),
    ("compile", Asking),
    ("export", Asking),
    ("export", Fixed),
    ("export-training", Asking),
    ("onnx", Fixed),
    ("func", Asking),
    ("meta", Made),
    ("deepcopy", Shared),
    ("pickle", Shared),
    ("state_dict", Modal),
    ("averages", Stale),
]


def case_of(kind):
    return Case(kind.__name__, kind, channels=(3,))


@pytest.mark.parametrize(("feature", "kind"), BROKEN)
def test_a_broken_layer_is_rejected(feature, kind):
    assert outcome(FEATURES[feature].check, case_of(kind)).kind == "fails"


@pytest.mark.parametrize("feature", ALONE)
def test_the_layer_that_the_broken_ones_are_made_of_passes(feature):
    assert outcome(FEATURES[feature].check, case_of(Broken)) in (WORKS, Outcome("nothing", "has no kernels"))


def untouched(module):
    return module


def lonely(case):
    processes.synchronized(case, untouched)


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = FieldBatchNorm(2 * P4().irrep(1))
        self.in_type = self.norm.in_type

    def forward(self, x):
        return self.norm(x)


def whole(case):
    """Forget which processes were asked for."""
    synchronize = FieldBatchNorm.synchronize
    FieldBatchNorm.synchronize = lambda self, group=None: synchronize(self)
    try:
        processes.by_themselves(case)
    finally:
        FieldBatchNorm.synchronize = synchronize


def test_processes_that_disagree_are_rejected():
    checked = {"lonely": lonely, "themselves": processes.by_themselves, "whole": whole}
    found = processes.in_two_processes(checked, [Case("norm", Norm)])
    assert {name: it.kind for (name, _), it in found.items()} == {
        "lonely": "fails",
        "themselves": "works",
        "whole": "fails",
    }
    checked = {"ddp": processes.data_parallel, "fsdp": processes.sharded}
    found = processes.in_two_processes(checked, [case_of(kind) for kind in (Broken, Deaf, Stale, Fragile)])
    assert {key: it.kind for key, it in found.items()} == {
        ("ddp", "Broken"): "works",
        ("ddp", "Deaf"): "fails",
        ("ddp", "Stale"): "works",
        ("ddp", "Fragile"): "fails",
        ("fsdp", "Broken"): "works",
        ("fsdp", "Deaf"): "fails",
        ("fsdp", "Stale"): "fails",
        ("fsdp", "Fragile"): "fails",
    }
    assert processes.spawned([case_of(Broken)])["Broken"] == WORKS
    with pytest.raises(AttributeError, match="lambda"):
        processes.spawned([case_of(Shared)])


def refuse(case):
    raise EquiconvError("because")


def test_outcomes():
    case = case_of(Broken)
    assert outcome(refuse, case) == Outcome("refused", "because")
    assert outcome(lambda case: 1 / 0, case) == Outcome("fails", "ZeroDivisionError: division by zero")
    row = dict.fromkeys(FEATURES, WORKS)
    text = markdown({"a": row | {"onnx": Outcome("refused", "because")}, "b": row | {"meta": Outcome("fails", "so")}})
    assert "refused (1)" in text
    assert "**no** (2)" in text
    assert text.endswith("1. because\n2. so\n")
