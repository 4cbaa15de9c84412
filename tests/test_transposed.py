"""GroupConvTranspose2d against what it is: the convolution of an image with its pixels pulled apart."""

import pytest
import torch
from samples import SOME, halves, mixed
from test_initialization import spread
from torch import nn

from equiconv.errors import ExactnessError, FieldTypeError, ShapeError
from equiconv.groups import P4, P4M, Flip, HueShift, Trivial
from equiconv.layers import GroupConv2d, GroupConvTranspose2d
from equiconv.testing import assert_equivariant, equivariance_error

P4_TYPES = (2 * P4().regular, 4 * P4().regular)


def twins(*arguments, stride, padding, dilation=1, output_padding=0, **options):
    """Return a transposed convolution, and a dense one of the same weights on the image pulled apart."""
    layer = GroupConvTranspose2d(
        *arguments, stride=stride, padding=padding, dilation=dilation, output_padding=output_padding, **options
    )
    dense = GroupConv2d(*arguments, dilation=dilation, **options)
    dense.load_state_dict(layer.state_dict())
    reach = dilation * (layer.window.kernel[0] - 1)

    def apart(x):
        flat = layer.in_type.flatten(x)
        height, width = flat.shape[-2:]
        wide = flat.new_zeros(*flat.shape[:2], stride * (height - 1) + 1, stride * (width - 1) + 1)
        wide[:, :, ::stride, ::stride] = flat
        ends = (reach, reach + output_padding)
        wide = nn.functional.pad(wide, (*ends, *ends))
        y = layer.out_type.flatten(dense(layer.in_type.unflatten(wide)))
        return layer.out_type.unflatten(y[:, :, padding : y.shape[2] - padding, padding : y.shape[3] - padding])

    return layer, apart


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("group", SOME, ids=repr)
def test_is_the_convolution_of_the_image_pulled_apart(group, stride):
    for source, target in ((group.regular, group.regular), (mixed(group), halves(group)), (group.image, group.regular)):
        layer, apart = twins(4 * source, 2 * target, 3, stride=stride, padding=1, channel_groups=2)
        x = torch.randn(2, *layer.in_type.shape, 5, 4)
        torch.testing.assert_close(layer(x), apart(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 2, "padding": 1, "dilation": 2},
        {"stride": 3, "padding": 0, "output_padding": 1, "exact": False},
        {"stride": 2, "padding": 0, "factorization": "g"},
        {"stride": 2, "padding": 1, "factorization": "gc", "bias": False},
        {"stride": 1, "padding": 1, "basis": "harmonics"},
    ],
    ids=str,
)
def test_every_argument(options):
    layer, apart = twins(*P4_TYPES, 3, **options)
    x = torch.randn(2, 2, 4, 6, 5)
    torch.testing.assert_close(layer(x), apart(x), rtol=1e-4, atol=1e-5)
    changed = {k: v for k, v in options.items() if k not in ("factorization", "basis", "bias")}
    plain = GroupConvTranspose2d(*P4_TYPES, 3, **(changed | {"padding": 2}))
    assert layer(x).shape != plain(x).shape


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("group", [P4(), P4M(), Flip(), HueShift(3) * P4M()], ids=repr)
def test_kernel_sizes(group, kernel):
    layer = GroupConvTranspose2d(group.image, 2 * group.regular, kernel, stride=2)
    assert_equivariant(layer, size=(4, 5))
    assert layer(torch.zeros(1, 3, 4, 5)).shape[-2:] == (6 + kernel, 8 + kernel)


def test_rectangular_settings():
    group = HueShift(3) * Flip()
    layer = GroupConvTranspose2d(
        group.image, 2 * group.regular, (2, 5), stride=(3, 2), padding=(1, 2), output_padding=(1, 0), dilation=(2, 1)
    )
    assert_equivariant(layer, size=(6, 5))
    plain = nn.ConvTranspose2d(3, 12, (2, 5), stride=(3, 2), padding=(1, 2), output_padding=(1, 0), dilation=(2, 1))
    assert layer(torch.zeros(1, 3, 6, 5)).shape[-2:] == plain(torch.zeros(1, 3, 6, 5)).shape[-2:]


def test_output_padding_costs_symmetry():
    with pytest.raises(ExactnessError, match=r"one end only.*exact=False"):
        GroupConvTranspose2d(*P4_TYPES, 3, stride=2, output_padding=1)
    loose = GroupConvTranspose2d(*P4_TYPES, 3, stride=2, output_padding=1, exact=False)
    assert equivariance_error(loose) > 0.1
    for group, more in ((Flip(), (1, 0)), (Trivial(), 1), (HueShift(3), (1, 0))):
        kind = 2 * group.regular
        assert_equivariant(GroupConvTranspose2d(kind, kind, 3, stride=2, output_padding=more), size=(6, 5))
    swaps = 2 * Flip(-0.7853981633974483).regular  # exchanges the axes as they are: nothing is reversed
    assert_equivariant(GroupConvTranspose2d(swaps, swaps, 3, stride=2, output_padding=1), size=(6, 5))
    with pytest.raises(ExactnessError, match="output_padding must be the same"):
        GroupConvTranspose2d(swaps, swaps, 3, stride=2, output_padding=(0, 1))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("factorization", [None, "gc"])
def test_the_signal_keeps_its_size(stride, factorization):
    group = P4()
    layer = GroupConvTranspose2d(
        16 * group.regular, 24 * group.regular, 6, stride=stride, padding=3, factorization=factorization
    )
    dense = GroupConv2d(16 * group.regular, 24 * group.regular, 5)
    assert spread(layer) == pytest.approx(spread(dense), rel=0.25 if stride == 1 else 0.15)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: GroupConvTranspose2d(*P4_TYPES, 3, padding="same"), ShapeError, "padding is an integer"),
        (lambda: GroupConvTranspose2d(*P4_TYPES, 3, output_padding=1), ShapeError, "smaller than stride"),
        (lambda: GroupConvTranspose2d(*P4_TYPES, 3, output_padding=-1), ShapeError, "integer >= 0"),
        (lambda: GroupConvTranspose2d(*P4_TYPES, 3, padding=3)(torch.zeros(1, 2, 4, 3, 3)), ShapeError, "nothing is"),
        (lambda: GroupConvTranspose2d(*P4_TYPES, (3, 5)), ShapeError, "square window"),
        (lambda: GroupConvTranspose2d(*P4_TYPES, 3, stride=(1, 2)), ExactnessError, "stride must be the same"),
        (lambda: GroupConvTranspose2d(*P4_TYPES, 3, channel_groups=3), FieldTypeError, "must divide"),
        (lambda: GroupConvTranspose2d(*P4_TYPES, 3, factorization="c"), FieldTypeError, '"g" or "gc"'),
        (lambda: GroupConvTranspose2d(P4().regular, P4M().regular, 3), FieldTypeError, "one group"),
    ],
)
def test_mistakes_are_told(make, error, message):
    with pytest.raises(error, match=message):
        make()
