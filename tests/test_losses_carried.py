"""What maps are asked to carry, which layers are listened to, and what is refused."""

import numpy as np
import pytest
import torch
from taught import equivariance
from torch import nn

from equiconv.errors import FieldTypeError, GroupError, ShapeError
from equiconv.groups import P4, P4M, SO2, Cyclic, Dihedral, Flip, HueShift
from equiconv.layers import ChannelMaxPool, GroupConv2d, GroupPool
from equiconv.losses import ien_draw
from equiconv.models import CNN

ZERO = 1e-10


def images(count=4, side=14):
    return torch.randn(count, 3, side, side, dtype=torch.float64)


def cnn(group, width=2):
    return CNN(group, width, classes=3, kernel_sizes=(3, 3, 3), dropout=0.0).double()


def lifted(group, n=2):
    """Return an equivariant layer whose regular fields are flat channels, as any other network has them."""
    conv = GroupConv2d(group.image, n * group.regular, 3)
    return Plain(conv).double()


class Plain(nn.Module):
    def __init__(self, conv):
        super().__init__()
        self.conv = [conv.double()]  # no module of equiconv that can be listened to

    def forward(self, x):
        return self.conv[0](x).flatten(1, 2)


def error(group, model, **options):
    options = {"draw": [float(g > 0) for g in range(group.order)], **options}
    return equivariance(group, type(model), **options)(model, images()).penalty


@pytest.mark.parametrize("group", [P4(), P4M(), HueShift(3) * P4(), HueShift(4)], ids=repr)
def test_flat_maps_carry_what_is_said(group):
    model = lifted(group)
    assert error(group, model, carried=2 * group.regular) < ZERO
    assert error(group, model) > 0.05  # else all channels are asked to be invariant
    assert error(group, model, carried=ChannelMaxPool(group.order)) < ZERO
    assert error(group, model, carried=pooled(group)) < ZERO


def pooled(group):
    """Return the group pooling of a flat map."""
    return nn.Sequential(nn.Unflatten(1, (2, group.order)), GroupPool(2 * group.regular))


def test_a_name_goes_before_a_class():
    net = nn.Sequential(lifted(P4()), nn.Conv2d(8, 8, 3).double())
    loss = equivariance(
        P4(), ["0", "1"], carried={Plain: ChannelMaxPool(8), "0": 2 * P4().regular, nn.Conv2d: ChannelMaxPool(2)}
    )
    torch.manual_seed(0)
    _, _, errors = loss(net, images())
    assert errors["0"] < ZERO
    seen = []
    equivariance(P4(), ["0", "1"], carried={nn.Module: lambda x: seen.append(x.shape[1]) or x})(net, images())
    assert seen == [8, 8]
    named = equivariance(P4(), ["0"], carried={nn.Module: lambda x: x[:, :1] * 0 + 5.0, "0": 2 * P4().regular})
    assert named(net, images()).penalty < ZERO


def test_layers_are_named_or_of_a_class_or_both():
    net, x = cnn(P4(), 4).eval(), images()
    convs = [name for name, module in net.named_modules() if isinstance(module, GroupConv2d)]
    for layers, expected in (
        (GroupConv2d, convs),
        (convs[1], [convs[1]]),
        ([convs[1], convs[0]], convs[:2]),
        ((nn.Linear, convs[0]), [convs[0], *(name for name, m in net.named_modules() if isinstance(m, nn.Linear))]),
        ("CNN", ["CNN"]),
    ):
        _, penalty, errors = equivariance(P4(), layers)(net, x)
        assert list(errors) == expected
        assert penalty < ZERO


def test_a_module_that_is_called_twice_has_two_errors():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1).double()

        def forward(self, x):
            return self.conv(self.conv(x).relu())

    net = Twice()
    kind = 3 * P4().trivial
    _, penalty, errors = equivariance(P4(), "conv", carried={"conv": kind})(net, images())
    assert list(errors) == ["conv", "conv#2"]
    assert penalty.item() == pytest.approx(sum(value.item() for value in errors.values()))
    assert errors["conv"] != errors["conv#2"]


def test_types_of_other_groups():
    """A type on some factors leaves the others nothing to move; one on more is restricted; else it is to be said."""
    product = HueShift(3) * P4()
    plain, colored = cnn(P4()), cnn(HueShift(3))
    assert equivariance(P4(), GroupConv2d)(cnn(product).eval(), images()).penalty < ZERO
    assert equivariance(P4(), GroupConv2d)(cnn(P4M()).eval(), images()).penalty < ZERO
    still = [1.0, 0, 0, 0]
    assert equivariance(product, GroupConv2d, draw=np.kron([1, 0, 0], [0, 1, 1, 1]))(plain, images()).penalty < ZERO
    assert equivariance(product, GroupConv2d, draw=np.kron([0, 1, 1], still))(plain, images()).penalty > 0.1
    assert equivariance(product, GroupConv2d, draw=np.kron([0, 1, 1], still))(colored, images()).penalty < ZERO
    assert equivariance(P4(), GroupConv2d, draw=[0, 1, 1, 1])(colored, images()).penalty > 0.1
    for group, reason in ((Cyclic(8), "which does not say how Cyclic"), (P4M(), "does not say how Dihedral")):
        with pytest.raises(FieldTypeError, match=rf"{reason}.*carried=GroupPool\(\.\.\.\), whose output is invariant"):
            equivariance(group, GroupConv2d)(plain, images())
    advised = equivariance(Cyclic(8), GroupConv2d, carried=GroupPool(2 * P4().regular))
    assert advised(plain, images()).penalty.isfinite()
    assert equivariance(P4(), GroupConv2d, carried=GroupPool(2 * P4().regular))(plain, images()).penalty < ZERO


def test_stock_layers_behind_fields_keep_their_type():
    kind = 2 * P4().regular
    net = nn.Sequential(GroupConv2d(P4().image, kind, 3), nn.BatchNorm3d(2), nn.ReLU()).double()
    _, penalty, errors = equivariance(P4(), nn.ReLU)(net, images())
    assert penalty < ZERO
    assert list(errors) == ["2"]
    odd = nn.Sequential(GroupConv2d(P4().image, kind, 3), nn.Flatten(1, 2)).double()
    assert equivariance(P4(), nn.Flatten, draw=[0, 1, 1, 1])(odd, images()).penalty > 0.05
    with pytest.raises(FieldTypeError, match=r"shape \(8, 2, 12, 4, 12\): channels that are invariant have the shape"):
        equivariance(P4(), "1")(nn.Sequential(net[0], Transposed()), images())


class Transposed(nn.Module):
    def forward(self, x):
        return x.transpose(2, 3)


def test_images_that_are_not_square():
    wide = torch.randn(4, 3, 8, 10, dtype=torch.float64)
    for group in (Flip(), Cyclic(2), Dihedral(2), HueShift(3) * Flip()):
        assert (
            equivariance(group, GroupConv2d)(GroupConv2d(group.image, group.regular, 3).double(), wide).penalty < ZERO
        )
        assert equivariance(group, nn.Conv2d, draw=[0, *[1] * (group.order - 1)])(ordinary(), wide).penalty > 0.1
    assert equivariance(SO2(1), "Identity")(nn.Identity(), wide).penalty < ZERO
    with pytest.raises(ShapeError, match="need square images; these are 8x10"):
        equivariance(P4(), nn.Conv2d, draw=[0, 1, 0, 0])(ordinary(), wide)
    with pytest.raises(ShapeError, match="need square images; these are 12x8"):
        equivariance(P4(), nn.Conv2d, draw=[0, 1, 0, 0])(nn.Conv2d(3, 2, (3, 7)).double(), images())


def ordinary():
    return nn.Conv2d(3, 4, 3).double()


@pytest.mark.parametrize("group", [P4M(), Cyclic(8), HueShift(3)], ids=repr)
def test_maps_of_one_pixel_and_vectors(group):
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(4, 3)).double()
    draw = [0, *[1] * (group.order - 1)]
    _, penalty, errors = equivariance(group, ["1", "2", "3"], draw=draw)(net, images())
    if group == P4M():
        assert penalty < ZERO
    else:
        assert all(value > 1e-3 for value in errors.values())
    if group == Cyclic(8):  # zeros from outside change the mean of an image
        invariant = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 4, 1)).double()
        assert equivariance(group, "1", draw=[1, 0, 1, 0, 1, 0, 1, 0])(invariant, images()).penalty < ZERO


BAD = [
    (GroupError, "the group is one, such as", lambda: equivariance("P4", "x")),
    (GroupError, "the group is one, such as", lambda: equivariance(P4, "x")),
    *(
        (FieldTypeError, "beta is a number, at least 0; got", lambda beta=beta: equivariance(P4(), "x", beta))
        for beta in (-1, float("nan"), "1", None, True)
    ),
    (FieldTypeError, "normalized", lambda: equivariance(P4(), "x", normalized=1)),
    (FieldTypeError, "interpolation is one of", lambda: equivariance(P4(), "x", interpolation="cubic")),
    *(
        (
            FieldTypeError,
            "names or classes of modules, at least one",
            lambda layers=layers: equivariance(P4(), layers),
        )
        for layers in ([], [3], [nn.ReLU()])
    ),
    *(
        (
            GroupError,
            "draw has a number for each of the 4 elements",
            lambda draw=draw: equivariance(P4(), "x", draw=draw),
        )
        for draw in (
            [1, 1],
            [0, 0, 0, 0],
            [1, 1, 1, -1],
            [1, 1, 1, float("nan")],
            [1, 1, 1, float("inf")],
            [[1, 1, 1, 1]],
        )
    ),
    (FieldTypeError, "carried is a field type", lambda: equivariance(P4(), "x", carried=4)),
    (FieldTypeError, "carried is a field type", lambda: equivariance(P4(), "x", carried={"x": "regular"})),
    (
        FieldTypeError,
        "names or classes of modules",
        lambda: equivariance(P4(), "x", carried={3: ChannelMaxPool(4)}),
    ),
    (GroupError, "the published draw is of", lambda: ien_draw(HueShift(3))),
    (GroupError, "the published draw is of", lambda: ien_draw(Dihedral(3))),
    (FieldTypeError, "Conv2d has no 'y'; it has Conv2d", lambda: equivariance(P4(), "y")(ordinary(), images())),
    (FieldTypeError, "it has Conv2d", lambda: equivariance(P4(), nn.Linear)(ordinary(), images())),
    (ShapeError, "a batch has at least one image", lambda: equivariance(P4(), nn.Conv2d)(ordinary(), images(0))),
    (ShapeError, r"x\[None\] is a batch", lambda: equivariance(P4(), nn.Conv2d)(ordinary(), images()[0])),
    (ShapeError, "3, H, W", lambda: equivariance(HueShift(3), nn.Conv2d)(ordinary(), images()[:, :1])),
    *(
        (
            ShapeError,
            "fields of type",
            lambda kind=kind: equivariance(P4(), nn.Conv2d, carried=kind)(ordinary(), images()),
        )
        for kind in (3 * P4().trivial, 2 * P4().regular)
    ),
]


@pytest.mark.parametrize(("kind", "message", "use"), BAD)
def test_what_makes_no_sense_is_refused(kind, message, use):
    with pytest.raises(kind, match=message):
        use()


def test_maps_of_another_number_of_images_are_refused():
    class Halved(nn.Module):
        def forward(self, x):
            return x[::2]

    with pytest.raises(ShapeError, match="a map of 4 images; the loss ran 8"):
        equivariance(P4(), Halved)(Halved(), images())


def test_layers_that_do_not_run_are_told_and_nothing_is_left_behind():
    class Lazy(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = ordinary(), ordinary()

        def forward(self, x):
            if x.shape[-1] == 5:
                raise RuntimeError("no such images")
            return self.used(x)

    net, loss = Lazy(), equivariance(P4(), ["used", "idle"])
    with pytest.raises(FieldTypeError, match="idle did not run, or returned no tensor: name layers that do"):
        loss(net, images())
    with pytest.raises(RuntimeError, match="no such images"):
        equivariance(P4(), "used")(net, images(side=5))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    equivariance(P4(), "used")(net, images())
    assert not any(module._forward_hooks for module in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net.training


def test_the_repr_tells_losses_apart():
    options = [{}, {"beta": 2}, {"normalized": False}, {"draw": [0, 1, 1, 1]}, {"interpolation": "nearest"}]
    options += [{"carried": ChannelMaxPool(4)}, {"carried": {"x": 2 * P4().regular}}, {"layers": nn.Conv2d}]
    options += [{"group": Cyclic(8)}, {"carried": {nn.Conv2d: 2 * P4().regular}}]
    made = [repr(equivariance(**{"group": P4(), "layers": "x", **each})) for each in options]
    assert len(set(made)) == len(made)
    assert made[0] == repr(equivariance(P4(), ["x"], 1.0, draw=[1, 1, 1, 1]))
