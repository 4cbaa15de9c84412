"""Whole networks of e2cnn, known ones and random ones, and what becomes of them."""

import copy
import pickle
import random
import subprocess
import sys

import pytest
import torch

from equiconv.errors import EquiconvError
from equiconv.groups import Cyclic
from equiconv.interop import from_e2cnn
from equiconv.interop.e2cnn import field_type_from_e2cnn, fields_from_e2cnn
from equiconv.layers import FieldBatchNorm
from equiconv.testing import assert_equivariant, equivariance_error

pairs = pytest.importorskip("e2cnn_pairs", reason="e2cnn is not installed")
import e2cnn_networks as networks  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # e2cnn warns wherever it goes
enn, gspaces = pairs.enn, pairs.gspaces

SPACES = [*pairs.SPACES.values(), gspaces.FlipRot2dOnR2(8)]


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


def field_lists(space, rng):
    """Return two lists of representations at random: those of permuted entries, or nontrivial irreps."""
    group = space.fibergroup
    nontrivial = [r for r in group.irreps.values() if not r.is_trivial() and r.attributes.get("frequency", 0) < 3]
    permuted = [space.trivial_repr] + ([space.regular_repr] * 2 if group.order() > 1 else [])
    if isinstance(space, gspaces.Rot2dOnR2) and group.order() > 2:
        permuted.append(space.quotient_repr(2))
    is_pointwise = not nontrivial or (group.order() > 0 and rng.random() < 0.6)
    kinds = permuted if is_pointwise else nontrivial
    source = [*kinds, space.trivial_repr]
    rng.shuffle(source)
    return source, [rng.choice(kinds) for _ in range(rng.randint(1, 4))], is_pointwise


def random_chain(seed):
    """Return convolution, norm, nonlinearity, pooling, convolution, with settings drawn at random."""
    rng = random.Random(seed)
    space = rng.choice(SPACES)
    source, hidden, is_pointwise = field_lists(space, rng)
    first, kind = enn.FieldType(space, source), enn.FieldType(space, hidden)
    size = rng.choice([3, 3, 5])
    settings = {
        "padding": rng.choice([0, 1, size // 2]),
        "stride": rng.choice([1, 1, 2]),
        "dilation": rng.choice([1, 1, 2]),
        "bias": rng.random() < 0.7,
        "padding_mode": rng.choice(["zeros", "circular", "reflect"]),
    }
    chain = [enn.R2Conv(first, kind, size, recompute=True, **settings)]
    chain.append(enn.InnerBatchNorm(kind) if is_pointwise else enn.NormBatchNorm(kind))
    if is_pointwise:
        chain += [rng.choice([enn.ReLU, enn.ELU])(kind), enn.PointwiseMaxPool(kind, rng.choice([2, 3]), 2, 1)]
    else:
        chain += [enn.NormNonLinearity(kind, "n_sigmoid"), enn.NormMaxPool(kind, 2)]
    chain.append(enn.R2Conv(kind, kind, 3, padding=1, recompute=True))
    chain.append(enn.PointwiseAvgPoolAntialiased(kind, rng.choice([0.5, 0.8]), 1))
    return enn.SequentialModule(*chain), settings


@pytest.mark.parametrize("seed", range(10))
def test_random_configurations(seed):
    module, _ = random_chain(seed)
    ours = pairs.check(module, size=15)
    with torch.no_grad():
        ours[0].weight += 0.1
    assert pairs.difference(module, ours, 15) > 1e-3


def test_random_configurations_differ():
    chains = [random_chain(seed) for seed in range(10)]
    spaces = {repr(module.in_type) for module, _ in chains}
    assert len(spaces) > 4
    assert len({repr(settings) for _, settings in chains}) > 5


def test_random_layers_are_equivariant_where_e2cnn_is():
    space = gspaces.FlipRot2dOnR2(4)
    kind = enn.FieldType(space, [space.regular_repr, space.irrep(1, 1), space.irrep(1, 0), space.trivial_repr])
    ours = from_e2cnn(pairs.drawn(enn.R2Conv(kind, kind, 3, padding=1)))
    assert_equivariant(ours.double(), tolerance=1e-9)
    ours.register_forward_hook(lambda layer, x, y: y.roll(1, 2))
    assert equivariance_error(ours) > 1e-2


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
        y = self.mix(joint) * 0.5 + self.lift(x) - self.gated(self.gate(x), lifted)
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
