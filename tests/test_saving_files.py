"""Files that are broken, interrupted, and of other programs, processes and versions."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from saved import assert_same, parts, small, write
from torch import nn

import equiconv
from equiconv.errors import SavingError
from equiconv.groups import Cyclic, Flip
from equiconv.layers import GroupConv2d
from equiconv.models import CNN

GOLDEN = Path(__file__).parent / "golden" / "format1.safetensors"


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "small.safetensors"
    equiconv.save(small(), path)
    return path, *parts(path)


def without(mapping, *names):
    return {name: value for name, value in mapping.items() if name not in names}


def test_weights_that_do_not_fit_are_refused(stored, tmp_path):
    _, config, tensors = stored
    first = tensors["0.weight"]
    for other, message in (
        (without(tensors, "0.weight"), r"lacks the weights 0\.weight"),
        (tensors | {"x": first.clone()}, "has weights that its module does not have: x"),
        (tensors | {"0.weight": first[:1]}, r"0\.weight of shape"),
        (tensors | {"0.weight": first.long()}, r"0\.weight of torch\.int64"),
    ):
        write(tmp_path / "other.safetensors", config, other)
        with pytest.raises(SavingError, match=message):
            equiconv.load(tmp_path / "other.safetensors")


@pytest.mark.parametrize("axis", [0.4, 0.30001])
def test_a_mirror_axis_that_was_lost_is_seen(axis, tmp_path):
    """The weights fit, and would mean another function."""
    layer = GroupConv2d(Flip(0.3).image, Flip(0.3).regular, 3)
    equiconv.save(layer, tmp_path / "layer.safetensors")
    config, tensors = parts(tmp_path / "layer.safetensors")
    text = json.dumps(config)
    assert text.count('"arguments": [0.3]') == 2
    for changed in (text, text.replace('"arguments": [0.3]', f'"arguments": [{axis}]')):
        write(tmp_path / "layer.safetensors", changed, tensors)
        if changed != text:
            with pytest.raises(SavingError, match="other bases"):
                equiconv.load(tmp_path / "layer.safetensors")
        else:
            equiconv.load(tmp_path / "layer.safetensors")


def test_irreps_that_were_numbered_otherwise_are_seen(tmp_path):
    layer = GroupConv2d(Cyclic(8).irrep(1), Cyclic(8).trivial, 5, bias=False)
    equiconv.save(layer, tmp_path / "layer.safetensors")
    config, tensors = parts(tmp_path / "layer.safetensors")
    write(tmp_path / "layer.safetensors", json.dumps(config).replace("irrep(1)", "irrep(3)"), tensors)
    with pytest.raises(SavingError, match=r"other bases|weight of shape"):
        equiconv.load(tmp_path / "layer.safetensors")


def test_files_of_others_and_of_other_versions(stored, tmp_path):
    path, config, tensors = stored
    other = tmp_path / "other.safetensors"
    save_file(tensors, other)
    with pytest.raises(SavingError, match="did not write it"):
        equiconv.load(other)
    write(other, config | {"format": 2, "version": "9.1"}, tensors)
    with pytest.raises(SavingError, match=r"format 2, written by equiconv 9\.1.*update"):
        equiconv.load(other)
    for wrong in ({"format": 0}, {"format": True}, {"format": "1"}, {"numbers": []}, {"frozen": None}):
        write(other, config | wrong, tensors)
        with pytest.raises(SavingError, match="is broken"):
            equiconv.load(other)
    for text in ("[]", "{", "", "1", "nul"):
        write(other, text, tensors)
        with pytest.raises(SavingError, match="broken"):
            equiconv.load(other)
    whole = path.read_bytes()
    for part in (b"", whole[:4], whole[:100], whole[:-1], b"PK" + whole, whole + b"x"):
        other.write_bytes(part)
        with pytest.raises(SavingError, match="broken"):
            equiconv.load(other)
    with pytest.raises(FileNotFoundError):
        equiconv.load(tmp_path / "none.safetensors")


def test_a_save_that_fails_leaves_the_file_before(stored, tmp_path, monkeypatch):
    path = tmp_path / "net.safetensors"
    equiconv.save(nn.Linear(2, 2), path)
    before = path.read_bytes()

    def interrupted(tensors, place, metadata):
        Path(place).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("safetensors.torch.save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        equiconv.save(nn.Linear(3, 3), path)
    monkeypatch.undo()
    with pytest.raises(OSError, match="nowhere"):
        equiconv.save(nn.Linear(3, 3), tmp_path / "nowhere" / "net.safetensors")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    equiconv.save(nn.Linear(3, 3), path)
    assert equiconv.load(path).in_features == 3


def test_a_saved_file_has_the_permissions_of_others(tmp_path):
    (tmp_path / "other").write_text("")
    equiconv.save(nn.Linear(2, 2), tmp_path / "net.safetensors")
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_file_that_is_there_keeps_its_permissions_and_links(tmp_path):
    path, link = tmp_path / "run7" / "net.safetensors", tmp_path / "latest.safetensors"
    path.parent.mkdir()
    equiconv.save(nn.Linear(2, 2), path)
    path.chmod(0o600)
    link.symlink_to(path)
    equiconv.save(nn.Linear(3, 3), link)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o600
    assert equiconv.load(path).in_features == equiconv.load(link).in_features == 3
    with pytest.raises(FileNotFoundError, match=r"no such folder.*nowhere'$"):
        equiconv.save(nn.Linear(3, 3), tmp_path / "nowhere" / "net.safetensors")


def test_arguments_of_load(stored):
    for wrong in (CNN, "CNN", 3, None):
        with pytest.raises(SavingError, match=r"known lists your own"):
            equiconv.load(stored[0], known=wrong)
    for wrong in ("nope", None, "cuda:x"):
        with pytest.raises(SavingError, match="device="):
            equiconv.load(stored[0], device=wrong)


def test_modules_made_by_others_meanwhile_are_not_counted(stored):
    """Limits are those of the thread that loads."""
    path, stop, failed = stored[0], threading.Event(), []

    def make():
        while not stop.is_set():
            try:
                nn.Sequential(*[GroupConv2d(Cyclic(1).trivial, Cyclic(1).trivial, 33) for _ in range(9)])
            except SavingError as error:
                failed.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    try:
        for _ in range(3):
            equiconv.load(path)
    finally:
        stop.set()
        thread.join()
    assert not failed


def golden():
    """Return the module in the file of format 1; ``python tests/test_saving_files.py`` made it, once."""
    module = small()
    with torch.no_grad():
        for number, value in enumerate(module.state_dict().values()):
            value.copy_(torch.arange(value.numel()).view(value.shape).add(number).remainder(7).div(8))
    return module.double().eval()


def test_the_golden_file_is_read():
    """A file of format 1, which all later versions have to read."""
    loaded, module = equiconv.load(GOLDEN), golden()
    assert_same(module, loaded)
    assert parts(GOLDEN)[0]["format"] == 1
    x = torch.arange(2 * 3 * 36, dtype=torch.float64).view(2, 3, 6, 6).cos()
    y = loaded[:3](x)
    torch.testing.assert_close(y, module[:3](x), rtol=1e-10, atol=1e-10)
    with pytest.raises(AssertionError):
        assert_same(module.float(), loaded)


def test_a_file_of_another_process(tmp_path):
    code = (
        "import sys, torch, equiconv; from equiconv.models import CNN; torch.manual_seed(3); "
        "net = CNN(equiconv.P4(), 2, kernel_sizes=(3, 3, 3)).eval(); equiconv.save(net, sys.argv[1]); "
        "torch.save(net(torch.ones(1, 3, 12, 12).cumsum(3)), sys.argv[2])"
    )
    path, output = tmp_path / "net.safetensors", tmp_path / "output.pt"
    subprocess.run([sys.executable, "-c", code, path, output], check=True, timeout=120)
    loaded = equiconv.load(path)
    assert isinstance(loaded, CNN)
    assert torch.equal(loaded(torch.ones(1, 3, 12, 12).cumsum(3)), torch.load(output, weights_only=True))


if __name__ == "__main__":
    equiconv.save(golden(), GOLDEN)
