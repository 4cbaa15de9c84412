"""Ordinary networks whose channels are pooled: what is published of them, and what a loss can listen to."""

import copy
from pathlib import Path

import pytest
import torch
from samples import check_copies
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from equiconv.errors import FieldTypeError, ShapeError
from equiconv.groups import P4
from equiconv.layers import GroupConv2d
from equiconv.losses import EquivarianceLoss
from equiconv.models import ChannelPooledCNN, ChannelPooledResNet18, ChannelPooledVGG, create
from equiconv.taps import Taps

PAGE = Path(__file__).parent.parent / "docs" / "models.md"
CNN, VGG, RESNET = ChannelPooledCNN, ChannelPooledVGG, ChannelPooledResNet18
CHANNELS = {CNN: 1, VGG: 3, RESNET: 3}
CLASSES = {CNN: 10, VGG: 100, RESNET: 100}
SIZES = {CNN: 28, VGG: 64, RESNET: 65}  # of the images
MAPS = {CNN: [24, 24, 12, 12, 6, 2], VGG: [64, 33, 16, 17, 8, 8, 5, 5], RESNET: [65, 33, 17, 9]}
WIDTHS = {CNN: [1, 1.5, 2, 2, 3, 4], VGG: [1, 2, 4, 4, 8, 8, 8, 8], RESNET: [1, 2, 4, 8]}
PUBLISHED = {  # parameters
    (CNN, 4): 10_882_186,
    (CNN, (4, 2, 1)): 5_155_146,
    (RESNET, 4): 50_440_868,
    (RESNET, 8): 100_479_844,
    (RESNET, (4, 2, 1)): 21_140_068,
    (RESNET, (8, 4, 2)): 21_127_268,
    (RESNET, (8, 4, 2, 1)): 45_378_280,
    (VGG, 4): 38_570_996,
    (VGG, 8): 73_932_972,
    (VGG, (4, 2, 1)): 18_445_511,
    (VGG, (8, 4, 2)): 32_377_256,
    (VGG, (8, 4, 2, 1)): 30_936_197,
}
ORDERS = [4, 8, (4, 2, 1), (8, 4, 2), (8, 4, 2, 1)]
POOLED = {4: 4, 8: 8, (4, 2, 1): 11 / 4, (8, 4, 2): 11 / 2, (8, 4, 2, 1): 43 / 8}  # channels for one that is pooled


def on_meta(kind, *arguments, **options):
    with torch.device("meta"):
        return kind(*arguments, **options)


def parameters(net):
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(("kind", "orders"), PUBLISHED)
def test_parameters_are_the_published_ones(kind, orders):
    assert parameters(on_meta(kind, orders)) == PUBLISHED[kind, orders]


@pytest.mark.parametrize("orders", ORDERS)
@pytest.mark.parametrize("kind", MAPS)
def test_maps_and_heads_of_every_mode(kind, orders):
    net, size = on_meta(kind, orders), SIZES[kind]
    images = torch.empty(2, CHANNELS[kind], size, size, device="meta")
    with Taps(net, net.taps) as taps:
        assert net(images).shape == (2, CLASSES[kind])
    assert [tap.name for tap in taps.taps] == list(net.taps)
    maps = [tap.value for tap in taps.taps]
    assert [each.shape[-1] for each in maps] == MAPS[kind]
    width = maps[0].shape[1]
    assert [each.shape[1] for each in maps] == [factor * width for factor in WIDTHS[kind]]
    assert [net.pool(each).shape[1] for each in maps] == [each.shape[1] / POOLED[orders] for each in maps]


@pytest.mark.parametrize("kind", MAPS)
def test_narrow_networks_of_other_images(kind):
    net = kind(4, 16, in_channels=2, classes=7).eval()
    x = torch.randn(3, 2, 32, 32)
    with Taps(net, net.taps) as taps:
        logits = net(x)
    assert logits.shape == (3, 7)
    last = taps.taps[-1].value
    largest = last.unflatten(1, (-1, 4)).max(2).values
    assert torch.allclose(logits, net.head(largest.mean((-2, -1))), atol=1e-6)
    assert not torch.allclose(logits, net.head(largest.amax((-2, -1))), atol=1e-3)
    check_copies(lambda: kind(4, 16, classes=3), CHANNELS[kind], 32, 32)


@pytest.mark.parametrize("kind", MAPS)
def test_order_one_is_the_ordinary_network(kind):
    net, x = kind(1, 4).eval(), torch.randn(2, CHANNELS[kind], 28, 28)
    assert torch.equal(net(x), net.head(net.features(x).mean((-2, -1))))


@pytest.mark.parametrize(("kind", "least"), [(CNN, 24), (VGG, 10), (RESNET, 1)])
def test_the_least_image(kind, least):
    net = on_meta(kind, 4, 8).eval()
    assert net(torch.empty(1, CHANNELS[kind], least, least, device="meta")).shape == (1, CLASSES[kind])
    if least > 1:
        with pytest.raises(RuntimeError, match="size"):
            net(torch.empty(1, CHANNELS[kind], least - 1, least - 1, device="meta"))


def changed_in_place(net, x):
    """Return the names of the modules whose output is changed later on."""
    seen = []
    for name, module in net.named_modules():
        module.register_forward_hook(lambda *call, name=name: seen.append((name, call[2], call[2].detach().clone())))
    net(x)
    return {name for name, output, before in seen if not torch.equal(output, before)}


@pytest.mark.parametrize("kind", MAPS)
def test_no_map_is_changed_in_place(kind):
    net, x = kind(4, 8), torch.randn(2, CHANNELS[kind], 24, 24)
    broken = copy.deepcopy(net)
    assert not changed_in_place(net, x)
    for module in broken.modules():
        if isinstance(module, nn.ELU | nn.ReLU):
            module.inplace = True
    assert changed_in_place(broken, x)


@pytest.mark.parametrize("kind", MAPS)
def test_a_loss_sees_all_maps_through_the_pooling(kind):
    net, x = kind(4, 8), torch.randn(2, CHANNELS[kind], 25, 25)
    _, penalty, errors = EquivarianceLoss(P4(), net.taps, carried=net.pool, normalized=False)(net, x)
    assert list(errors) == list(net.taps)
    assert all(error > 0 for error in errors.values())
    penalty.backward()
    assert all(parameter.grad is not None for parameter in net.features.parameters())
    assert all(parameter.grad is None for parameter in net.head.parameters())


class Backwards(nn.Module):
    """Mirror maps: they turn against the image."""

    def forward(self, x):
        return x.flip(-1)


def test_a_loss_through_the_pooling_is_zero_for_equivariance_only():
    group = P4()
    lift, pool = GroupConv2d(group.image, 3 * group.regular, 3, padding=1), CNN(4, 8).pool
    flat = nn.Flatten(1, 2)  # the poses of a field are channels beside each other
    shuffled = nn.Sequential(flat, nn.ChannelShuffle(4))
    x = torch.randn(4, 3, 9, 9, dtype=torch.float64)

    def error(*layers, carried=pool):
        net = nn.Sequential(*layers).double()
        loss = EquivarianceLoss(group, [str(len(net) - 1)], 1.0, carried=carried, draw=[0, 1, 0, 1])
        return loss(net, x).penalty.item()

    assert error(lift, flat) < 1e-12
    for broken in ((lift, flat, Backwards()), (lift, shuffled), (nn.Conv2d(3, 12, 3, padding=1),)):
        assert error(*broken) > 0.1, broken
    assert error(lift, flat, carried=None) > 0.1


def test_the_layers_of_the_stacks():
    cnn, vgg = CNN(4, 8), VGG(4, 8)
    convs = [[module for module in net.modules() if isinstance(module, nn.Conv2d)] for net in (cnn, vgg)]
    assert [conv.kernel_size[0] for conv in convs[0]] == [7, 5, 5, 5, 5, 5]
    assert [conv.kernel_size[0] for conv in convs[1]] == [3, 2, 3, 2, 3, 3, 2, 3]
    assert {conv.padding for conv in convs[1]} == {(1, 1)}
    assert all(conv.bias is None for conv in convs[0] + convs[1])
    assert [type(module) for module in cnn.head] == [nn.Linear, nn.BatchNorm1d, nn.ELU, nn.Linear]
    assert [type(module) for module in vgg.head] == [nn.Linear, nn.BatchNorm1d, nn.ELU, nn.Dropout, nn.Linear]
    assert (vgg.head[0].out_features, vgg.head[3].p) == (1024, 0.5)
    x = torch.randn(2, 1, 28, 28)
    first = cnn.features.conv1
    assert torch.allclose(first.eval()(x), F.elu(first[1](F.conv2d(x, first[0].weight, padding=1))))


def test_the_blocks_of_the_residual_network():
    net = RESNET(4, 8).eval()
    assert net.features.last[0].momentum == 0.9
    assert net.features.stem.bias is not None
    x = torch.randn(2, 8, 9, 9)
    same, (halved, _) = net.features.stage1[0], net.features.stage2
    for block, stride in ((same, 1), (halved, 2)):
        norm1, norm2 = block.first[0], block.convs[1]
        (a, b), t = (block.convs[0], block.convs[3]), F.relu(norm1(x))
        inner = F.relu(norm2(F.conv2d(t, a.weight, a.bias, padding=1)))
        residual = F.conv2d(inner, b.weight, b.bias, stride=stride, padding=1)
        found = block(x) - residual
        if stride == 1:
            assert torch.allclose(found, x, atol=1e-5)
            continue
        one = block.shortcut
        assert torch.allclose(found, F.conv2d(t, one.weight, one.bias, stride=2), atol=1e-5)
        assert not torch.allclose(found, F.conv2d(x, one.weight, one.bias, stride=2), atol=1e-2)
    with Taps(net, net.taps) as taps:
        net(torch.randn(2, 3, 17, 17))
    signed = [bool((tap.value < 0).any()) for tap in taps.taps]
    assert signed == [True, True, True, False], "sums of residuals, and what follows ReLU"


def test_only_the_first_network_is_drawn_by_rules_of_its_own():
    torch.manual_seed(0)
    net, others = CNN(4, 16), [VGG(4, 8), RESNET(4, 8)]
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            fan_out = module.weight.numel() // module.weight.shape[1]
            bound = (6 / (fan_in + fan_out)) ** 0.5
            assert 0.9 * bound < module.weight.abs().max() <= bound
            assert module.bias is None or module.bias.eq(0.01).all()
    for other in others:
        last = [module for module in other.modules() if isinstance(module, nn.Linear)][-1]
        assert not last.bias.eq(0.01).any()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: VGG((8, 4, 2), 99), ShapeError, "the width can be 88 or 110, multiples of 22; got 99"),
        (lambda: CNN((8, 4, 2, 1), 43), ShapeError, "the width can be 86, multiples of 86; got 43"),
        (lambda: CNN(4, 3), ShapeError, "the width can be 8, multiples of 8; got 3"),
        (lambda: RESNET(4, -4), ShapeError, "the width can be 4, multiples of 4; got -4"),
        (lambda: RESNET(4, 2.5), ShapeError, "got 2.5"),
        (lambda: RESNET((4, 2, 1), ratio=(1, 1, 1)), ShapeError, "84 or 96, multiples of 12; got 88"),
        (lambda: VGG(5), FieldTypeError, r"\(5\) needs a width, .* multiples of 5 work"),
        (lambda: CNN(1), FieldTypeError, "multiples of 2 work"),
        (lambda: CNN(0), FieldTypeError, "orders has integers >= 1"),
        (lambda: CNN(4, 8, classes=0), ShapeError, "classes is an integer >= 1; got 0"),
        (lambda: RESNET(4, 8, in_channels=None), ShapeError, "in_channels is an integer >= 1; got None"),
    ],
)
def test_mistakes_are_told(make, error, message):
    with pytest.raises(error, match=message):
        make()


NAMES = {"cnn-basic": CNN, "resnet18-ien": RESNET, "vgg": VGG}
MODES = ["R4", "R8", "R4-2-1", "R8-4-2", "R8-4-2-1"]


def multiplications(net, kind):
    image = torch.empty(1, CHANNELS[kind], SIZES[kind], SIZES[kind], device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net.eval()(image)
    return counter.get_total_flops() / 2e6


def lines():
    for name, kind in NAMES.items():
        for mode, orders in zip(MODES, ORDERS, strict=True):
            net = on_meta(create, name, orders=orders)
            width = next(module.out_channels for module in net.modules() if isinstance(module, nn.Conv2d))
            published = f"{PUBLISHED[kind, orders]:,}" if (kind, orders) in PUBLISHED else ""
            counts = f"{parameters(net):,} | {published} | {multiplications(net, kind):,.1f}"
            yield f'| {mode} | `create("{name}", orders={orders})` | {width} | {counts} |'


def test_the_page_of_the_models_has_these_networks():
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| R")]
    assert rows == list(lines())
