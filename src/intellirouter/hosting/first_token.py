"""Judges the first token of a worker: whether its weights can be what they claim to be. Pure."""

import math
from typing import Any, Final

_MIN_LOGPROB: Final = -7.0
"""The most likely token has a probability of at least one in a thousand, unless all tokens are equally likely."""


def weights_problem(completion: Any) -> str | None:
    """Return what is wrong with the weights that have produced this completion, as a sentence; None if nothing is.

    `completion` is the response to a greedy request for one token with its log probability. A file with random bytes
    in its weights has a valid header and is loaded, but the model computes values that are not numbers. Zeros in the
    weights make all tokens equally likely. An engine that does not report probabilities is not judged.
    """
    try:
        logprob = completion["choices"][0]["logprobs"]["content"][0]["logprob"]
    except (KeyError, IndexError, TypeError):
        return None
    if logprob is None or (isinstance(logprob, float) and not math.isfinite(logprob)):
        return "The model computes values that are not numbers."
    if isinstance(logprob, int | float) and logprob < _MIN_LOGPROB:
        return "The model considers all tokens equally likely."
    return None
