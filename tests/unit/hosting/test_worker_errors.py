"""A worker's errors about its context name the model and the setting."""

import json
from typing import Any

import pytest

from intellirouter.hosting import reworded_error
from intellirouter.hosting.worker_errors import TOO_LONG, WorkerError

SETTING = "`host.context_tokens`"
PROMPT = {
    "code": 400,
    "message": "request (630 tokens) exceeds …",
    "type": TOO_LONG,
    "n_prompt_tokens": 630,
    "n_ctx": 256,
}
EMBEDDING = "input ({} tokens) is too large to process. increase the physical batch size (current batch size: {})"


def _reworded(status: int, error: dict[str, Any], context_tokens: int | None) -> dict[str, Any]:
    found = reworded_error(status, json.dumps({"error": error}).encode(), "small", context_tokens)
    assert found.status == 400
    return dict(json.loads(found.body)["error"])


@pytest.mark.parametrize("context_tokens", [256, None])
def test_a_prompt_that_is_too_long(context_tokens: int | None) -> None:
    error = _reworded(400, PROMPT, context_tokens)
    assert error["message"].startswith(
        "The request has 630 tokens, but the context of the local model small has 256 tokens. Shorten it, or raise"
    )
    assert SETTING in error["message"]
    assert {**error, "message": ""} == {**PROMPT, "message": ""}


def test_a_context_that_the_model_limits_cannot_be_raised() -> None:
    assert _reworded(400, PROMPT, 4096)["message"].endswith("Shorten it: the model does not support more.")


@pytest.mark.parametrize(
    ("limit", "context_tokens", "is_settable"),
    [(256, 256, True), (512, 4096, False), (512, 512, False), (128, 4096, False)],
)
def test_an_embedding_input_that_is_too_long_is_an_error_of_the_client(
    limit: int, context_tokens: int, is_settable: bool
) -> None:
    error = _reworded(
        500, {"code": 500, "message": EMBEDDING.format(600, limit), "type": "server_error"}, context_tokens
    )
    assert error["message"].startswith(
        f"The input has 600 tokens, but the local model small embeds at most {limit} tokens"
    )
    assert (error["type"], error["n_prompt_tokens"], error["n_ctx"]) == (TOO_LONG, 600, limit)
    assert (SETTING in error["message"]) is is_settable


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no JSON",
        b"[]",
        b"{}",
        b'{"error": "text"}',
        b'{"error": {"message": 5, "type": "server_error"}}',
        b'{"error": {"message": "x", "type": "exceed_context_size_error", "n_prompt_tokens": "1", "n_ctx": true}}',
    ],
)
def test_other_errors_are_unchanged(body: bytes) -> None:
    assert reworded_error(500, body, "small", 256) == WorkerError(500, body)
