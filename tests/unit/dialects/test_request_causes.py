"""A status that blames the credential, the account or the deployment is not believed if the request is at fault."""

import json
from typing import Any

import pytest

from intellirouter.core import errors
from intellirouter.dialects.request_causes import REQUEST_TOO_LARGE
from intellirouter.resilience import counts_against_deployment
from intellirouter.testing import FakeClock
from tests.support.dialects.pairs import upstream_of

TOO_LARGE = {
    "openai": "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested "
    "45012. The input or output tokens must be reduced in order to run successfully.",
    "groq": "Request too large for model `m` in organization `o` on tokens per minute (TPM): Limit 6000, Requested "
    "9000, please reduce your message size and try again.",
    "numbers": "Rate limit reached for m on tokens per min. Limit: 30,000 / min. Requested: 45,000.",
}
LATER = (
    (
        "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 28000, "
        "Requested 4000. Please try again in 4s."
    ),
    "Rate limit reached for requests. Limit: 3 / min. Please try again in 20s.",
    "Limit 10, Requested 10.",
    "Rate limit reached for gpt-4 on tokens per min (TPM): Limit 0, Requested 12.",
    "Request too large for gpt-4 in organization org-x on tokens per min (TPM): Limit 0, Requested 12.",
    "Rate limit reached for requests per day. Limit: 200, Requested: 201",
    "Rate limit reached for gpt-4 on requests per min (RPM): Limit 3, Requested 4",
    "Request too large for this time of day, please slow down",
    "You exceeded your current quota.",
)
MISSING_CONTENT = (
    "Previous response with id 'resp_1' not found.",
    "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false.",
    "File not found: file_011",
    "You do not have permission to access the File abc or it may not exist.",
    "CachedContent not found (or permission denied)",
    "No such File object: file-1",
)
MISSING_MODEL = (
    "The model `gpt-9` does not exist or you do not have access to it.",
    "models/gemini-9 is not found for API version v1beta, or is not supported for generateContent.",
    "model 'llama9' not found",
    "Resource not found",
    "The requested URL /v1/responses was not found on this server",
    "no prompts",
    "The API deployment for this resource does not exist.",
    "",
)
OTHER_ENDPOINT = (
    (
        "This is not a chat model and thus not supported in the v1/chat/completions endpoint. "
        "Did you mean to use v1/completions?"
    ),
    "This is a chat model and not supported in the v1/completions endpoint.",
    "This model is only supported in v1/responses and not in v1/chat/completions.",
)
DIALECTS = ("openai_chat", "openai_responses", "anthropic_messages", "gemini", "ollama")


def decode(dialect: str, status: int, message: str, **members: Any) -> errors.UpstreamError:
    error: dict[str, Any] = {"message": message, **members}
    document: dict[str, Any] = {"error": error}
    if dialect == "ollama":
        document = {"error": message}
    elif dialect == "bedrock":
        document = {"message": message}
    body = json.dumps(document).encode()
    headers = [("retry-after", "9")] if status == 429 else []
    return upstream_of(dialect).decode_error(status, headers, body, deployment="main", clock=FakeClock())


@pytest.mark.parametrize("dialect", [*DIALECTS, "bedrock"])
@pytest.mark.parametrize("words", TOO_LARGE.values(), ids=TOO_LARGE)
def test_waiting_does_not_make_a_request_smaller(dialect: str, words: str) -> None:
    for status in (413, 429):
        error = decode(dialect, status, words)
        assert (type(error), error.code, error.status) == (errors.UpstreamRejected, REQUEST_TOO_LARGE, 413)
        assert (error.blame, error.retryable) == ("client", False)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("words", LATER)
def test_other_rate_limits_end(dialect: str, words: str) -> None:
    error = decode(dialect, 429, words)
    assert isinstance(error, errors.UpstreamRateLimited)
    assert error.retry_after_s == 9


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("words", MISSING_CONTENT)
def test_content_that_does_not_exist_is_not_a_missing_model(dialect: str, words: str) -> None:
    for status in (403, 404):
        error = decode(dialect, status, words)
        assert (type(error), error.status, error.blame) == (errors.UpstreamRejected, 404, "client")


@pytest.mark.parametrize("dialect", [*DIALECTS, "bedrock"])
@pytest.mark.parametrize("words", MISSING_MODEL)
def test_missing_model_is_the_deployments(dialect: str, words: str) -> None:
    assert isinstance(decode(dialect, 404, words), errors.UpstreamModelMissing)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("words", OTHER_ENDPOINT)
def test_request_at_the_wrong_endpoint_of_a_model_does_not_count_against_it(dialect: str, words: str) -> None:
    error = decode(dialect, 404, words)
    assert isinstance(error, errors.UnsupportedFeature)
    assert not counts_against_deployment(error)
    assert words.rstrip(".") in error.message
    assert "endpoint" in error.hint


@pytest.mark.parametrize(
    ("status", "words", "code", "kind"),
    [
        (403, "Project `proj_1` does not have access to model `gpt-4`", "model_not_found", "UpstreamModelMissing"),
        (403, "The model `m` is blocked at the organization level.", None, "UpstreamModelMissing"),
        (403, "You are not allowed to sample from this model.", None, "UpstreamModelMissing"),
        (403, "No.", "model_permission_blocked_org", "UpstreamModelMissing"),
        (403, "Country, region, or territory not supported.", None, "UpstreamAuthFailed"),
        (403, "", None, "UpstreamAuthFailed"),
        (403, "Your account was suspended for violating our usage policies", None, "UpstreamAuthFailed"),
        (403, "No file permission", None, "UpstreamAuthFailed"),
        (403, "This key has no permission for the feature", None, "UpstreamAuthFailed"),
        (403, "You don't have permission to access this key; ask models team", None, "UpstreamAuthFailed"),
        (403, "The prompt has expired credits: file not found", None, "UpstreamAuthFailed"),
        (403, "Your account's container does not exist anymore, contact billing", None, "UpstreamAuthFailed"),
        (403, "Project conversation quota: responses no longer available for this key", None, "UpstreamAuthFailed"),
        (403, "No items in your subscription; subscription inactive", None, "UpstreamQuotaExhausted"),
        (401, "You do not have access to the model.", "model_not_found", "UpstreamAuthFailed"),
        (404, "No endpoints found that support image input", None, "UnsupportedFeature"),
        (404, "No endpoints found matching your data policy", None, "UpstreamModelMissing"),
        (402, ("This request requires more credits, or fewer max_tokens. You requested up to 65536 tokens, but can "
         "only afford 4000."), None, "UpstreamRejected"),
        (402, ("This request requires more credits, or fewer max_tokens. You requested up to 65536 tokens, but can "
         "only afford 40."), None, "UpstreamQuotaExhausted"),
        (402, "Insufficient credits", None, "UpstreamQuotaExhausted"),
        (529, "Overloaded", None, "UpstreamUnavailable"),
    ],
)  # fmt: skip
def test_who_is_to_blame(status: int, words: str, code: str | None, kind: str) -> None:
    assert type(decode("openai_chat", status, words, code=code)).__name__ == kind


@pytest.mark.parametrize("code", ["previous_response_not_found", "file_not_found"])
def test_code_of_missing_content_is_kept(code: str) -> None:
    error = decode("openai_responses", 404, "It is not there.", code=code)
    assert (type(error), error.code) == (errors.UpstreamRejected, code)


def test_refused_content_under_403_is_not_bedrocks_credential() -> None:
    error = decode("bedrock", 403, "The request was blocked by our content policy.")
    assert (type(error), error.code) == (errors.UpstreamRejected, "content_policy_violation")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "words",
    [
        "Could not download image",
        "Failed to fetch the file at https://example.com/a.pdf",
        "The image at the given URL cannot be loaded.",
        "unable to access the requested video",
    ],
)
def test_media_that_cannot_be_fetched_are_not_a_missing_model(dialect: str, words: str) -> None:
    error = decode(dialect, 404, words)
    assert (type(error), error.status, error.blame) == (errors.UpstreamRejected, 400, "client")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("words", ["Access denied to this feature", "Your account does not have access to this beta."])
def test_denied_feature_is_not_a_refused_credential(dialect: str, words: str) -> None:
    error = decode(dialect, 403, words)
    assert (type(error), error.blame) == (errors.UnsupportedFeature, "client")


def decode_kind(dialect: str, status: int, message: str, kind: str) -> errors.UpstreamError:
    """Decode an error with this type, which Google calls its status."""
    members = {"message": message, "status" if dialect == "gemini" else "type": kind}
    body = json.dumps({"error": members}).encode()
    return upstream_of(dialect).decode_error(status, [], body, deployment="main", clock=FakeClock())


TYPED = {
    "openai_chat": "invalid_request_error",
    "openai_responses": "invalid_request_error",
    "anthropic_messages": "invalid_request_error",
    "gemini": "INVALID_ARGUMENT",
}


@pytest.mark.parametrize("dialect", TYPED)
@pytest.mark.parametrize("status", [408, 500])
def test_invalid_request_under_a_servers_status_is_the_requests_fault(dialect: str, status: int) -> None:
    error = decode_kind(dialect, status, "Messages with the role tool must follow a tool call.", TYPED[dialect])
    assert (type(error), error.status, error.blame) == (errors.UpstreamRejected, 400, "client")


@pytest.mark.parametrize("dialect", TYPED)
def test_server_that_has_failed_is_still_to_blame(dialect: str) -> None:
    failures = [(408, "The request timed out."), (500, "Timeout."), (503, "Busy.")]
    found = [decode_kind(dialect, *failure, TYPED[dialect]) for failure in failures]
    found.append(decode_kind(dialect, 500, "It broke.", "INTERNAL"))
    assert all(isinstance(error, errors.UpstreamTimeout | errors.UpstreamUnavailable) for error in found)
