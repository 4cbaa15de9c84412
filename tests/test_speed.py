"""The speed benchmark measures what it says; no number of it is a test."""

import json

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.peers import e2cnn_layer
from benchmarks.speed import (
    LAYERS,
    NETWORKS,
    PLANS,
    SWEEPS,
    Case,
    Setting,
    builds_markdown,
    exported_markdown,
    implicit_markdown,
    layers_markdown,
    networks_markdown,
    plans_markdown,
    sweeps_markdown,
)
from benchmarks.speed.cases import DEPTHWISE, REFERENCE, tiny
from benchmarks.speed.command import SECTIONS
from benchmarks.speed.executions import accepts, set_execution
from benchmarks.speed.networks import resnet18, resnet44_preact
from benchmarks.speed.sweep_plots import draw_sweeps
from equiconv.errors import EquiconvError, FieldTypeError
from equiconv.groups import P4M, SO2, Cyclic, HueShift
from equiconv.layers import GroupConv2d
from equiconv.models import CNN

TABLES = {
    "layers": lambda rows: layers_markdown(rows, "dense"),
    "plans": plans_markdown,
    "sweeps": sweeps_markdown,
    "networks": networks_markdown,
    "builds": builds_markdown,
    "implicit": implicit_markdown,
    "export": exported_markdown,
}
SWEPT = {"sweep_order.svg", "sweep_fields.svg", "sweep_size.svg"}
WRITTEN = {f"{name}.{kind}" for name in TABLES for kind in ("json", "md")} | SWEPT
QUICK_NOTE = "quick: the layers are too small"


CASES = [*tiny(LAYERS + PLANS), *LAYERS, *PLANS]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name} at {case.size}")
def test_all_contestants_compute_the_dense_convolution(case):
    dense, layer = case.dense(), case.layer()
    assert layer.kernel().shape == dense.weight.shape
    x = torch.randn(1, dense.in_channels, case.size, case.size)
    with torch.no_grad():
        dense.weight.copy_(layer.kernel())
        dense.bias.copy_(layer.expanded_bias())
        for execution in (None, *(name for name in case.executions if accepts(layer, name))):
            other = case.layer(execution)
            other.load_state_dict(layer.state_dict())
            y = other(other.in_type.unflatten(x)).flatten(1, 2)
            torch.testing.assert_close(y, dense(x), rtol=1e-4, atol=1e-4)


def test_the_contestants_of_a_case():
    assert [name for name, _ in Case(HueShift(3), 2).contestants()] == [REFERENCE, "dense", "fourier"]
    assert [name for name, _ in Case(SO2(2), 2, kernel=5).contestants()][:2] == [REFERENCE, "dense"]
    case = Case(P4M(), 2, "gc", size=9)
    contestants = dict(case.contestants())
    pair = contestants[DEPTHWISE]()
    x = torch.randn(case.input_shape(pair))
    assert pair(x).shape == contestants[REFERENCE]()(x).shape


def test_executions_are_set_in_a_whole_network():
    net = CNN(HueShift(3), 2)
    set_execution(net, "dense")
    assert {module.execution for module in net.modules() if isinstance(module, GroupConv2d)} == {"dense"}
    layer = Case(HueShift(3), 2).layer("fourier")
    assert layer.execution == "fourier"
    assert not accepts(layer, "none such")
    assert layer.execution == "fourier"
    with pytest.raises(FieldTypeError):
        set_execution(net, "none such")


def test_the_command_writes_every_section_and_nothing_half(tmp_path, capsys):
    assert main(["speed", "--quick", "--rounds", "1", "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == WRITTEN
    printed = capsys.readouterr().out
    for name, table in TABLES.items():
        report = json.loads((tmp_path / f"{name}.json").read_text())
        assert report["quick"] is True
        assert (report["rounds"], report["device"], report["dtype"]) == (1, "cpu", "float32")
        assert report["provenance"]["versions"]["torch"]
        assert report["command"] == f"python -m benchmarks speed --sections {name} --rounds 1 --quick"
        assert len(report["rows"]) == len(SECTIONS[name].items(quick=True))
        text = (tmp_path / f"{name}.md").read_text()
        assert text == table(report["rows"])
        assert len({line.count("|") for line in text.splitlines()}) == 1
        assert f"{name}.md ({QUICK_NOTE}" in printed
        assert min(_numbers([row["milliseconds"] for row in report["rows"]])) > 0
    sweeps = json.loads((tmp_path / "sweeps.json").read_text())["rows"]
    assert [row["value"] for row in sweeps] == [point.value for point in SWEEPS]
    for name, svg in draw_sweeps(sweeps).items():
        assert (tmp_path / f"{name}.svg").read_text() == svg
        assert svg.startswith("<svg")


def _numbers(nested):
    if isinstance(nested, (dict, list)):
        parts = nested.values() if isinstance(nested, dict) else nested
        return [number for part in parts for number in _numbers(part)]
    return [nested]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rounds", "0"], "--rounds is at least 1; got 0"),
        (["--dtype", "tf32"], "--dtype tf32 is a precision of CUDA devices"),
        (["--dtype", "bfloat16", "--peers", "e2cnn"], "--peers are measured on the CPU in float32"),
        (["--sections", "plans", "--peers", "e2cnn"], "--peers are measured in the section layers"),
        (["--sections", "layers", "--compile"], "--compile is for the sections plans and networks"),
        (["--sections", "none"], "invalid choice: 'none'"),
        (["--device", "none"], "invalid choice: 'none'"),
    ],
)
def test_options_that_do_not_fit(options, message, tmp_path, capsys):
    assert main(["speed", *options, "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_devices_and_dtypes_that_are_not_there():
    with pytest.raises(EquiconvError, match="--device is one of cpu, cuda"):
        Setting(device="tpu")
    with pytest.raises(EquiconvError, match="--dtype one of float32, tf32, bfloat16"):
        Setting(dtype="int8")
    if not torch.cuda.is_available():
        with pytest.raises(EquiconvError, match="finds no CUDA device"):
            Setting(device="cuda")


def test_only_the_sections_that_are_asked_for(tmp_path):
    options = ["--quick", "--rounds", "1", "--sections", "layers", "builds", "--dtype", "bfloat16"]
    assert main(["speed", *options, "--out", str(tmp_path)]) == 0
    assert {path.stem for path in tmp_path.iterdir()} == {"layers", "builds"}
    assert json.loads((tmp_path / "layers.json").read_text())["command"].endswith("--quick --dtype bfloat16")


def test_only_the_sections_that_say_so_are_compiled(tmp_path, monkeypatch):
    asked = {}
    for name, section in SECTIONS.items():
        monkeypatch.setattr(section, "items", lambda quick: [None])
        monkeypatch.setattr(section, "measure", lambda item, setting, name=name: asked.update({name: setting.compiled}))
        monkeypatch.setattr(section, "files", lambda rows, setting: {})
    assert main(["speed", "--compile", "--sections", *SECTIONS, "--out", str(tmp_path)]) == 0
    assert {name for name, compiled in asked.items() if compiled} == {"plans", "networks"}
    assert asked.keys() == SECTIONS.keys()
    for name, compiled in asked.items():
        assert json.loads((tmp_path / f"{name}.json").read_text())["command"].endswith("--compile") == compiled


def test_the_setting_is_left_as_it_was():
    threads = torch.get_num_threads()
    with Setting(dtype="bfloat16").computing():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == threads
    assert Setting(dtype="bfloat16").tensor(2).dtype == torch.bfloat16


def test_ratios_of_layers():
    times = {"build": 1, "expand": 2, "forward": 30, "forward_backward": 90}
    dense = {"dense_build": 2, "dense_forward": 20, "dense_forward_backward": 60}
    peer = {"e2cnn_build": 100, "e2cnn_expand": 4, "e2cnn_forward": 60, "e2cnn_forward_backward": 90}
    row = {"name": "a*b", "channels": [3, 4], "milliseconds": times | dense}
    line = layers_markdown([row], "dense").splitlines()[2]
    for cell in ("a\\*b", "1.0 ms (0.5 x)", "2.0 ms (10.0 % of forward)", "30.0 ms (1.5 x)", "90.0 ms (1.5 x)"):
        assert cell in line
    assert len(layers_markdown([row], "e2cnn").splitlines()) == 2
    row["milliseconds"] |= peer
    line = layers_markdown([row], "e2cnn").splitlines()[2]
    for cell in ("1.0 ms (0.01 x)", "2.0 ms (0.5 x)", "30.0 ms (0.5 x)", "90.0 ms (1 x)"):
        assert cell in line


def _times(forward, step, evaluation):
    return {"forward": forward, "forward_backward": step, "evaluation": evaluation}


def test_ratios_of_plans():
    times = {REFERENCE: _times(20, 60, 20), "fourier": _times(10, 20, 5), "fourier, compiled": _times(8, 15, 4)}
    row = {"name": "layer", "input": [16, 3, 8, 8], "auto": {"training": "fourier", "evaluation": "dense"}}
    row |= {"milliseconds": times, "multiplications": {REFERENCE: 9 * 10**9, "fourier": 4 * 10**9}}
    row |= {"peak_bytes": {REFERENCE: 2**21, "fourier": 2**20}}
    _, _, reference, fourier, compiled = plans_markdown([row]).splitlines()
    head = "| layer | 16x 8x8 | nn.Conv2d | fourier; evaluation: dense "
    assert reference == head + "| 9.00 G | 20.0 ms | 60.0 ms | 20.0 ms | 2 MiB |"
    assert fourier == "|  |  | fourier |  | 0.444 | 2.00 x | 3.00 x | 4.00 x | 0.50 |"
    assert compiled == "|  |  | fourier, compiled |  | 0.444 | 2.50 x | 4.00 x | 5.00 x | - |"
    row["peak_bytes"] = {REFERENCE: None, "fourier": None}
    assert all(line.endswith("| - |") for line in plans_markdown([row]).splitlines()[2:])


def test_ratios_of_sweeps_and_networks():
    row = {"name": "layer", "input": [16, 3, 8, 8], "auto": "dense", "value": 3, "sweep": "order", "family": "F"}
    row |= {"milliseconds": {REFERENCE: 10, "dense": 20, "fourier": 4, "auto": 5}}
    expected = "| layer | 16x 8x8 | 10.0 ms | 0.50 x | fourier | 2.50 x | 2.00 x | dense |\n"
    assert sweeps_markdown([row]).endswith(expected)
    network = {"name": "net", "input": [32, 3, 28, 28], "milliseconds": {}}
    for name, step in (("ordinary network", 200), ("dense", 100), ("auto", 50)):
        network["milliseconds"][name] = {"training": step, "evaluation": step / 2}
    ordinary, dense, auto = networks_markdown([network]).splitlines()[2:]
    assert ordinary == "| net | 32x 28x28 | ordinary network | 160 (0.50 x) | 320 (0.50 x) |"
    assert dense == "|  |  | dense | 320 (1.00 x) | 640 (1.00 x) |"
    assert auto.endswith("| 640 (2.00 x) | 1,280 (2.00 x) |")


def test_ratios_of_exported_networks():
    times = {"ordinary network": 20, "ordinary, exported": 16, "equivariant": 25, "exported": 10}
    row = {"name": "net", "input": [32, 3, 28, 28], "milliseconds": times | {"exported, channels_last": 5}}
    assert exported_markdown([row]).endswith("| net | 32x 28x28 | 20.0 ms | 1.25 x | 0.80 x | 2.00 x | 4.00 x |\n")


@pytest.mark.parametrize("network", SECTIONS["networks"].items(quick=True), ids=lambda network: network.name)
def test_the_ordinary_network_has_the_expanded_shape(network):
    shapes = []
    for build in network.contestants().values():
        net = build()
        shapes.append([module.kernel().shape for module in net.modules() if isinstance(module, GroupConv2d)])
        assert net(torch.randn(2, 3, network.image, network.image)).shape == (2, 10)
    assert shapes[0] == shapes[1] == shapes[2]
    assert len(shapes) == 3 + bool(network.plain)


def test_the_residual_networks_are_those_of_the_experiments():
    net = resnet18(HueShift(3), (2, 3, 4, 5)).eval()
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(net(images.roll(1, 1)), net(images))
    assert [network.widths for network in NETWORKS if network.build is resnet18] == [(36, 73, 147, 295)]
    turning = resnet44_preact(P4M(), (2, 2, 2)).eval()
    torch.testing.assert_close(turning(images.rot90(1, (-2, -1)).flip(-1)), turning(images), rtol=1e-3, atol=1e-5)


def test_peers_are_the_same_layer():
    pytest.importorskip("sympy", reason="e2cnn is not installed")
    case = next(case for case in tiny(LAYERS) if case.harmonics and case.group == Cyclic(8))
    row = SECTIONS["layers"].measure(case, Setting(1, peers=("e2cnn",)))
    assert row["milliseconds"]["e2cnn_forward"] > 0
    theirs = e2cnn_layer(case.group, case.fields, case.kernel)()
    assert theirs.weights.numel() == case.layer().weight.numel()
    assert tuple(theirs.expand_parameters()[0].shape) == tuple(case.layer().kernel().shape)
    with pytest.raises(EquiconvError, match="no counterpart"):
        e2cnn_layer(HueShift(3), 2, 3)
