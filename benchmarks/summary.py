"""From cells to a table and to sentences: means, spreads, checks of what the symmetry promises, the answer."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from benchmarks.data.conditions import CONDITIONS, Move, moved
from benchmarks.groups import NamedGroup
from equiconv import Group

__all__ = ["Row", "answer", "checks", "contains", "error_text", "listed", "near", "percent", "summarize"]

Row = dict[str, Any]
Result = dict[str, Any]

WHERE = {
    "upright": "On images as in training (upright)",
    "rotated": "On images turned by 90, 180 or 270 degrees",
    "hue-shifted": "On images with the hue shifted by 120 or 240 degrees",
    "both": "On images turned and hue-shifted",
    "saturation": "On images of 20 or 60 % of the saturation",
    "value": "On images of 40 or 160 % of the value",
    "gamma": "On images whose values are raised to the power of 1.93 or 1 / 1.93",
    "white balance": "On images in warmer or colder light",
}


def summarize(named: NamedGroup, results: Sequence[Result], costs: dict[str, Any]) -> Row:
    """Return one row of the table: a group's results over its seeds, with its costs."""
    errors = {name: spread([result["error"][name] for result in results]) for name in CONDITIONS}
    curves = {
        what: {degrees: spread([result["curves"][what][degrees] for result in results]) for degrees in points}
        for what, points in results[0]["curves"].items()
    }
    return {
        "group": named.label,
        "elements": repr(named.group),
        "order": named.group.order if named.group.max_frequency is None else None,
        "width": results[0]["width"],
        "parameters": results[0]["parameters"],
        "seeds": [result["seed"] for result in results],
        "error": errors,
        "changed": {name: max(result["changed"][name] for result in results) for name in CONDITIONS},
        "curves": curves,
        "equivariance_error": worst(result["equivariance_error"] for result in results),
        **costs,
    }


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Return the mean and the sample standard deviation; the latter is None for one value."""
    return {"mean": statistics.fmean(values), "std": statistics.stdev(values) if len(values) > 1 else None}


def worst(values: Iterable[float | None]) -> float | None:
    """Return the largest of the values; None if one of them is None."""
    known = list(values)
    return None if None in known else max(value for value in known if value is not None)


# -- what the symmetry promises --------------------------------------------------------------------------------------


def contains(group: Group, moves: Sequence[Move]) -> bool:
    """Tell whether every one of the moves is the move of an element of the group."""
    probe = torch.rand(3, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    images = [group.transform_image(probe, g) for g in range(group.order)]
    return all(any(torch.allclose(moved(probe, move), image) for image in images) for move in moves)


def checks(named: Sequence[NamedGroup], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return, for each group and condition whose moves it contains, whether no prediction of any seed changed.

    Groups that shift more than the hue along a color model promise nothing: grays have no hue that turns with the
    others, and colors are reflected at the ends of an interval.
    """
    return [
        {"group": one.label, "condition": name, "held": row["changed"][name] == 0}
        for one, row in zip(named, rows, strict=True)
        for name, moves in CONDITIONS.items()
        if name != "upright" and one.group.tone.turns_hue_only and contains(one.group, moves)
    ]


# -- words -----------------------------------------------------------------------------------------------------------


def percent(value: float, std: float | None = None) -> str:
    """Return a share as a percentage, with its standard deviation if there is one."""
    return f"{100 * value:.1f}" + ("" if std is None else f" ± {100 * std:.1f}")


def error_text(row: Row, condition: str) -> str:
    """Return the error of a row under a condition, in percent."""
    return percent(row["error"][condition]["mean"], row["error"][condition]["std"])


def answer(rows: Sequence[Row]) -> list[str]:
    """Return the answer in plain words: what to take, and who wins under each condition."""
    return _advice(rows) + [_winner(rows, name) for name in CONDITIONS]


def _winner(rows: Sequence[Row], condition: str) -> str:
    best, ties = _best(rows, condition)
    if len(rows) == 1:
        return f"{WHERE[condition]}, {best['group']} has a test error of {error_text(best, condition)} %."
    text = f"{WHERE[condition]}, {best['group']} has the lowest test error: {error_text(best, condition)} %"
    if ties:
        distance = "equal" if best["error"][condition]["std"] is None else "within the spread"
        text += f"; {listed([row['group'] for row in ties])} {'is' if len(ties) == 1 else 'are'} {distance}"
    trivial = next((row for row in rows if row["order"] == 1), None)
    if trivial is not None and trivial is not best and trivial not in ties:
        text += f"; {trivial['group']}, with no symmetry, has {error_text(trivial, condition)} %"
    return text + "."


def _best(rows: Sequence[Row], condition: str) -> tuple[Row, list[Row]]:
    """Return the row of lowest error, and the others whose distance is within the standard deviations of both."""
    best = min(rows, key=lambda row: row["error"][condition]["mean"])
    return best, [row for row in rows if row is not best and near(row["error"][condition], best["error"][condition])]


def near(a: Mapping[str, float | None], b: Mapping[str, float | None]) -> bool:
    """Tell whether two means differ by no more than both standard deviations; without these, whether they are equal."""
    if a["std"] is None or b["std"] is None:
        return a["mean"] == b["mean"]
    return abs((a["mean"] or 0) - (b["mean"] or 0)) <= math.hypot(a["std"], b["std"])


def _advice(rows: Sequence[Row]) -> list[str]:
    if len(rows) < 2:
        return []
    worst_case = {row["group"]: max(row["error"][name]["mean"] for name in CONDITIONS) for row in rows}
    safest = min(worst_case, key=lambda group: worst_case[group])
    return [
        f"If test images may come turned and recolored, {safest} is the safest of these: its worst error under all "
        f"conditions is {percent(worst_case[safest])} %.",
        _upright_advice(rows),
    ]


def _upright_advice(rows: Sequence[Row]) -> str:
    winner, ties = _best(rows, "upright")
    fit = [winner, *ties]
    start = "If they will always look like the training images, "
    if any(row["order"] == 1 for row in fit):
        return f"{start}none of these symmetries lowers the error by more than the spread."
    names = listed([row["group"] for row in fit])
    return f"{start}{names} {'does' if len(fit) == 1 else 'do'} best."


def listed(names: Sequence[str]) -> str:
    """Return names as words: ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
