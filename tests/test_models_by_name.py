"""The networks by name, and what is told of mistakes in residual ones."""

import pytest
import torch

from equiconv.errors import EquiconvError, FieldTypeError, GroupError, ShapeError
from equiconv.groups import P4, P4M, HueShift, Trivial
from equiconv.models import (
    CNN,
    RESNET50,
    Architecture,
    ChannelPooledCNN,
    ChannelPooledResNet18,
    ChannelPooledVGG,
    ResNet,
    SteerableCNN,
    WideResNet,
    create,
    list_models,
    matched_widths,
)
from equiconv.testing import assert_equivariant

H, T = HueShift(3), Trivial()
SMALL = Architecture((1, 2))


def small(group, architecture=SMALL, **options):
    return ResNet(group, architecture, options.pop("widths", 8), classes=3, **options)


def test_widths_keep_the_parameters():
    one = Architecture((1,))
    assert [matched_widths(P4(), one, 20, factorization=kind, nearest=True) for kind in (None, "g", "gc")] == [
        (10,),
        (17,),
        (30,),
    ]
    assert matched_widths(P4M(), one, 1) == (1,)
    with torch.device("meta"):
        plain, hybrid = (
            sum(p.numel() for p in ResNet(group, RESNET50, 64, classes=1000).parameters())
            for group in (T, [H * P4(), P4(), T, T])
        )
    assert 0.9 < hybrid / plain < 1


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: small(8), GroupError, "one group for each stage; got 8"),
        (lambda: small([H, T, T]), ShapeError, "2 stages and one group for each; got 3"),
        (lambda: small([P4(), P4M()]), GroupError, "not a subgroup"),
        (lambda: small(P4(), widths=(3, 4, 5)), ShapeError, "one for each stage"),
        (lambda: small(P4(), widths=0), ShapeError, ">= 1; got 0"),
        (lambda: small(P4(), widths=(3, 0)), FieldTypeError, "n >= 1"),
        (lambda: small(P4(), widths="44"), FieldTypeError, "n >= 1"),
        (lambda: small(P4(), pool="sum"), FieldTypeError, 'pool is "max"'),
        (lambda: small(P4(), exact=1), FieldTypeError, "exact is True or False"),
        (lambda: small(P4(), factorization="c"), FieldTypeError, '"gc"'),
        (lambda: small(H, in_channels=1), FieldTypeError, "3 channels"),
        (lambda: ResNet(P4(), 18, 8), FieldTypeError, "such as RESNET18; got 18"),
        (lambda: Architecture([2, 2]), ShapeError, r"a tuple.*got \[2, 2\]"),
        (lambda: Architecture((2, 0)), ShapeError, "at least one block"),
        (lambda: Architecture((2,), stem="medium"), ShapeError, "'small', 'large'; got 'medium'"),
        (lambda: Architecture((2,), stem_padding=-1), ShapeError, "got -1"),
        (lambda: Architecture((2,), bottleneck=4), FieldTypeError, "bottleneck is True or False"),
        (lambda: matched_widths(P4(), SMALL, 2.5), ShapeError, "got 2.5"),
        (lambda: matched_widths(P4(), SMALL, 8, factorization="c"), FieldTypeError, "got 'c'"),
        (lambda: create("resnet", P4()), EquiconvError, "the networks are cnn, .*; got 'resnet'"),
        (lambda: create("resnet18", P4(), width=8), EquiconvError, "options of 'resnet18' are .*widths.*; got width"),
        (lambda: create("cnn", P4(), stem="large"), EquiconvError, "options of 'cnn' are width, .*; got stem"),
        (lambda: create("cnn", P4()), EquiconvError, "'cnn' needs width"),
        (lambda: create("cnn", width=8), EquiconvError, r"'cnn' needs a group, such as P4\(\)"),
        (
            lambda: create("vgg", P4(), orders=4),
            EquiconvError,
            "'vgg' is an ordinary network, .*: leave it out; got Cyc",
        ),
        (lambda: create("vgg"), EquiconvError, "'vgg' needs orders; pass them by name"),
        (
            lambda: create("vgg", orders=4, basis="auto"),
            EquiconvError,
            "options of 'vgg' are orders, width, .*; got basis",
        ),
        (lambda: create("resnet18", P4(), architecture=18, stem="large"), FieldTypeError, "got 18"),
    ],
)
def test_mistakes_are_told(make, error, message):
    with pytest.raises(error, match=message):
        make()


KINDS = {"cnn": CNN, "steerable": SteerableCNN, "resnet": ResNet, "wide": WideResNet}
ORDINARY = {"cnn-basic": ChannelPooledCNN, "vgg": ChannelPooledVGG, "resnet18-ien": ChannelPooledResNet18}


@pytest.mark.parametrize("name", [name for name in list_models() if name not in ORDINARY])
def test_networks_by_name(name):
    options = {"width": 8} if name == "cnn" else {}
    with torch.device("meta"):
        net = create(name, P4(), classes=7, **options)
    assert isinstance(net, next(kind for prefix, kind in KINDS.items() if name.startswith(prefix)))
    assert net.out_type == 7 * P4().trivial


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_networks_by_name(name):
    net = create(name, orders=(4, 2, 1), width=22, classes=7)
    assert type(net) is ORDINARY[name]
    assert net.pool.orders == (4, 2, 1)
    assert [module for module in net.modules() if isinstance(module, torch.nn.Linear)][-1].out_features == 7


def test_options_by_name():
    preact = create("resnet44-preact", P4M(), widths=4, blocks=(1, 1))
    assert [block.convs[2].out_type.n for block in preact.blocks] == [1, 3]
    assert create("resnet18", T, widths=8, stem="small").stem[0].window.stride == (1, 1)
    assert len(create("wide-resnet16-8", P4(), widen=0.5).stages) == 6


@pytest.mark.parametrize("group", [P4M(), H], ids=repr)
@pytest.mark.parametrize("name", ["resnet18", "resnet44", "resnet44-preact", "resnet50"])
def test_whole_networks_are_invariant(name, group):
    net = create(name, group, widths=10).eval()
    assert_equivariant(net, size=(32, 32) if net.stem[0].window.kernel == (7, 7) else (12, 12))
