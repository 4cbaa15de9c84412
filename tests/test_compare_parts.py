"""The parts of the comparison: groups that are read, networks, costs, and the words."""

import pytest
import torch
from torch import nn

from benchmarks import measure, networks
from benchmarks.data.conditions import CONDITIONS
from benchmarks.groups import KNOWN, parse_groups
from benchmarks.summary import answer, checks, contains, spread
from benchmarks.table import columns, markdown_table
from equiconv import P4, P4M, Cyclic, EquiconvError, Flip, HueShift, Trivial
from equiconv.groups import Color, Luminance, Saturation, Value


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("P4", [P4()]),
        ("HueShift(3)*P4, P4M()", [HueShift(3) * P4(), P4M()]),
        (" Cyclic(2) ,Flip,Trivial()", [Cyclic(2), Flip(), Trivial()]),
        ("Flip(0.0)*(HueShift(3)*Cyclic(2)),Flip(-1)", None),
        (
            "HueShift(4, 'hsv'), HueShift(4), Color(4,3)*P4",
            [HueShift(4, "hsv"), HueShift(4), HueShift(4, "hsv") * Saturation(3) * P4()],
        ),
        (
            'Color(2,3,2,space="hsl"),Saturation(3,truncated=True),Value(2),Luminance(2,"lab")',
            [Color(2, 3, 2, space="hsl"), Saturation(3, truncated=True), Value(2), Luminance(2, "lab")],
        ),
    ],
)
def test_groups_are_read(text, groups):
    found = [named.group for named in parse_groups(text)] if groups else None
    assert found == groups if groups else parse_groups(text)[0].group.order == 12
    again = ",".join(named.label for named in parse_groups(text))
    assert [named.group for named in parse_groups(again)] == [named.group for named in parse_groups(text)]


@pytest.mark.parametrize(
    "text",
    [
        *[
            "__import__('os').system('true')",
            "P4.order",
            "P4[0]",
            "(lambda: 0)()",
            "P5",
            "exec('1')",
            "P4+P4M",
            "",
            "()",
            "P4*",
            "P4(3)",
        ],
        *["Cyclic('4')", "Cyclic(n=4)", "Cyclic(10**9)", "Cyclic(1000000)", "Cyclic(True)", "P4*2", "[P4]", "*P4"],
        "HueShift(99)*HueShift(99)",
        "Color(99,99)",
        *["HueShift(4,'cmyk')", "HueShift(4,space=hsv)", "Saturation(True)", "Saturation(3,truncated=1)"],
        *["P4(space='hsv')", "Color(4,**{})", "Color(*[4,3])"],
        "(" * 999,
        "P4*" * 9999 + "P4",
    ],
)
def test_what_is_not_a_group_lists_the_known_ones(text):
    with pytest.raises(EquiconvError) as caught:
        parse_groups(text)
    assert all(name in str(caught.value) for name in KNOWN)
    assert "\n" not in str(caught.value)


def test_a_group_named_twice_is_refused():
    with pytest.raises(EquiconvError, match="P4 and Cyclic"):
        parse_groups("P4,Trivial,Cyclic(4)")


@pytest.mark.parametrize("group", [Trivial(), HueShift(3) * P4()])
@pytest.mark.parametrize("budget", [900, 11000])
def test_width_is_the_nearest_to_the_budget(group, budget):
    distance = {
        width: abs(networks.count_parameters(networks.network(group, width, 10)) - budget) for width in range(1, 24)
    }
    assert networks.nearest_width(group, budget, 10) == min(distance, key=distance.get)


def test_memory_is_counted_as_by_hand():
    x = torch.zeros(100)  # 400 bytes
    with measure.LiveMemory([x]) as memory:
        y = x + 1  # 800
        z = y.view(10, 10)  # the same storage
        del y
        a = z * 2  # 1200
        del z  # 800
        b = a[:5] + 1  # 1000
        assert memory.live == 1000
        del a, b
    assert (memory.live, memory.peak) == (400, 1200)


def test_memory_of_a_step_is_counted_as_by_hand():
    class Expanded(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(2))  # 8 bytes

        def forward(self, x):
            big = x.double().sum()  # the copy of the images in double precision is the peak of the step
            return (self.scale * big.float()).expand(len(x), 2)

    images = 4 * 3 * 8 * 8 * 4
    labels, sums = 4 * 8, 8
    assert measure.peak_memory(Expanded(), 8, 4) == 8 + images + labels + 2 * images + sums
    net = networks.network(P4(), 2, 3)
    peaks = [measure.peak_memory(net, 16, batch) for batch in (2, 4, 6, 2)]
    assert peaks[0] == peaks[3]
    assert peaks[2] - peaks[1] == pytest.approx(peaks[1] - peaks[0], rel=0.05)


def test_macs_are_counted_as_by_hand():
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Flatten(), nn.Linear(5 * 36, 7))
    assert measure.macs(net, 8) == 5 * 3 * 9 * 36 + 5 * 36 * 7


def test_time_ratios_compare_rounds_with_each_other():
    assert measure.time_ratios([[2.0, 40.0, 6.0], [1.0, 10.0, 2.0]], [1.0, 10.0, 2.0]) == [3.0, 1.0]


def test_which_groups_promise_what():
    promised = {
        named.label: [name for name, moves in CONDITIONS.items() if contains(named.group, moves)]
        for named in parse_groups(
            "Trivial,P4,HueShift(3),HueShift(6),HueShift(2),Cyclic(2),HueShift(3)*P4M,Cyclic(8),"
            'HueShift(4,"hsv"),HueShift(6,"hsv"),HueShift(3,"lab")'
        )
    }
    assert promised == {
        "Trivial": ["upright"],
        "P4": ["upright", "rotated"],
        "HueShift(3)": ["upright", "hue-shifted"],
        "HueShift(6)": ["upright", "hue-shifted"],
        "HueShift(2)": ["upright"],
        "Cyclic(2)": ["upright"],
        "HueShift(3)*P4M": ["upright", "rotated", "hue-shifted", "both"],
        "Cyclic(8)": ["upright", "rotated"],
        "HueShift(4,'hsv')": ["upright"],
        "HueShift(6,'hsv')": ["upright", "hue-shifted"],
        "HueShift(3,'lab')": ["upright"],
    }


def _row(group, order, upright, moved_error):
    error = {name: spread(upright if name == "upright" else moved_error) for name in CONDITIONS}
    return {"group": group, "order": order, "error": error, "changed": dict.fromkeys(CONDITIONS, 0.25)}


def test_answer_names_winner_ties_and_the_safest():
    rows = [
        _row("Trivial", 1, [0.010, 0.014], [0.8, 0.9]),
        _row("P4", 4, [0.013, 0.017], [0.1, 0.1]),
        _row("P4M", 8, [0.2, 0.2], [0.05, 0.05]),
    ]
    text = answer(rows)
    assert "P4M is the safest of these: its worst error under all conditions is 20.0 %" not in " ".join(text)
    assert "P4 is the safest" in text[0]
    upright = next(line for line in text if "upright)" in line)
    assert "Trivial has the lowest test error: 1.2 ± 0.3 %; P4 is within the spread." in upright
    assert "85.0 ± 7.1 %" in next(line for line in text if "turned by" in line)


def test_one_group_alone_wins_nothing():
    assert "has a test error of 1.2 %" in answer([_row("P4", 4, [0.012], [0.5])])[0]
    assert "lowest" not in " ".join(answer([_row("P4", 4, [0.012], [0.5])]))


def test_a_broken_promise_is_told():
    held = checks(parse_groups("P4"), [_row("P4", 4, [0.1], [0.1])])
    assert held == [{"group": "P4", "condition": "rotated", "held": False}]


def test_hues_in_hsv_promise_and_shifts_of_intervals_do_not():
    named = parse_groups('HueShift(3,"hsv"),HueShift(4,"hsv"),Color(3,3),Saturation(3),Color(3)*P4')
    rows = [_row(one.label, one.group.order, [0.1], [0.1]) for one in named]
    found = [(check["group"], check["condition"]) for check in checks(named, rows)]
    turned = [("Color(3)*P4", name) for name in ("rotated", "hue-shifted", "both")]
    assert found == [("HueShift(3,'hsv')", "hue-shifted"), *turned]


def test_the_table_has_the_conditions_that_were_measured():
    row = _row("P4", 4, [0.1], [0.1]) | {"parameters": 1, "width": 1, "macs": 1, "step_time_ratio": 1.0}
    row |= {"peak_memory": 1, "equivariance_error": 0.0}
    old = row | {"error": {name: row["error"][name] for name in ("upright", "rotated", "hue-shifted", "both")}}
    full, before = ([column.header for column in columns([each])] for each in (row, old))
    assert [name for name in full if name in CONDITIONS] == list(CONDITIONS)
    assert [name for name in full if name not in before] == ["saturation", "value", "gamma", "white balance"]
    assert columns([row, old]) == columns([old])
    assert "gamma" in markdown_table([row])
    assert "gamma" not in markdown_table([old])
