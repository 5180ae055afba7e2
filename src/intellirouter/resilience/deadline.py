"""How the attempts of a request share its time. Pure."""


def attempt_limit_s(left_s: float, total_s: float, untried_s: float) -> float:
    """Return how long an attempt may take until it has its first content, or its complete answer.

    `left_s` is the time that is left for the request, `total_s` the timeout of the attempt, and `untried_s` the sum of
    the timeouts of the deployments that have not been tried yet. Their time is reserved. If not all of it is left, the
    attempt may use half of what is left.
    """
    if not untried_s:
        return min(total_s, left_s)
    return min(total_s, max(left_s / 2, left_s - untried_s))
