"""Whole networks of e2cnn, known ones and random ones, and what becomes of them."""

import copy
import pickle
import subprocess
import sys

import e2cnn_networks as networks
import e2cnn_pairs as pairs
import pytest
import torch

from equiconv.errors import EquiconvError
from equiconv.groups import Cyclic
from equiconv.interop import from_e2cnn
from equiconv.interop.e2cnn import field_type_from_e2cnn, fields_from_e2cnn
from equiconv.layers import FieldBatchNorm
from equiconv.testing import assert_equivariant, equivariance_error

pytestmark = pytest.mark.filterwarnings("ignore")  # e2cnn warns wherever it goes
enn, gspaces = pairs.enn, pairs.gspaces


def agrees(network, x):
    """Assert that a network and what it becomes agree in evaluation and in training; return the latter."""
    pairs.drawn(network)
    for part in network.modules():
        part.p = 0.0  # the channels that are dropped are others
    ours = from_e2cnn(network)
    for mode in (False, True):
        network.train(mode)
        ours.train(mode)
        expected, found = network(x), ours(x)
        assert (expected[0] - expected[1]).abs().max() > 1e-2 * expected.abs().max()  # it sees the images
        assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
        if any("NormBatchNorm" in type(part).__name__ for part in network.modules()):
            break  # e2cnn trains with the running variance
    return ours.eval()


def images(count, channels, size):
    """Return images of unequal contrast, so that the statistics of a batch are not those of rounding errors."""
    return torch.randn(count, channels, size, size) * torch.arange(1.0, count + 1)[:, None, None, None]


def steerable():
    return networks.SteerableCNN(), images(4, 1, 29)


def wide(**options):
    return networks.WideResNet(**options), images(2, 3, 17)


def irreps():
    space = gspaces.Rot2dOnR2(-1, maximum_frequency=3)
    return networks.SmallSFCNN(space, (1, 2), networks.gates), images(2, 1, 20)


def small(space):
    return networks.SmallSFCNN(space, "regular", networks.regular), images(2, 1, 20)


def digits(space, subgroup):
    return networks.E2SFCNN(space, subgroup), images(2, 1, 28)


NETWORKS = {
    "notebook": steerable,
    "wide D8": lambda: wide(rotations=8),
    "wide C8": lambda: wide(rotations=8, flips=False),
    "gated SO2": irreps,
    "small C16": lambda: small(gspaces.Rot2dOnR2(16)),
    "digits, D4 to C4": lambda: digits(gspaces.FlipRot2dOnR2(4), (None, 4)),
    "digits, C8 to C2": lambda: digits(gspaces.Rot2dOnR2(8), 2),
    "small D4": lambda: small(gspaces.FlipRot2dOnR2(4)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name):
    network, x = NETWORKS[name]()
    ours = agrees(network, x)
    count = [sum(p.numel() for p in net.parameters() if p.requires_grad) for net in (network, ours)]
    assert count[0] == count[1]
    changed = copy.deepcopy(ours)
    with torch.no_grad():
        next(changed.parameters()).mul_(1.1)
        assert (changed(x) - ours(x)).abs().max() > 1e-4 * ours(x).abs().max()


def test_a_converted_network_is_invariant():
    network, _ = steerable()
    ours, group = from_e2cnn(pairs.drawn(network)).double(), Cyclic(4)  # the turns of C8 that keep the grid
    ends = 1 * group.trivial, 10 * group.trivial
    assert_equivariant(ours, *ends, size=(29, 29), tolerance=1e-9)
    ours.block3.register_forward_hook(lambda layer, x, y: y * torch.linspace(0, 1, 13, dtype=y.dtype))
    assert equivariance_error(ours, *ends, size=(29, 29)) > 1e-3


def test_a_network_needs_no_e2cnn_once_it_is_converted(tmp_path):
    network, x = wide(rotations=4)
    ours = agrees(network, x)
    torch.save((pickle.dumps(ours), x, ours(x).detach()), tmp_path / "network.pt")
    code = (
        "import sys, pickle, torch; sys.modules['e2cnn'] = None\n"
        f"data, x, y = torch.load({str(tmp_path / 'network.pt')!r}, weights_only=False)\n"
        "found = pickle.loads(data)(x)\n"
        "assert torch.equal(found, y), (found - y).abs().max()"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_a_converted_network_trains_and_leaves_the_first_alone():
    network, x = steerable()
    pairs.drawn(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    ours = from_e2cnn(network).train()
    initial = {name: value.detach().clone() for name, value in ours.named_parameters()}
    ours(x).square().mean().backward()
    torch.optim.SGD(ours.parameters(), lr=0.1).step()
    assert all(not torch.equal(initial[name], value) for name, value in ours.named_parameters())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    twin = from_e2cnn(network)
    twin.load_state_dict(ours.state_dict())
    assert torch.equal(twin.eval()(x), ours.eval()(x))


def test_mixed_layers_are_equivariant_as_e2cnns_are():
    space = gspaces.FlipRot2dOnR2(4)
    kind = enn.FieldType(space, [space.regular_repr, space.irrep(1, 1), space.irrep(1, 0), space.trivial_repr])
    ours = from_e2cnn(pairs.drawn(enn.R2Conv(kind, kind, 3, padding=1)))
    assert_equivariant(ours.double(), tolerance=1e-9)
    ours.register_forward_hook(lambda layer, x, y: y.roll(1, 2))
    assert equivariance_error(ours) > 1e-2


@pytest.mark.parametrize("reshuffle", [0, 1, 2])
def test_multiple_modules(reshuffle):
    space = pairs.SPACES["C8"]
    scalar, regular, vectors = space.trivial_repr, space.regular_repr, [space.irrep(1), space.irrep(2)]
    kind = enn.FieldType(space, [scalar, regular, scalar, *vectors, regular, scalar, space.irrep(3)])
    labels = ["gates", "points", "gates", "gated", "gated", "points", "points", "norms"]
    parts = {label: [r for r, own in zip(kind, labels, strict=True) if own == label] for label in set(labels)}
    if reshuffle == 2:  # by label and size
        parts["points"].sort(key=lambda r: r.size)
    ends = {label: enn.FieldType(space, own) for label, own in parts.items()}
    modules = [
        (enn.NormNonLinearity(ends["norms"]), "norms"),
        (enn.GatedNonLinearity2((ends["gates"], ends["gated"])), ["gates", "gated"]),
        (enn.ELU(ends["points"]), "points"),
    ]
    module = enn.MultipleModule(kind, labels, modules, reshuffle=reshuffle)
    pairs.check(module)
    pairs.check(enn.SequentialModule(enn.R2Conv(kind, kind, 3), module, enn.IdentityModule(module.out_type)))


class Followed(torch.nn.Module):
    """Sums, multiples, parts and joints of fields; a module called twice; gates apart; a parameter of its own."""

    def __init__(self):
        super().__init__()
        space = gspaces.Rot2dOnR2(4)
        scalars = enn.FieldType(space, [space.trivial_repr] * 2)
        regular = enn.FieldType(space, [space.regular_repr] * 2)
        vectors = enn.FieldType(space, [space.irrep(1)] * 2)
        self.in_type = enn.FieldType(space, [space.trivial_repr])
        self.gate = enn.R2Conv(self.in_type, scalars, 3, padding=1)
        self.lift = enn.R2Conv(self.in_type, regular, 3, padding=1)
        self.point = enn.R2Conv(self.in_type, vectors, 3, padding=1)
        self.mix = enn.R2Conv(regular + vectors, regular, 3, padding=1)
        self.gated = enn.GatedNonLinearity2((scalars, regular))
        self.scale = torch.nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        x = enn.GeometricTensor(x, self.in_type)
        lifted = self.lift(x)
        joint = enn.tensor_directsum([lifted, self.point(x)])
        y = self.mix(joint) * 0.5 + self.lift(x) - self.gated(self.gate(x), input=lifted)
        y = y + joint.split([2])[0]
        assert y.tensor.shape[0] == x.tensor.shape[0]
        return (y * self.scale).tensor.relu(), joint


def test_what_a_forward_does_with_fields():
    network, x = pairs.drawn(Followed()), torch.randn(2, 1, 7, 7)
    ours = from_e2cnn(network)
    (expected, fields), (found, ours_fields) = network(x), ours(x)
    assert torch.allclose(found, expected, atol=1e-4)
    assert torch.allclose(ours_fields, fields_from_e2cnn(fields.tensor, fields.type), atol=1e-4)
    assert ours_fields.shape[1:3] == field_type_from_e2cnn(fields.type).shape


class Unwrapping(torch.nn.Module):
    def forward(self, x, scale=2.0):
        return scale * x.tensor.mean((2, 3))


class Wrapping(torch.nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, x):
        return enn.GeometricTensor(x, self.kind)


class WithDefaults(enn.EquivariantModule):
    """A block of one's own, with an option, and with parts that know nothing of e2cnn but are given its tensors."""

    def __init__(self):
        super().__init__()
        self.in_type = self.out_type = pairs.TYPES["mixed"]
        self.conv = enn.R2Conv(self.in_type, self.out_type, 3, padding=1)
        self.same = torch.nn.Identity()
        self.last = Unwrapping()

    def forward(self, x, residual=True):
        assert x.type == self.in_type
        y = self.same(self.conv(x))
        return y + x if residual else y

    def evaluate_output_shape(self, input_shape):
        return input_shape


def test_parts_that_are_given_fields():
    block = WithDefaults()
    pairs.check(block)
    pairs.check(enn.SequentialModule(block, enn.ELU(block.out_type)))
    network = torch.nn.Sequential(enn.R2Conv(block.in_type, block.out_type, 3), block, Unwrapping())
    ours, x = from_e2cnn(pairs.drawn(network)), torch.randn(2, block.in_type.size, 7, 7)
    expected = network(enn.GeometricTensor(x, block.in_type))
    assert torch.allclose(ours(fields_from_e2cnn(x, block.in_type)), expected, atol=1e-5)
    ours = from_e2cnn(torch.nn.Sequential(Wrapping(block.in_type), network))
    assert torch.allclose(ours(x), expected, atol=1e-5)


class Deciding(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = enn.R2Conv(pairs.TYPES["regular"], pairs.TYPES["regular"], 3)

    def forward(self, x):
        if x.sum() > 0:
            return self.conv(x)
        return x


def test_a_forward_that_cannot_be_followed_is_refused_with_its_line():
    with pytest.raises(EquiconvError, match=r"Deciding .*test_e2cnn_whole.py, line \d+, .*x.sum\(\) > 0.* one by one"):
        from_e2cnn(Deciding())


def test_errors_say_where_the_module_is():
    kind = pairs.TYPES["regular"]
    inner = enn.SequentialModule(enn.ReLU(kind), enn.NormMaxPool(kind, 2, dilation=2))
    with pytest.raises(EquiconvError, match=r"^1: 1: NormMaxPool"):
        from_e2cnn(torch.nn.Sequential(enn.ReLU(kind), inner))


class OwnNorm(enn.InnerBatchNorm):
    pass


class OwnReLU(enn.ReLU):
    def forward(self, x):
        return super().forward(x) * 2.0


def test_derived_classes():
    kind = pairs.TYPES["mixed"]
    assert isinstance(pairs.check(OwnNorm(kind)), FieldBatchNorm)
    pairs.check(OwnReLU(kind))
    pairs.check(enn.SequentialModule(OwnNorm(kind), OwnReLU(kind), enn.R2Conv(kind, kind, 3)))


def test_what_is_no_module_is_refused():
    with pytest.raises(EquiconvError, match="modules"):
        from_e2cnn(pairs.TYPES["mixed"])


def test_shared_modules_stay_shared():
    relu = enn.ReLU(pairs.TYPES["regular"])
    ours = from_e2cnn(torch.nn.Sequential(relu, relu))
    assert ours[0] is ours[1]
