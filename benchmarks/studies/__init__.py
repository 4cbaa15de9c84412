"""Studies: the tables of the papers, as files that say what is trained how, with what was published."""

from benchmarks.studies.row import Row, Sweep
from benchmarks.studies.run import add_arguments, run
from benchmarks.studies.study import STUDIES, Study, load_study

__all__ = ["STUDIES", "Row", "Study", "Sweep", "add_arguments", "load_study", "run"]
