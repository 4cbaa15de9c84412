"""Files that ask for what nobody should get."""

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from saved import parts, small, write
from torch import nn

import equiconv
from equiconv.errors import EquiconvError, SavingError
from equiconv.groups import P4
from equiconv.layers import GroupConv2d, SpatialPool
from equiconv.saving import Recorded


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "small.safetensors"
    equiconv.save(small(), path)
    return path, *parts(path)


def places(data, path=()):
    """Yield where in JSON there is a value, and the value."""
    yield path, data
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


LOST = object()


def replaced(data, path, value):
    """Return JSON with another value at a place, or without one."""
    if not path:
        return {} if value is LOST else value
    data = copy.deepcopy(data)
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    if value is LOST:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return data


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-3, 100),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from(
        ["equiconv.groups.Cyclic", "equiconv.groups.O2", "torch.nn.Linear", "regular", "irrep(1)", "own.X", "os.system"]
    ),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_description_is_loaded_or_refused(stored, tmp_path, data):
    _, config, tensors = stored
    for _ in range(data.draw(st.integers(1, 2))):
        found = list(places(config))
        (path, _), (_, moved) = (data.draw(st.sampled_from(found)) for _ in range(2))
        config = replaced(config, path, data.draw(VALUES | st.just(moved) | st.just(LOST)))
    write(tmp_path / "changed.safetensors", config, tensors)
    try:
        loaded = equiconv.load(tmp_path / "changed.safetensors")
    except EquiconvError:
        return
    assert isinstance(loaded, nn.Module)


def layer(name, **arguments):
    return {"class": f"equiconv.{name}", "arguments": arguments}


def group(name, *arguments):
    return {"class": f"equiconv.groups.{name}", "arguments": list(arguments)}


def fields(of, which="regular", n=1):
    return layer("groups.FieldType", representation={"representation": which, "group": of}, n=n)


def nested(depth):
    value = {"class": "torch.nn.ReLU", "arguments": {}}
    for _ in range(depth):
        value = {"class": "torch.nn.Sequential", "modules": [["0", value]]}
    return value


def conv(of, out="regular", **options):
    types = {"in_type": fields(of), "out_type": fields(of, out)}
    return layer("layers.GroupConv2d", **types, **{"kernel_size": 3, **options})


C4 = group("Cyclic", 4)
DEEP = {"tuple": [5, 5]}
HUGE = {
    "rotations": layer("layers.Pointwise", in_type=fields(group("Cyclic", 10**9))),
    "many rotations": layer("layers.Pointwise", in_type=fields(group("Cyclic", 2000))),
    "a large representation": layer("layers.Pointwise", in_type=fields(group("Cyclic", 1000))),
    "hues": layer("layers.Pointwise", in_type=fields(group("HueShift", 10**9), "image")),
    "frequencies": layer("layers.GroupPool", in_type=fields(group("O2", 1000))),
    "factors": layer("layers.Pointwise", in_type=fields(group("DirectProduct", *[group("HueShift", 2)] * 40))),
    "a subgroup": layer("layers.Pointwise", in_type=fields(group("Subgroup", group("Cyclic", 1000), [1]))),
    "a kernel": conv(C4, kernel_size=10**6),
    "a table": conv(group("Cyclic", 128), kernel_size=31),
    "fields": conv(C4, "trivial", bias=False, channel_groups=10**30),
    "a basis": conv(C4, basis=layer("bases.Harmonics", kernel_size=DEEP, rings=[1], widths=[1], frequencies=[10**7])),
    "all kernels": conv(C4, kernel_size=31, basis={"function": "equiconv.bases.Harmonics.complete"}),
    "derivatives": layer("bases.Derivatives", kernel_size={"tuple": [10**6] * 2}, max_order=10),
    "samples": layer("layers.FourierActivation", in_type=fields(group("SO2", 3)), samples=10**7),
    "a filter": layer("layers.BlurPool", in_type=fields(C4), sigma=1e9),
    "an oversampling": layer("layers.Antialiased", layer=layer("layers.Pointwise", in_type=fields(C4)), factor=10**6),
    "blocks": layer(
        "models.ResNet", group=C4, widths=1, architecture=layer("models.Architecture", blocks={"tuple": [10**7]})
    ),
    "a large group": layer("models.SteerableCNN", group=group("Dihedral", 200)),
    "hidden layers": layer("models.SteerableArchitecture", layers={"tuple": []}, hidden=10**7),
    "depth of a network": layer("models.WideResNet", groups=C4, depth=6 * 10**5 + 4),
    "units": layer("models.SteerableCNN", group=group("Cyclic", 64), fields={"tuple": ["quotient", 32, 16]}),
    "channels": {"class": "torch.nn.Linear", "arguments": {"in_features": 2**24, "out_features": 2**24}},
    "numbers": {"class": "torch.nn.Linear", "arguments": {"in_features": 2**90, "out_features": 10**4000}},
    "depth": nested(100),
}


def several(module, count):
    return {"class": "torch.nn.Sequential", "modules": [[str(place), module] for place in range(count)]}


HUGE |= {
    "a sampled group": layer("layers.FourierActivation", in_type=fields(group("SO2", 60)), samples=1024),
    "sampled groups": several(layer("layers.FourierActivation", in_type=fields(group("SO2", 3)), samples=500), 8),
    "kernels": several(conv(group("Cyclic", 128), "trivial", kernel_size=5), 15),
    "norms": several(layer("layers.FieldGroupNorm", in_type=fields(group("Cyclic", 200)), affine=False), 40),
    "modules": several({"class": "torch.nn.ReLU", "arguments": {}}, 10**5),
    "a number in a class": layer(
        "layers.Pointwise",
        in_type=fields(C4),
        function={"partial": {"function": "torch.nn.Linear"}, "args": [2**30], "keywords": {}},
    ),
}


@pytest.mark.parametrize("name", HUGE)
def test_absurd_sizes_are_refused(name, stored, tmp_path):
    _, config, tensors = stored
    write(tmp_path / "huge.safetensors", config | {"module": HUGE[name]}, tensors)
    with pytest.raises(SavingError, match=r"is refused that has|more parameters|its arguments make|does not have"):
        equiconv.load(tmp_path / "huge.safetensors")


def test_values_too_deep_for_any_parser_are_refused(stored, tmp_path):
    _, config, tensors = stored
    for start, end in (("[", "]"), ('{"tuple": ', "}")):
        text = json.dumps(config | {"frozen": "HERE"}).replace('"HERE"', start * 10**5 + "1" + end * 10**5)
        write(tmp_path / "deep.safetensors", text, tensors)
        with pytest.raises(SavingError, match="broken"):
            equiconv.load(tmp_path / "deep.safetensors")


def test_nothing_is_imported_or_called(stored, tmp_path):
    _, config, tensors = stored
    for name in ("os.system", "own.system", "builtins.eval", "equiconv.models.create", "torch.load", "torch.nn.Module"):
        for module in ({"class": name, "arguments": {}}, layer("layers.Pointwise", in_type=fields(C4), function=name)):
            write(tmp_path / "other.safetensors", config | {"module": module}, tensors)
            with pytest.raises(EquiconvError, match=r"does not know|needs a function"):
                equiconv.load(tmp_path / "other.safetensors")


class Seeded(Recorded):
    def __init__(self, seed):
        super().__init__()
        self.seed = seed


class Sized(Recorded):
    """A class of the user's own, which trusts its arguments."""

    def __init__(self, hidden, factor=1000):
        super().__init__()
        self.conv = GroupConv2d(P4().image, P4().regular, hidden)


def test_own_classes_are_given_numbers_of_any_size(tmp_path):
    module = Seeded(2**40)
    equiconv.save(module, tmp_path / "own.safetensors")
    assert equiconv.load(tmp_path / "own.safetensors", known=[Seeded]).seed == 2**40


def test_parts_are_put_where_there_are_some(stored, tmp_path):
    _, config, tensors = stored
    for name in ("", "_parameters", "0._modules", "9.x", "0..x", "0.__class__"):
        write(tmp_path / "put.safetensors", config | {"replaced": {name: {"same": "0"}}}, tensors)
        with pytest.raises(SavingError, match="does not have"):
            equiconv.load(tmp_path / "put.safetensors")


def test_layers_within_own_classes_are_limited_too(tmp_path):
    path = tmp_path / "own.safetensors"
    equiconv.save(Sized(3), path)
    config, tensors = parts(path)
    assert equiconv.load(path, known=[Sized]).conv.window.kernel == (3, 3)
    config["module"]["arguments"]["hidden"] = 10**6
    write(path, config, tensors)
    with pytest.raises(SavingError, match="kernel_size = 1000000"):
        equiconv.load(path, known=[Sized])


def test_honest_sizes_are_not_limited(tmp_path):
    layers = [SpatialPool(2 * P4().regular, 56), nn.AvgPool2d(56), nn.Linear(4096, 2)]
    equiconv.save(nn.Sequential(*layers), tmp_path / "net.safetensors")
    assert repr(equiconv.load(tmp_path / "net.safetensors")) == repr(nn.Sequential(*layers))
    GroupConv2d(P4().trivial, P4().trivial, 33)  # out of files nothing is limited
