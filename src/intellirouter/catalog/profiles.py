"""The table of model families: which facts hold for a model, by its name in a dialect or at a vendor.

A row's facts hold for the first pattern that is found in the model's name. Patterns match in lower case. Where the
generation matters, they capture the version's major and minor number.

Sources: Anthropic, "Models overview", "Extended thinking", "Adaptive thinking" and the release notes of each model.
Google, "Gemini thinking", "OpenAI compatibility" and "Gemini 3 developer guide". AWS, "Inference request parameters and
response fields for foundation models", "Prompt caching" and the Amazon Nova user guides. OpenAI, "Reasoning models"
and the guides to its GPT-5 models. DeepSeek, Moonshot, Z.ai and
MiniMax, their guides to tool calls while reasoning.
"""

import re
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct, field, structs

from intellirouter.core import Profile, ReasoningControl

Version = tuple[int, int]
_NEVER: Final[Version] = (1_000, 0)


class _Family(Struct, frozen=True, kw_only=True):
    pattern: "re.Pattern[str]" = re.compile("")
    since: Version = (0, 0)
    before: Version = _NEVER
    """The versions for which the facts hold: from `since` on, below `before`. Patterns without a version ignore it."""
    vendors: frozenset[str] | None = None
    """None: whatever vendor serves the model."""
    facts: dict[str, Any] = field(default_factory=dict)

    def holds(self, vendor: str, model: str) -> bool:
        if self.vendors is not None and vendor not in self.vendors:
            return False
        found = self.pattern.search(model)
        if found is None:
            return False
        if not self.pattern.groups:
            return True
        return self.since <= (int(found[1]), int(found[2] or 0)) < self.before


def _family(
    pattern: str,
    *,
    since: Version = (0, 0),
    before: Version = _NEVER,
    vendors: frozenset[str] | None = None,
    **facts: Any,
) -> _Family:
    """Return a row. `facts` are the members of `Profile` that differ from its defaults."""
    return _Family(pattern=re.compile(pattern), since=since, before=before, vendors=vendors, facts=facts)


# Before 4.6, reasoning takes a token budget; from then on it is adaptive, with an effort, and a prefilled answer is
# refused. From 4.7 on, sampling parameters are refused. Fable and Mythos cannot stop reasoning.
_NO_PREFILL: Final[dict[str, Any]] = {"takes_prefill": False}
_CLAUDE_VERSION: Final = r"claude-[a-z]+-(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)"


def _claude(
    pattern: str,
    reasoning: ReasoningControl,
    *,
    since: Version = (0, 0),
    before: Version = _NEVER,
    is_sampled: bool = False,
    **facts: Any,
) -> _Family:
    return _family(
        pattern,
        since=since,
        before=before,
        reasoning=reasoning,
        takes_sampling=is_sampled,
        **{"takes_temperature_with_top_p": False, **facts},
    )


# The minimum of the cache has changed with almost every version: it is 4096 for Opus 4.5 to 4.7 and Haiku 4.5, 2048 for
# Haiku before, and 1024 or less for all others.
_CACHE_MINIMUMS: Final = (
    (re.compile(r"claude-(?:opus-4[-.][567]|haiku-4[-.]5)(?!\d)"), 4096),
    (re.compile(r"claude-(?:3[-.]?5?-haiku|haiku-3)"), 2048),
    (re.compile(r"claude-(?:instant|v?2|3-(?:opus|sonnet))"), 0),
    (re.compile(r"claude"), 1024),
    (re.compile(r"nova"), 1024),
)
_MARKING_DIALECTS: Final = frozenset({"anthropic_messages", "bedrock"})

_CLAUDE: Final = (
    _claude(r"claude-(?:instant|v?2|3(?![.-]7))", "none", is_sampled=True, takes_temperature_with_top_p=True),
    _claude(r"claude-(?:fable|mythos)", "always", reasons_by_default=True, **_NO_PREFILL),
    _claude(_CLAUDE_VERSION, "adaptive", since=(5, 0), reasons_by_default=True, **_NO_PREFILL),
    _claude(_CLAUDE_VERSION, "adaptive", since=(4, 7), before=(5, 0), **_NO_PREFILL),
    _claude(
        _CLAUDE_VERSION,
        "adaptive",
        since=(4, 6),
        before=(4, 7),
        is_sampled=True,
        has_xhigh_effort=False,
        **_NO_PREFILL,
    ),
    _claude(_CLAUDE_VERSION, "budget", before=(4, 6), is_sampled=True),
    _claude(r"claude-3", "budget", is_sampled=True),
    _claude(r"claude", "adaptive", reasons_by_default=True, **_NO_PREFILL),
)
_CLAUDE_ON_BEDROCK: Final = {
    "top_k_path": ("top_k",),
    "caches_messages": True,
    "caches_tools": True,
    "takes_cache_ttl": True,
    "has_result_status": True,
    "reports_stop_sequence": True,
}
_BEDROCK: Final = (
    *(structs.replace(each, facts=each.facts | _CLAUDE_ON_BEDROCK) for each in _CLAUDE),
    _family(
        r"nova",
        reasoning="effort_config",
        top_k_path=("inferenceConfig", "topK"),
        caches_messages=True,
        caches_only_text=True,
        has_result_status=True,
    ),
    _family(r"gpt-oss", reasoning="effort"),
    _family(r"cohere", top_k_path=("k",), takes_penalties=True, takes_seed=True),
    _family(r"mistral|mixtral", top_k_path=("top_k",), has_short_call_ids=True),
)


def _gemini(kind: str = "", **members: Any) -> _Family:
    """Return a row for numbered models. `kind` is a part of their names, such as `-pro`."""
    return _family(rf"(?:^|/)(?=[^/]*{kind}[^/]*$)gemini-(\d{{1,3}})(?:\.(\d{{1,3}}))?", **members)


_GEMINI_3: Final[dict[str, Any]] = {"reasoning": "level", "wants_call_signatures": True, "takes_media_in_results": True}
_GEMINI_2_5: Final[dict[str, Any]] = {
    "reasoning": "budget",
    "max_reasoning_tokens": 24_576,
    "takes_json_output_with_tools": False,
}
_GEMINI: Final = (
    _gemini("-pro", since=(3, 1), **_GEMINI_3, reasoning_levels=("low", "medium", "high")),
    _gemini("-pro", since=(3, 0), **_GEMINI_3, reasoning_levels=("low", "high")),
    _gemini(since=(3, 0), **_GEMINI_3),
    _gemini(
        "-pro",
        since=(2, 5),
        **{**_GEMINI_2_5, "max_reasoning_tokens": 32_768},
        min_reasoning_tokens=128,
        can_stop_reasoning=False,
    ),
    _gemini("-lite", since=(2, 5), **_GEMINI_2_5, min_reasoning_tokens=512),
    _gemini(since=(2, 5), **_GEMINI_2_5),
    _gemini(since=(0, 1), reasoning="none", takes_json_output_with_tools=False),
    # Aliases of the newest models.
    _family(r"(?:^|/)(?=[^/]*-pro[^/]*$)gemini-(?:[a-z-]+-)?latest", **_GEMINI_3, reasoning_levels=("low", "high")),
    _family(r"(?:^|/)(?=[^/]*$)gemini-(?:[a-z-]+-)?latest", **_GEMINI_3),
)
# The versions of GPT-5 up to 5.4 do not reason by default, and refuse stop sequences. `chat` is another model, which
# reasons from 5.1 on; `codex` and `pro` always reason.
_GPT_5: Final = r"(?:^|[/:._-])gpt-5(?![0-9])"
_GPT_5_VERSION: Final = r"(?:^|[/:._-])gpt-(5)\.(\d{1,2})(?!\d)"
_NO_STOP: Final[dict[str, Any]] = {"takes_sampling": False, "takes_stop": False}
_LOW_TO_HIGH: Final = ("low", "medium", "high")
_LOW_TO_XHIGH: Final = (*_LOW_TO_HIGH, "xhigh")
_O_SERIES_VENDORS: Final = frozenset({"openai", "azure"})
_OPENAI: Final = (
    _family(r"(?:^|[/:._-])(?:chat)?gpt-(?:3\.5|4)(?![0-9])", reasoning="none"),
    _family(_GPT_5 + r"-chat", reasoning="none"),
    _family(_GPT_5_VERSION + r"-codex-max", before=(5, 2), efforts=_LOW_TO_XHIGH, **_NO_STOP),
    _family(_GPT_5_VERSION + r".*-codex", before=(5, 2), efforts=_LOW_TO_HIGH, **_NO_STOP),
    _family(_GPT_5_VERSION + r".*-codex", before=(5, 5), efforts=_LOW_TO_XHIGH, **_NO_STOP),
    _family(_GPT_5_VERSION + r".*(?:-codex|-pro|-chat)", before=(5, 5), **_NO_STOP),
    _family(_GPT_5_VERSION + r".*(?:-codex|-pro|-chat)", takes_sampling=False),
    _family(
        _GPT_5_VERSION,
        since=(5, 1),
        before=(5, 2),
        takes_sampling_without_reasoning=True,
        efforts=("none", *_LOW_TO_HIGH),
        **_NO_STOP,
    ),
    _family(
        _GPT_5_VERSION,
        since=(5, 2),
        before=(5, 5),
        takes_sampling_without_reasoning=True,
        efforts=("none", *_LOW_TO_XHIGH),
        **_NO_STOP,
    ),
    _family(
        _GPT_5_VERSION,
        since=(5, 5),
        takes_sampling=False,
        takes_sampling_without_reasoning=True,
        reasons_by_default=True,
    ),
    _family(_GPT_5 + r"-(?:codex|pro)", efforts=_LOW_TO_HIGH, **_NO_STOP),
    _family(_GPT_5, efforts=("minimal", *_LOW_TO_HIGH), **_NO_STOP),
    # Azure's and fine-tuned models have names of their own, in which `o3` is a word.
    _family(r"(?<![a-z0-9])o(?:3|4-mini)(?![a-z0-9])", vendors=_O_SERIES_VENDORS, efforts=_LOW_TO_HIGH, **_NO_STOP),
    _family(r"^(?:openai/)?(?:o(?:3|4-mini)(?![a-z0-9])|codex-mini)", efforts=_LOW_TO_HIGH, **_NO_STOP),
    _family(r"(?<![a-z0-9])o1(?![a-z0-9])", vendors=_O_SERIES_VENDORS, takes_sampling=False),
    _family(r"^(?:openai/)?o1(?![a-z0-9])", takes_sampling=False),
)
_OPENAI_CHAT: Final = (
    _family("", vendors=frozenset({"deepseek", "moonshot", "zai", "zhipu", "minimax"}), wants_reasoning_back=True),
    _family("", vendors=frozenset({"mistral"}), has_short_call_ids=True),
    _family(r"(?:mis|mix|mag|minis|codes|devs)tral|pixtral", has_short_call_ids=True),
    *_OPENAI,
)
_FAMILIES: Final[dict[str, tuple[_Family, ...]]] = {
    "anthropic_messages": _CLAUDE,
    "bedrock": _BEDROCK,
    "gemini": _GEMINI,
    "openai_chat": _OPENAI_CHAT,
    "openai_responses": _OPENAI,
}
"""By dialect."""


@lru_cache(maxsize=4096)
def profile_of(dialects: tuple[str, ...], vendor: str, model: str) -> Profile:
    """Return what is known of a vendor's model that speaks these dialects, best first.

    `model` is the upstream's name of it: `claude-opus-4-1-20250805`, `us.anthropic.claude-sonnet-4-6`. Facts about the
    first dialect stand before those about the others.
    """
    name = model.lower()
    facts: dict[str, Any] = {}
    for dialect in dialects:
        found = next((each for each in _FAMILIES.get(dialect, ()) if each.holds(vendor, name)), None)
        if found is not None:
            facts = found.facts | facts
    if not _MARKING_DIALECTS.isdisjoint(dialects):
        facts["min_cached_tokens"] = next((least for pattern, least in _CACHE_MINIMUMS if pattern.search(name)), 0)
    return Profile(**facts)
