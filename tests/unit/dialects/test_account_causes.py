"""Errors about the gateway's credential and account are recognized under any status, and nothing else is."""

import pytest

from intellirouter.core import errors
from intellirouter.dialects.account_causes import account_error, is_about_account
from intellirouter.dialects.error_causes import CONTENT_POLICY, rejection_cause
from tests.unit.dialects.test_request_causes import DIALECTS, decode

REFUSED = (
    "Incorrect API key provided: xa***. You can obtain an API key from https://console.x.ai.",
    "API key not valid. Please pass a valid API key.",
    "API key expired. Please renew the API key.",
    "Your API key was reported as leaked. Please use another API key.",
    "Error code: 400 - Invalid API key",
    "Invalid x-api-key",
    "This organization has been disabled.",
    "Your account was suspended for violating our usage policies",
    "Your account has been deactivated because it violated our terms of service.",
    "We have suspended your account because of unsafe content.",
    "Account suspended",
    "Consumer 'api_key:AIza' has been suspended.",
    "Account acme is suspended, possibly due to reaching the monthly spending limit",
    "Access denied, please make sure your account is in good standing.",
    "OAuth token has expired.",
    "The security token included in the request is expired",
)
NO_CREDIT = (
    "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.",
    "You have reached your specified API usage limits. You will regain access on 2027-01-01.",
    "Insufficient Balance",
    "Sorry, your account balance is insufficient",
    "Your team x has either used all available credits or reached its monthly spending limit.",
    "Your newly created team doesn't have any credits yet.",
    "No items in your subscription; subscription inactive",
)
OF_REQUEST = (
    "Invalid value: 'Your credit balance is too low to access the Anthropic API.'",
    "messages.0.role: unexpected value 'Incorrect API key provided'",
    "Unknown parameter: 'API key not valid'.",
    "Your account has no access to this.",
    "Invalid credentials for the MCP server.",
    "Invalid API key in the tool `search`.",
    "Your organization has been blocked from the model `m`.",
    "Your organization must be verified to use the model `gpt-5`.",
    "User location is outside of the permitted area.",
    "Invalid token count.",
    "The user message is invalid.",
    "Your request was rejected. Repeated violations of our usage policies may get your account suspended.",
    "Access to this model is restricted",
    "",
)


@pytest.mark.parametrize("dialect", [*DIALECTS, "bedrock"])
@pytest.mark.parametrize("words", REFUSED)
def test_refused_credential_is_not_the_requests_fault(dialect: str, words: str) -> None:
    for status in (400, 403, 404, 412):
        error = decode(dialect, status, words)
        assert isinstance(error, errors.UpstreamAuthFailed)
        assert (error.is_explicit, error.status, error.fallback) == (True, 502, True)


@pytest.mark.parametrize("dialect", [*DIALECTS, "bedrock"])
@pytest.mark.parametrize("words", NO_CREDIT)
def test_empty_account_is_not_the_requests_fault(dialect: str, words: str) -> None:
    for status in (400, 403):
        error = decode(dialect, status, words)
        assert (type(error), error.status) == (errors.UpstreamQuotaExhausted, 502)


@pytest.mark.parametrize("dialect", [*DIALECTS, "bedrock"])
@pytest.mark.parametrize("words", OF_REQUEST)
def test_other_words_do_not_blame_the_credential(dialect: str, words: str) -> None:
    error = decode(dialect, 400, words)
    assert isinstance(error, errors.UpstreamRejected)
    assert not is_about_account(words)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("invalid_api_key", errors.UpstreamAuthFailed),
        ("InvalidApiKey", errors.UpstreamAuthFailed),
        ("account_deactivated", errors.UpstreamAuthFailed),
        ("Arrearage", errors.UpstreamQuotaExhausted),
        ("insufficient_quota", errors.UpstreamQuotaExhausted),
        ("invalid_value", errors.UpstreamRejected),
    ],
)
def test_code_is_enough(code: str, kind: type[errors.UpstreamError]) -> None:
    assert type(decode("openai_chat", 400, "No.", code=code)) is kind


def test_credential_under_a_status_that_says_so_is_left_to_the_status() -> None:
    for status in (200, 401, 402, 429, 500):
        assert account_error(status, "Invalid API key", (), "main") is None


def test_suspended_account_is_no_refused_content() -> None:
    words = "Your account was suspended for violating our usage policies"
    assert rejection_cause(words) is None
    assert rejection_cause("Your request violates our usage policies.") == CONTENT_POLICY


@pytest.mark.parametrize("dialect", [*DIALECTS, "bedrock"])
@pytest.mark.parametrize(
    "words",
    [
        "Insufficient balance or no resource package. Please recharge.",
        "Your team x has either used all available credits or reached its monthly spending limit.",
        "Your account x is suspended due to insufficient balance, please recharge your account.",
        "Your credit balance is too low.",
    ],
)
def test_empty_account_under_429_is_no_rate_limit(dialect: str, words: str) -> None:
    error = decode(dialect, 429, words)
    assert (type(error), error.status, error.code) == (errors.UpstreamQuotaExhausted, 429, "insufficient_quota")
    assert (error.retryable, error.fallback) == (False, True)


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"type": "exceeded_current_quota_error"}, "exceeded_current_quota_error"),  # Moonshot
        ({"code": "1113"}, "insufficient_quota"),  # Zhipu
        ({"code": "insufficient_quota"}, "insufficient_quota"),
    ],
)
def test_empty_account_under_429_is_recognized_by_its_code(members: dict[str, str], code: str) -> None:
    error = decode("openai_chat", 429, "No.", **members)
    assert (type(error), error.code) == (errors.UpstreamQuotaExhausted, code)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "words",
    [
        "You exceeded your current quota, please check your plan and billing details.",  # also Gemini, for a minute
        "Rate limit reached for your account: insufficient_quota is not the cause.",
        "Allocated quota exceeded, please increase your quota limit.",
        "you've reached your hourly usage limit, please upgrade to continue",
    ],
)
def test_rate_limits_stay_rate_limits(dialect: str, words: str) -> None:
    assert type(decode(dialect, 429, words)) is errors.UpstreamRateLimited
