"""Context overflow and content policy are recognized from the real texts of vendors, and nothing else is."""

import json
from typing import Any

import msgspec
import pytest

from intellirouter.core import errors
from intellirouter.dialects.anthropic_messages.client_errors import ERRORS as ANTHROPIC
from intellirouter.dialects.error_causes import (
    CONTENT_POLICY,
    CONTEXT_LENGTH,
    is_error_document,
    rejection_cause,
    status_in_document,
)
from intellirouter.dialects.gemini.client_errors import GeminiErrors
from intellirouter.dialects.openai.client_errors import encode_error
from intellirouter.testing import FakeClock
from tests.support.dialects.pairs import upstream_of

TOO_LONG = {
    "anthropic": "prompt is too long: 213462 tokens > 200000 maximum",
    "anthropic-output": "input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000",
    "openai": "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
    "openai-responses": "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "vllm": "This model's maximum context length is 262144 tokens. However, you requested 0 output tokens and your "
    "prompt contains at least 262145 input tokens, for a total of at least 262145 tokens.",
    "vllm-old": "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
    "sglang": "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
    "sglang-total": "Requested token count exceeds the model's maximum context length of 202752 tokens.",
    "sglang-input": "Input length (5000 tokens) exceeds the maximum allowed length (4096 tokens).",
    "llama.cpp": "request (124071 tokens) exceeds the available context size (123904 tokens), try increasing it",
    "llama.cpp-old": "the request exceeds the available context size. try increasing the context size",
    "lm-studio": "The number of tokens to keep from the initial prompt is greater than the context length.",
    "lm-studio-2": "Trying to keep the first 5120 tokens when context the overflows. However, the model is loaded "
    "with context length of only 4096 tokens, which is not enough.",
    "tgi": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 1900 `inputs` tokens",
    "tgi-inputs": "Input validation error: `inputs` must have less than 1024 tokens. Given: 1200",
    "gemini": "The input token count (1196265) exceeds the maximum number of tokens allowed (1048576).",
    "vertex": "Unable to submit request because the input token count is 32825 but model only supports up to 32768.",
    "bedrock": "Input is too long for requested model.",
    "bedrock-titan": "Too many input tokens. Max input tokens: 8192, request input token count: 9000",
    "bedrock-nova": "Input Tokens Exceeded: Number of input tokens exceeds maximum length.",
    "mistral": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
    "groq": "Please reduce the length of the messages or completion.",
    "xai": "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    "openrouter": "This endpoint's maximum context length is 131072 tokens. However, you requested about 200000.",
    "poolside": "Input length 131393 exceeds the maximum allowed input length of 131040 tokens.",
    "deepseek": "This model's maximum context length is 163840 tokens.",
    "kimi": "Invalid request: Your request exceeded model token limit: 262144 (requested: 279049)",
    "minimax": "invalid params, context window exceeds limit (2013)",
    "copilot": "prompt token count of 135000 exceeds the limit of 128000",
    "cohere": "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292.",
    "cohere-2": "too many tokens: size limit exceeded by 10 tokens. The limit for this model is 128000 tokens.",
    "dashscope": "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]",
    "ollama": "prompt too long; exceeded max context length by 31 tokens",
    "ollama-embed": "the input length exceeds the context length",
    "azure": "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens.",
    "zhipu-tokens": "tokens in request more than max tokens allowed",
    "friendli": "The total number of tokens (input + max_tokens) exceeds the model's limit of 32768",
    "zhipu": "Prompt exceeds max length",
    "atlas": "Prompt too long: 5152 tokens exceeds max_seq_len 2048 (leave room for output tokens)",
    "ds4": "Prompt tokens (5152) exceeds context size (2048)",
    "github": "Request body too large for gpt-4o model. Max size: 8000 tokens.",
}
REFUSED = {
    "openai": "Your request was rejected as a result of our safety system.",
    "openai-reasoning": "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
    "azure": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
    "anthropic": "Output blocked by content filtering policy",
    "deepseek": "Content Exists Risk",
    "dashscope": "Input data may contain inappropriate content.",
    "moonshot": "The request was rejected because it was considered high risk",
    "openrouter": 'openai/gpt-4o requires moderation on OpenAI. Your input was flagged for "harassment".',
    "xai": "Content violates usage guidelines. Team: t, API key ID: k, Model: grok-4, Failed check: SAFETY_CHECK_TYPE",
    "volcengine": "The request failed because the input text may contain sensitive information.",
    "bytedance": "Your request was rejected by risk control.",
    "groq": "The prompt was blocked because it violates the terms of service.",
    "stability": "Your request was flagged by our content moderation system.",
    "zhipu": "系统检测到输入或生成内容可能包含不安全或敏感内容",
}
OTHER = [
    "Rate limit exceeded: free-models-per-min",
    "Too many tokens, please wait before trying again.",
    "max_tokens is too large: 100000. This model supports at most 16384 completion tokens.",
    "The maximum tokens you requested exceeds the model limit of 4096.",
    "The parameter `max_tokens` is not valid: integer above maximum value, expected a value <= 32768, but got 65536",
    "Invalid value for 'content': expected a string, got null.",
    "This model does not support image input.",
    "Request too large for model `m` in organization `o` on tokens per minute (TPM): Limit 6000, Requested 9000.",
    "Unknown parameter: 'context_management'.",
    "The image is too large.",
    "The moderation service is unavailable.",
    "Explicit caching is not supported.",
    "Invalid 'messages': array too long. Expected an array with maximum length 2048.",
]


@pytest.mark.parametrize("words", TOO_LONG.values(), ids=TOO_LONG)
def test_context_overflow_is_recognized_by_its_words(words: str) -> None:
    assert rejection_cause(words) == CONTEXT_LENGTH


@pytest.mark.parametrize("words", REFUSED.values(), ids=REFUSED)
def test_content_policy_is_recognized_by_its_words(words: str) -> None:
    assert rejection_cause(words) == CONTENT_POLICY


@pytest.mark.parametrize("words", OTHER)
def test_other_errors_have_no_cause(words: str) -> None:
    assert rejection_cause(words) is None


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("context_length_exceeded", CONTEXT_LENGTH),
        ("exceed_context_size_error", CONTEXT_LENGTH),
        ("ContextWindowExceededError", CONTEXT_LENGTH),
        ("tokens_limit_reached", CONTEXT_LENGTH),
        (1261, CONTEXT_LENGTH),
        ("content_filter", CONTENT_POLICY),
        ("data_inspection_failed", CONTENT_POLICY),
        ("InputTextSensitiveContentDetected.Violence", None),
        ("InputTextSensitiveContentDetected", CONTENT_POLICY),
        ("ResponsibleAIPolicyViolation", CONTENT_POLICY),
        ("1301", CONTENT_POLICY),
        ("rate_limit_exceeded", None),
        (400, None),
        (None, None),
        (["x"], None),
    ],
)
def test_causes_are_recognized_by_code(code: Any, cause: str | None) -> None:
    assert rejection_cause("no", None, code) == cause


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"code": 400}, 400),
        ({"code": "429", "type": "invalid_request_error"}, 429),
        ({"status_code": 503}, 503),
        ({"code": 1261, "type": "RateLimitError"}, 429),
        ({"type": "BadRequestError"}, 400),
        ({"status": "RESOURCE_EXHAUSTED"}, 429),
        ({"code": "context_length_exceeded"}, 400),
        ({"code": True}, 0),
        ({"code": "novel"}, 0),
        ({}, 0),
        ("words", 0),
    ],
)
def test_the_status_that_a_document_claims(document: Any, status: int) -> None:
    assert status_in_document(document) == status
    assert status_in_document("no object", document) == status


@pytest.mark.parametrize(
    ("document", "is_error"),
    [
        ({"error_type": "x"}, True),
        ({"detail": "no"}, True),
        ({"object": "error", "message": "no"}, True),
        ({"success": False}, True),
        ({"message": "no", "code": 3}, True),
        ({"base_resp": {"status_code": 1004, "status_msg": "no"}}, True),
        ({"base_resp": {"status_code": 0}}, False),
        ({"message": "hello"}, False),
        ({"message": {"content": "x"}, "status": "ok"}, False),
        ({"id": "c", "choices": []}, False),
        ({"type": "ping"}, False),
        ([], False),
    ],
)
def test_documents_that_report_an_error(document: Any, is_error: bool) -> None:
    assert is_error_document(document) is is_error


def body_of(dialect: str, words: str, status: int) -> bytes:
    if dialect == "anthropic_messages":
        return json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": words}}).encode()
    if dialect == "bedrock":
        return json.dumps({"__type": "ValidationException", "message": words}).encode()
    if dialect == "ollama":
        return json.dumps({"error": words}).encode()
    if dialect == "gemini":
        return json.dumps({"error": {"code": status, "message": words, "status": "INVALID_ARGUMENT"}}).encode()
    return json.dumps({"error": {"message": words, "type": "BadRequestError", "param": None, "code": status}}).encode()


DIALECTS = ("openai_chat", "openai_responses", "anthropic_messages", "gemini", "ollama", "bedrock")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("status", [400, 413, 422, 500])
@pytest.mark.parametrize("words", [TOO_LONG["vllm"], TOO_LONG["groq"], TOO_LONG["tgi"]])
def test_every_upstreams_overflow_is_told_to_every_client(dialect: str, status: int, words: str) -> None:
    error = upstream_of(dialect).decode_error(
        status, [], body_of(dialect, words, status), deployment="main", clock=FakeClock()
    )
    assert isinstance(error, errors.UpstreamRejected)
    assert (error.code, error.status, error.fallback) == (CONTEXT_LENGTH, 400, False)
    openai = msgspec.json.decode(encode_error(error))["error"]
    assert (openai["code"], openai["message"]) == (CONTEXT_LENGTH, words)
    if dialect != "anthropic_messages":  # its own envelope is passed on unchanged
        anthropic = msgspec.json.decode(ANTHROPIC.encode(error))["error"]
        assert anthropic["type"] == "invalid_request_error"
        assert anthropic["message"].startswith("prompt is too long: ")
    assert ANTHROPIC.status(error) == 400
    gemini = msgspec.json.decode(GeminiErrors().encode(error))["error"]
    assert gemini["status"] == "INVALID_ARGUMENT"
    if dialect != "gemini":
        assert "exceeds the maximum number of tokens allowed" in gemini["message"]
        assert gemini["details"][0]["reason"] == "CONTEXT_LENGTH_EXCEEDED"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_upstreams_content_policy_has_the_same_code(dialect: str) -> None:
    body = body_of(dialect, REFUSED["azure"], 400)
    error = upstream_of(dialect).decode_error(400, [], body, deployment="main", clock=FakeClock())
    assert (type(error), error.code) == (errors.UpstreamRejected, CONTENT_POLICY)


@pytest.mark.parametrize("dialect", ["openai_chat", "openai_responses", "anthropic_messages", "gemini", "ollama"])
def test_refused_content_under_403_is_not_a_rejected_credential(dialect: str) -> None:
    body = body_of(dialect, REFUSED["xai"], 403)
    error = upstream_of(dialect).decode_error(403, [], body, deployment="main", clock=FakeClock())
    assert (type(error), error.code, error.status) == (errors.UpstreamRejected, CONTENT_POLICY, 400)


@pytest.mark.parametrize("status", [401, 402, 429])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_words_do_not_change_rate_limits_and_credentials(dialect: str, status: int) -> None:
    body = b"{}" if dialect == "bedrock" else body_of(dialect, TOO_LONG["vllm"], status)
    error = upstream_of(dialect).decode_error(status, [], body, deployment="main", clock=FakeClock())
    assert not isinstance(error, errors.UpstreamRejected)
