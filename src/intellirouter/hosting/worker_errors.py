"""Rewords a worker's errors about the size of its context: names the model and the setting. Pure."""

import json
import re
from typing import Any, Final

from msgspec import Struct

from intellirouter.hosting.model import EMBEDDING_INPUT_TOKENS

TOO_LONG: Final = "exceed_context_size_error"
"""llama.cpp's type of the error."""
_EMBEDDING: Final = re.compile(r"input \((\d+) tokens\) is too large to process.*current batch size: (\d+)", re.DOTALL)


class WorkerError(Struct, frozen=True):
    status: int
    body: bytes


def reworded_error(status: int, body: bytes, model: str, context_tokens: int | None) -> WorkerError:
    """Return the error for the client. Other errors are returned unchanged.

    `context_tokens` is the configured size of the context. A smaller one is the size that the model was trained for.
    An embedding input that is too long is the client's error (400), not a failure of the worker (500).
    """
    error = _error_of(body)
    if error is None:
        return WorkerError(status, body)
    if error.get("type") == TOO_LONG and _are_counts(error.get("n_prompt_tokens"), error.get("n_ctx")):
        message = _prompt_message(error["n_prompt_tokens"], error["n_ctx"], model, context_tokens)
        return _written({**error, "message": message})
    if found := _EMBEDDING.search(str(error.get("message"))):
        tokens, limit = int(found[1]), int(found[2])
        message = f"The input has {tokens} tokens, but the local model {model} embeds at most {limit} tokens at once."
        message += _remedy(limit, min(EMBEDDING_INPUT_TOKENS, context_tokens or limit), EMBEDDING_INPUT_TOKENS)
        return _written({"code": 400, "message": message, "type": TOO_LONG, "n_prompt_tokens": tokens, "n_ctx": limit})
    return WorkerError(status, body)


def _prompt_message(tokens: int, limit: int, model: str, context_tokens: int | None) -> str:
    message = f"The request has {tokens} tokens, but the context of the local model {model} has {limit} tokens."
    return message + _remedy(limit, context_tokens or limit)


def _remedy(limit: int, configured: int, largest: int | None = None) -> str:
    if limit < configured or limit == largest:
        return " Shorten it: the model does not support more."
    return (
        " Shorten it, or raise the context: `host.context_tokens`, or `context_tokens` of the deployment, in the "
        "configuration of the gateway."
    )


def _error_of(body: bytes) -> dict[str, Any] | None:
    try:
        error = json.loads(body)["error"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return error if isinstance(error, dict) else None


def _are_counts(*values: object) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) for value in values)


def _written(error: dict[str, Any]) -> WorkerError:
    return WorkerError(400, json.dumps({"error": error}).encode())
