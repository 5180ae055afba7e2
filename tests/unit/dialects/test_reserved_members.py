"""Members that are reserved for the gateway are refused in every dialect, and not passed on."""

import json
from typing import Any

import pytest

from intellirouter.core import EMPTY_CONTEXT, RequestContext, errors
from tests.support.dialects.standard import ENDPOINTS

MESSAGES = [{"role": "user", "content": "hello"}]
CONTENTS = [{"role": "user", "parts": [{"text": "hello"}]}]
GEMINI = RequestContext(model="m")
REQUESTS: dict[str, dict[str, Any]] = {
    "openai_chat": {"messages": MESSAGES},
    "openai_responses": {"input": "hello"},
    "openai_input_tokens": {"input": "hello"},
    "openai_completions": {"prompt": "hello"},
    "openai_embeddings": {"input": "hello"},
    "gemini": {"contents": CONTENTS},
    "gemini_count_tokens": {"contents": CONTENTS},
    "anthropic_messages": {"messages": MESSAGES, "max_tokens": 5},
    "anthropic_count_tokens": {"messages": MESSAGES},
    "ollama_chat": {"messages": MESSAGES},
    "ollama_generate": {"prompt": "hello"},
    "ollama_embed": {"input": "hello"},
    "ollama_embeddings": {"prompt": "hello"},
    "openai_moderations": {"input": "hello"},
    "openai_images": {"prompt": "hello"},
    "openai_speech": {"input": "hello", "voice": "alloy"},
    "rerank": {"query": "hello", "documents": ["a"]},
}
each_endpoint = pytest.mark.parametrize("endpoint", REQUESTS)


def decode(endpoint: str, **members: Any) -> None:
    is_gemini = endpoint.startswith("gemini")
    body = {**({} if is_gemini else {"model": "m"}), **REQUESTS[endpoint], **members}
    ENDPOINTS[endpoint].decode_request(json.dumps(body).encode(), GEMINI if is_gemini else EMPTY_CONTEXT)


@each_endpoint
@pytest.mark.parametrize("value", [{"quality": "high"}, "fast", [], False])
def test_requirements_are_refused(endpoint: str, value: Any) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        decode(endpoint, requirements=value)
    assert caught.value.message == "'requirements' is not supported in this version."
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "requirements")


@each_endpoint
def test_null_and_deeper_members_of_that_name_are_not_affected(endpoint: str) -> None:
    decode(endpoint)
    decode(endpoint, requirements=None)
    decode(endpoint, metadata={"requirements": "none"})
