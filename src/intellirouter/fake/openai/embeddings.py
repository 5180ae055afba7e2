"""`POST /v1/embeddings`."""

import base64
import struct
from typing import Any, Final

from intellirouter.fake.embedding import embed
from intellirouter.fake.openai.fields import optional
from intellirouter.fake.openai.replies import OpenAiError, json_reply
from intellirouter.fake.reply import Reply
from intellirouter.fake.tokens import count_tokens

DEFAULT_DIMENSIONS: Final = 256
MAX_DIMENSIONS: Final = 4096
MAX_INPUTS: Final = 2048


def answer_embeddings(model: str, request: dict[str, Any]) -> Reply:
    """Answer `POST /v1/embeddings`. Raises `OpenAiError`."""
    inputs = _inputs(request.get("input"))
    wanted = optional(request, "dimensions", int)
    dimensions = DEFAULT_DIMENSIONS if wanted is None else wanted
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise OpenAiError(400, f"Invalid value for 'dimensions': {dimensions}.", param="dimensions")
    encoding = optional(request, "encoding_format", str) or "float"
    if encoding not in {"float", "base64"}:
        raise OpenAiError(400, f"Invalid value: '{encoding}'.", param="encoding_format", code="invalid_value")
    vectors = [embed(words, dimensions) for words, _ in inputs]
    tokens = sum(count for _, count in inputs)
    return json_reply(
        {
            "object": "list",
            "data": [
                {
                    "object": "embedding",
                    "index": index,
                    "embedding": encode_base64(vector) if encoding == "base64" else vector,
                }
                for index, vector in enumerate(vectors)
            ],
            "model": model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )


def encode_base64(vector: list[float]) -> str:
    """Encode as little-endian 32-bit floats, as OpenAI does."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _inputs(value: Any) -> list[tuple[list[str], int]]:
    """Return words and token count of each input; the value is a text, a list of token numbers, or a list of either."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not value:
        raise OpenAiError(400, "'input' must be a non-empty string or list.", param="input")
    if all(_is_token(item) for item in value):
        value = [value]
    if len(value) > MAX_INPUTS:
        raise OpenAiError(400, f"'input' may hold at most {MAX_INPUTS} items.", param="input")
    return [_words(item) for item in value]


def _words(item: Any) -> tuple[list[str], int]:
    if isinstance(item, str) and item:
        return item.lower().split() or [item], count_tokens(item)
    if isinstance(item, list) and item and all(_is_token(token) for token in item):
        return [f"#{token}" for token in item], len(item)
    raise OpenAiError(400, "'$.input' is invalid. Please check the API reference.", param="input")


def _is_token(item: Any) -> bool:
    return isinstance(item, int) and not isinstance(item, bool)
