"""Drawings of equivariance, as figures of matplotlib: nothing is shown, registered with pyplot or saved.

``figure.savefig("orbit.png")`` saves one; a notebook shows one that is the value of a cell.
"""

from importlib.util import find_spec

from equiconv.errors import EquiconvError

if find_spec("matplotlib") is None:
    raise EquiconvError("equiconv.viz draws with matplotlib: install equiconv with its extra viz")

from equiconv.viz.curves import wheel
from equiconv.viz.features import fields
from equiconv.viz.images import kernels, orbit
from equiconv.viz.profiles import profile

__all__ = ["fields", "kernels", "orbit", "profile", "wheel"]
