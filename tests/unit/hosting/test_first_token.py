"""What the first token of a worker says about its weights."""

from typing import Any

import pytest

from intellirouter.hosting.first_token import weights_problem


def completion(logprob: Any) -> Any:
    return {"choices": [{"text": ".", "logprobs": {"content": [{"token": ".", "logprob": logprob}]}}]}


@pytest.mark.parametrize("logprob", [0, -0.01, -2.5, -6.9])
def test_a_probable_token_is_accepted(logprob: float) -> None:
    assert weights_problem(completion(logprob)) is None


@pytest.mark.parametrize("logprob", [None, float("nan"), float("inf"), float("-inf")])
def test_a_token_that_is_not_a_number_shows_damaged_weights(logprob: float | None) -> None:
    assert weights_problem(completion(logprob)) == "The model computes values that are not numbers."


def test_equally_likely_tokens_show_damaged_weights() -> None:
    assert weights_problem(completion(-10.8)) == "The model considers all tokens equally likely."


@pytest.mark.parametrize(
    "document", [None, {}, [], {"choices": []}, {"choices": [{"logprobs": None}]}, completion("x"), {"choices": [{}]}]
)
def test_an_engine_without_probabilities_is_not_judged(document: Any) -> None:
    assert weights_problem(document) is None
