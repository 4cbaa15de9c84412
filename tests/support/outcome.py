"""What comes of a check."""

from collections.abc import Callable
from dataclasses import dataclass

from equiconv import EquiconvError
from support.cases import Case
from support.compare import Elsewhere, Limit, NotApplicable

__all__ = ["WORKS", "Outcome", "outcome"]


@dataclass(frozen=True)
class Outcome:
    """Say whether something works, and why not."""

    kind: str  # "works", "refused", "limit", "elsewhere", "nothing" or "fails"
    reason: str = ""


WORKS = Outcome("works")


def outcome(check: Callable[[Case], None], case: Case) -> Outcome:
    """Return what comes of a check of a case."""
    try:
        check(case)
    except EquiconvError as error:
        return Outcome("refused", str(error))
    except Elsewhere as error:
        return Outcome("elsewhere", str(error))
    except Limit as error:
        return Outcome("limit", str(error))
    except NotApplicable as error:
        return Outcome("nothing", str(error))
    except Exception as error:
        return Outcome("fails", f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}")
    return WORKS
