"""Encoding of lists of embeddings. Source: OpenAI API reference, "The embedding object"."""

from typing import Any

import msgspec

from intellirouter.dialects.ir import EmbeddingResponse
from intellirouter.dialects.openai_embeddings.wire import encode_base64
from intellirouter.dialects.wire.large_json import encode_apart


def encode_response(response: EmbeddingResponse, model: str, *, is_base64: bool) -> bytes:
    vectors: list[Any] = (
        [encode_base64(vector) for vector in response.vectors] if is_base64 else encode_apart(response.vectors)
    )
    body: dict[str, Any] = {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)],
        "model": model,
    }
    if (usage := response.usage) is not None:
        body["usage"] = {"prompt_tokens": usage.total_input_tokens, "total_tokens": usage.total_tokens}
    return msgspec.json.encode(body)
