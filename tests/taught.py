"""The loss of the tests: of weight 1, so that the penalty is the sum of the errors."""

from equiconv.losses import EquivarianceLoss


def equivariance(group, layers, beta=1.0, **options):
    return EquivarianceLoss(group, layers, beta, **options)
