"""The support table, as it stands in the documentation."""

from dataclasses import asdict

from support.features import FEATURES, Outcomes
from support.outcome import Outcome

__all__ = ["markdown", "read", "written"]

SHOWN = {"works": "yes", "nothing": "", "refused": "refused", "limit": "no", "elsewhere": "GPU", "fails": "**no**"}


def written(outcomes: Outcomes) -> dict[str, dict[str, dict[str, str]]]:
    """Return outcomes as JSON has them."""
    return {case: {name: asdict(found) for name, found in row.items()} for case, row in outcomes.items()}


def read(rows: dict[str, dict[str, dict[str, str]]]) -> Outcomes:
    """Return the outcomes in JSON."""
    return {case: {name: Outcome(**found) for name, found in row.items()} for case, row in rows.items()}


def markdown(outcomes: Outcomes) -> str:
    """Return a table for each part of the features, the reasons of what does not work, and what the columns mean."""
    reasons: list[str] = []

    def shown(found: Outcome) -> str:
        if found.kind in ("works", "nothing"):
            return SHOWN[found.kind]
        if found.reason not in reasons:
            reasons.append(found.reason)
        return f"{SHOWN[found.kind]} ({reasons.index(found.reason) + 1})"

    blocks = []
    for part in dict.fromkeys(feature.part for feature in FEATURES.values()):
        columns = {name: feature for name, feature in FEATURES.items() if feature.part == part}
        lines = [_line(part, [feature.title for feature in columns.values()]), _line("---", ["---"] * len(columns))]
        lines += [_line(case, [shown(row[name]) for name in columns]) for case, row in outcomes.items()]
        blocks += ["\n".join(lines), "\n".join(f"- {each.title}: {each.about}" for each in columns.values())]
    if reasons:
        blocks.append("\n".join(f"{number}. {reason}" for number, reason in enumerate(reasons, start=1)))
    return "\n\n".join(blocks) + "\n"


def _line(head: str, cells: list[str]) -> str:
    return f"| {head} | {' | '.join(cells)} |"
