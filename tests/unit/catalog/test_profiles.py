"""What the table of model families says of a name, and that the catalog hands it to every deployment."""

from typing import Any

import pytest

from intellirouter.catalog import profile_of
from intellirouter.catalog.profiles import _FAMILIES
from intellirouter.core import UNKNOWN_PROFILE, Profile

ANTHROPIC, BEDROCK, GEMINI = ("anthropic_messages",), ("bedrock",), ("gemini",)


def differing(profile: Profile, *names: str) -> dict[str, Any]:
    """Return the facts that are not the defaults; with names, only those."""
    found = {name: getattr(profile, name) for name in Profile.__struct_fields__}
    default = {name: getattr(UNKNOWN_PROFILE, name) for name in found}
    return {name: value for name, value in found.items() if value != default[name] and (not names or name in names)}


def test_every_row_is_a_profile() -> None:
    for rows in _FAMILIES.values():
        assert all(Profile(**row.facts) for row in rows)


@pytest.mark.parametrize(
    ("model", "facts"),
    [
        ("claude-instant-1.2", {"reasoning": "none"}),
        ("claude-3-opus-20240229", {"reasoning": "none"}),
        (
            "claude-3-7-sonnet-latest",
            {"reasoning": "budget", "min_cached_tokens": 1024, "takes_temperature_with_top_p": False},
        ),
        (
            "claude-opus-4-1-20250805",
            {"reasoning": "budget", "min_cached_tokens": 1024, "takes_temperature_with_top_p": False},
        ),
        (
            "claude-sonnet-4-20250514",
            {"reasoning": "budget", "min_cached_tokens": 1024, "takes_temperature_with_top_p": False},
        ),
        (
            "claude-opus-4-6",
            {
                "min_cached_tokens": 4096,
                "reasoning": "adaptive",
                "has_xhigh_effort": False,
                "takes_temperature_with_top_p": False,
                "takes_prefill": False,
            },
        ),
        (
            "Claude-Opus-4.7",
            {
                "min_cached_tokens": 4096,
                "reasoning": "adaptive",
                "takes_sampling": False,
                "takes_temperature_with_top_p": False,
                "takes_prefill": False,
            },
        ),
        (
            "claude-sonnet-5",
            {
                "min_cached_tokens": 1024,
                "reasoning": "adaptive",
                "reasons_by_default": True,
                "takes_sampling": False,
                "takes_temperature_with_top_p": False,
                "takes_prefill": False,
            },
        ),
        (
            "claude-mythos-preview",
            {
                "min_cached_tokens": 1024,
                "reasoning": "always",
                "reasons_by_default": True,
                "takes_sampling": False,
                "takes_temperature_with_top_p": False,
                "takes_prefill": False,
            },
        ),
        ("kimi-k2", {}),
    ],
)
def test_models_of_the_anthropic_dialect(model: str, facts: dict[str, Any]) -> None:
    assert differing(profile_of(ANTHROPIC, "anthropic", model)) == facts


@pytest.mark.parametrize(
    ("model", "facts"),
    [
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", {"reasoning": "budget", "top_k_path": ("top_k",)}),
        ("amazon.nova-2-lite-v1:0", {"reasoning": "effort_config", "top_k_path": ("inferenceConfig", "topK")}),
        ("openai.gpt-oss-120b-1:0", {"reasoning": "effort"}),
        ("cohere.command-r-plus-v1:0", {"top_k_path": ("k",), "takes_penalties": True, "takes_seed": True}),
        ("mistral.mixtral-8x7b-instruct-v0:1", {"top_k_path": ("top_k",)}),
        ("meta.llama3-3-70b-instruct-v1:0", {}),
        ("arn:aws:bedrock:eu-west-1:1:application-inference-profile/abc", {}),
    ],
)
def test_models_on_bedrock(model: str, facts: dict[str, Any]) -> None:
    names = ("reasoning", "top_k_path", "takes_penalties", "takes_seed")
    assert differing(profile_of(BEDROCK, "bedrock", model), *names) == facts


def test_claude_on_bedrock_has_the_facts_of_both() -> None:
    here = profile_of(BEDROCK, "bedrock", "anthropic.claude-opus-4-7")
    there = profile_of(ANTHROPIC, "anthropic", "claude-opus-4-7")
    more = differing(here).keys() - differing(there).keys()
    own = {"top_k_path", "caches_messages", "caches_tools", "takes_cache_ttl"}
    assert more == own | {"has_result_status", "reports_stop_sequence"}
    assert all(getattr(here, name) == value for name, value in differing(there).items())


@pytest.mark.parametrize(
    ("model", "reasoning", "levels", "budgets"),
    [
        ("gemini-1.5-pro", "none", None, None),
        ("models/gemini-2.5-pro", "budget", None, (128, 32_768, False)),
        ("gemini-2.5-flash", "budget", None, (0, 24_576, True)),
        ("publishers/google/models/gemini-2.5-flash-lite", "budget", None, (512, 24_576, True)),
        ("gemini-3-pro-preview", "level", ("low", "high"), None),
        ("gemini-3.1-pro", "level", ("low", "medium", "high"), None),
        ("gemini-3-flash", "level", ("minimal", "low", "medium", "high"), None),
        ("gemini-pro-latest", "level", ("low", "high"), None),
        ("gemini-flash-latest", "level", ("minimal", "low", "medium", "high"), None),
        ("gemma-3-27b-it", "unknown", None, None),
        ("x-pro/gemini-3-flash", "level", ("minimal", "low", "medium", "high"), None),
    ],
)
def test_models_of_the_gemini_dialect(model: str, reasoning: str, levels: Any, budgets: Any) -> None:
    profile = profile_of(GEMINI, "gemini", model)
    assert profile.reasoning == reasoning
    if levels is not None:
        assert profile.reasoning_levels == levels
        assert (profile.wants_call_signatures, profile.takes_media_in_results) == (True, True)
        assert profile.takes_json_output_with_tools
    if budgets is not None:
        limits = profile.min_reasoning_tokens, profile.max_reasoning_tokens, profile.can_stop_reasoning
        assert limits == budgets
        assert not profile.takes_json_output_with_tools


def test_a_vendors_models_may_have_facts_whatever_their_names() -> None:
    assert profile_of(("openai_chat",), "deepseek", "any").wants_reasoning_back
    assert profile_of(("openai_chat",), "openai", "any") == UNKNOWN_PROFILE


def test_facts_of_the_first_dialect_stand_before_the_others() -> None:
    both = profile_of(("gemini", "anthropic_messages"), "v", "gemini-3-claude")
    assert (both.reasoning, both.takes_sampling) == ("level", False)
    assert profile_of(("anthropic_messages", "gemini"), "v", "gemini-3-claude").reasoning == "adaptive"
    assert profile_of((), "v", "claude-sonnet-5") == UNKNOWN_PROFILE


def test_the_same_question_has_the_same_answer() -> None:
    assert profile_of(GEMINI, "gemini", "gemini-3-pro") is profile_of(GEMINI, "gemini", "gemini-3-pro")
