"""Finds deployments that fail much more often than the rest of their pool, without being down. Pure."""

from collections.abc import Mapping

from intellirouter.core import PoolPolicy
from intellirouter.resilience import WindowCounts


def find_outliers(counts: Mapping[str, WindowCounts], policy: PoolPolicy) -> dict[str, str]:
    """Return the names of the outliers, with the reasons. At least one deployment never is one.

    A deployment is compared with all others together. Both need enough attempts within the window.
    """
    if policy.outlier_gap >= 1:
        return {}
    attempts = sum([each.attempts for each in counts.values()])
    failures = sum([each.failures for each in counts.values()])
    found = {}
    for name, own in counts.items():
        other_attempts = attempts - own.attempts
        if own.attempts < policy.outlier_min_attempts or other_attempts < policy.outlier_min_attempts:
            continue
        rate = 1 - own.failures / own.attempts
        usual = 1 - (failures - own.failures) / other_attempts
        if usual - rate >= policy.outlier_gap:
            found[name] = f"success rate {rate:.0%}, {usual:.0%} for the others, tried after them"
    return found
