"""What a study found, and what it does not say, in sentences that are computed from its results."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.pages import merged
from benchmarks.summary import listed, near
from benchmarks.text import millions

__all__ = ["answer", "beaten", "error_text", "limits", "seeds_text", "spoken", "spread_text", "value_text"]

Results = Mapping[str, Any]
Row = Mapping[str, Any]

MANY = 10  # seeds that give a standard deviation to rely on
CLOSE = 0.01  # multiplications that differ by less than this share are called equal


def answer(results: Results) -> list[str]:
    """Return what was found: the lowest error, how the measured errors lie to the published ones, what is missing."""
    rows = _measured(results)
    missing = [row["name"] for row in results["rows"] if row["error"] is None]
    found = [_lowest(results, rows), *_lines(results, rows), *_agreement(results, rows)] if rows else []
    if not found:
        return ["Nothing has been measured yet."]
    return found + ([f"Without a result: {listed(missing)}."] if missing else [])


def limits(results: Results) -> list[str]:
    """Return what the results do not say; each sentence only where it holds."""
    rows = _measured(results)
    checks = (_of_seeds(rows), _of_sizes(rows), _of_published(rows), _of_recipes(results, rows), _of_runs(results))
    return [sentence for sentences in checks for sentence in sentences]


def beaten(results: Results, row: Row) -> bool:
    """Tell whether the error of a row, as the table shows it, is below the published one."""
    known = row["error"] is not None and "error" in row["published"]
    return known and _comparable(results) and round(row["error"], 2) < round(row["published"]["error"], 2)


def error_text(row: Row) -> str:
    """Return the error of a row in percent, with its standard deviation if there is one; a dash if there is none."""
    return spread_text(row["error"], row["std"])


def spread_text(mean: float | None, std: float | None) -> str:
    """Return a mean with its standard deviation if there is one; a dash if there is none."""
    if mean is None:
        return "-"
    return f"{mean:.2f}" + ("" if std is None else f" ± {std:.2f}")


def seeds_text(rows: Sequence[Row]) -> str:
    """Return how many seeds rows have, those without a result apart: ``3 seeds``, or ``1 to 5 seeds``."""
    counts = sorted({row["seeds"] for row in rows} - {0}) or [0]
    return f"{' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} seed{'s' * (counts[-1] != 1)}"


def spoken(name: str) -> str:
    """Return the name of an option as words."""
    return name.replace("_", " ")


def value_text(value: Any) -> str:
    """Return the value of an option: counts with commas, flags as words, several values one after the other."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{spoken(name)} {value_text(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return " ".join(map(value_text, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _comparable(results: Results) -> bool:
    """Tell whether the errors may be held against published ones: on test images, and not of a quick run."""
    return results["part"] == "test" and not results["quick"]


def _measured(results: Results) -> list[Row]:
    return [row for row in results["rows"] if row["error"] is not None]


def _lowest(results: Results, rows: Sequence[Row]) -> str:
    best = min(rows, key=lambda row: row["error"])
    has = "has the lowest" if len(rows) > 1 else "has a"
    tail = f"with {best['parameters']:,} parameters ({seeds_text([best])})"
    text = f"{best['name']} {has} {results['part']} error: {error_text(best)} %, {tail}"
    ties = [row["name"] for row in rows if row is not best and near(_spread(row), _spread(best))]
    return text + (f"; {listed(ties)} {_be(ties)} within the spread." if ties else ".")


def _lines(results: Results, rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each line of a sweep that has several points."""
    if not results["sweep"]:
        return []
    lines = {name: [row for row in rows if row["line"] == name] for name in dict.fromkeys(row["line"] for row in rows)}
    best = {name: min(points, key=lambda row: row["error"]) for name, points in lines.items() if len(points) > 1}
    return [
        f"{name}: lowest at {spoken(results['sweep']['varies'])} {value_text(row['value'])}, {error_text(row)} % with "
        f"{row['parameters']:,} parameters."
        for name, row in best.items()
    ]


def _agreement(results: Results, rows: Sequence[Row]) -> list[str]:
    """Return how the measured errors lie to the published ones, as far as the seeds can tell."""
    known = [row for row in rows if "error" in row["published"]] if _comparable(results) else []
    told = [row for row in known if row["std"] is not None]
    off = [row for row in told if abs(row["error"] - row["published"]["error"]) > 2 * row["std"]]
    single = [row["name"] for row in known if row["std"] is None]
    text = []
    if told:
        text.append(
            f"{len(told) - len(off)} of {len(told)} errors differ from the published ones by no more than twice the "
            "standard deviation over the seeds."
        )
    if off:
        text.append(f"Farther off {'is' if len(off) == 1 else 'are'} {'; '.join(_distance(row) for row in off)}.")
    if single:
        text.append(f"One seed has no spread to judge the distance to the published error by: {listed(single)}.")
    return text


def _distance(row: Row) -> str:
    published = row["published"]["error"]
    side = "higher" if row["error"] > published else "lower"
    return f"{row['name']}, {side}: {error_text(row)} % measured, {published:.2f} % published"


def _of_seeds(rows: Sequence[Row]) -> list[str]:
    fewest = min((row["seeds"] for row in rows), default=MANY)
    if max((row["seeds"] for row in rows), default=0) == 1:
        return ["There is one seed a row: differences may be those between two seeds of the same row."]
    few = f"There are {seeds_text(rows)} a row: a standard deviation of so few is itself uncertain."
    return [few] if fewest < MANY else []


def _of_sizes(rows: Sequence[Row]) -> list[str]:
    if len(rows) < 2:
        return []
    parameters, macs = ([row[key] for row in rows] for key in ("parameters", "macs"))
    if max(parameters) == min(parameters) and max(macs) == min(macs):
        return []
    return [
        f"The rows do not cost the same: {min(parameters):,} to {max(parameters):,} parameters, {millions(min(macs))} "
        f"to {millions(max(macs))} multiply-accumulate operations an image."
    ]


def _of_published(rows: Sequence[Row]) -> list[str]:
    """Return where the networks are not as large or as costly as those published."""
    other = [row["name"] for row in rows if row["published"].get("parameters", row["parameters"]) != row["parameters"]]
    costly = [row["name"] for row in rows if not _close(row["macs"], row["published"].get("macs", row["macs"]))]
    text = [f"Not as many parameters as published: {listed(other)}."] if other else []
    share = f"by more than {100 * CLOSE:.0f} %"
    return text + ([f"Multiplications differ from the published ones {share}: {listed(costly)}."] if costly else [])


def _of_recipes(results: Results, rows: Sequence[Row]) -> list[str]:
    own = [row["name"] for row in rows if _is_special(results, row)]
    return [f"Not all rows are trained alike: {listed(own)}."] if own and not results["sweep"] else []


def _is_special(results: Results, row: Row) -> bool:
    """Tell whether a row is trained otherwise than its study says."""
    samples = row["samples"] != results.get("samples")
    return bool(row["recipe"] or row["augment"] or row.get("normalize") or samples)


def _of_runs(results: Results) -> list[str]:
    sources = merged(results["runs"])
    versions = [source["provenance"]["versions"].get("torch", "") for source in sources]
    on_cpu = bool(versions) and all(version.endswith("+cpu") for version in versions)
    text = ["Trained on CPUs; other devices round otherwise."] if on_cpu else []
    if len(sources) > 1:
        text.append(f"The runs are from {len(sources)} combinations of commit, versions and machine (see below).")
    return text


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= CLOSE * b


def _spread(row: Row) -> dict[str, float | None]:
    return {"mean": row["error"], "std": row["std"]}


def _be(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
