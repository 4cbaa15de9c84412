"""Check claims of equivariance: on any module, by code that shares nothing with the groups' own tables.

Images are moved by ``rot90``, ``flip``, a rotation of the colors by SciPy, the ``colorsys`` of Python's library, and
SciPy's interpolation for other angles.
"""

from equiconv.testing.covers import on_cover
from equiconv.testing.equivariance import assert_equivariant, equivariance_error
from equiconv.testing.laws import assert_group_laws
from equiconv.testing.moves import move_image
from equiconv.testing.profile import Profile, Sweep, equivariance_profile

__all__ = [
    "Profile",
    "Sweep",
    "assert_equivariant",
    "assert_group_laws",
    "equivariance_error",
    "equivariance_profile",
    "move_image",
    "on_cover",
]
