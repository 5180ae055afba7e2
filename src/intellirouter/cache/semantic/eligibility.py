"""Decides whether a request may be answered from the semantic cache at all. Pure.

Only the text of the last user turn may differ from a stored request. Everything before it, the system prompt and all
parameters must be identical: they belong to the key of the partition.
"""

import re
from dataclasses import dataclass
from typing import Final

from intellirouter.dialects import LastTurn


@dataclass(frozen=True)
class Limits:
    """When the semantic cache may be used."""

    max_temperature: float = 0.5
    """A request that sets a higher temperature asks for varied answers. One that sets none does not."""
    min_words: int = 3
    """Shorter texts, such as `yes` or `go on`, mean too little by themselves."""
    max_characters: int = 1_000
    """Length of the last user turn. In longer texts small differences are easy to miss, and comparing takes longer."""
    max_context_characters: int = 20_000
    """Length of everything before the last user turn."""


DEFAULT_LIMITS: Final = Limits()
_EXTERNAL_MEMBERS: Final = frozenset(
    {
        *("web_search_options", "previous_response_id", "conversation", "prediction", "mcp_servers", "container"),
        *("functions", "function_call", "audio", "context", "context_management", "prompt", "cachedContent"),
    }
)
"""Members with which the answer depends on more than the conversation."""
_TIME: Final = re.compile(
    r"\b(?:today|tonight|yesterday|tomorrow|right now|currently|latest|newest|up[- ]to[- ]date|so far|as of now"
    r"|(?:this|last|next) (?:week|month|year|morning|evening|weekend|season|quarter)|what time|what day"
    r"|current (?:time|date|weather|price|temperature|score|president|version|status)|news|weather|forecast"
    r"|heute|jetzt|gestern|aktuell\w*|hoy|ahora|ayer|mañana|aujourd'hui|maintenant|demain|oggi|adesso|ieri|domani|hoje"
    r"|agora|ontem|amanhã|vandaag|bugün|şimdi|dzisiaj|teraz|сегодня|сейчас|вчера|завтра)\b"
    r"|今日|今天|明日|明天|昨日|昨天|現在|现在|最新|오늘|지금|내일|어제|اليوم|الآن",
    re.IGNORECASE,
)
_VARIETY: Final = re.compile(
    r"\b(?:random(?:ly)?|another|again|regenerate|surprise me|something (?:else|new|different)|a different one)\b"
    r"|^\W*(?:continue|go on|more|next|one more|retry|keep going)\b",
    re.IGNORECASE,
)
_TEXT_PROCESSING: Final = re.compile(
    r"\b(?:translat|rewrit|rephras|paraphras|proofread|classif|categori[sz]|sentiment|extract|summar|transcri|moderat"
    r"|spell|grammar|tokeni[sz]|normali[sz]|anonymi[sz]|redact|annotat|convert|echo|verbatim|transliterat"
    r"|übersetz|traduc|traduis|tradui"
    r"|(?:correct|repeat|label|parse|edit|improve|polish)"
    r" (?:the|my|all|any|each|every|what|whatever|this|it|them|user|back)\b"
    r"|user(?:'s)? (?:text|input|message))",
    re.IGNORECASE,
)


def ineligible_reason(turn: LastTurn | None, limits: Limits = DEFAULT_LIMITS) -> str | None:
    """Return the reason why the semantic cache must not be used for a request; None if it may be used.

    `turn`: the result of `dialects.last_turn_of`.
    """
    if turn is None:
        return "The last turn is not the user's, or the conversation contains media, tool calls or other parts."
    return (
        _reason_of_parameters(turn)
        or _reason_of_sampling(turn, limits)
        or _reason_of_text(turn.text, limits)
        or _reason_of_context(turn, limits)
    )


def _reason_of_parameters(turn: LastTurn) -> str | None:
    conversation = turn.rest
    if conversation.tools or conversation.tool_choice is not None:
        return "The request has tools."
    if any(kind != "text" for kind in conversation.modalities):
        return "The answer may contain media."
    if not _EXTERNAL_MEMBERS.isdisjoint(conversation.extras):
        return "The answer depends on more than the conversation."
    return None


def _reason_of_sampling(turn: LastTurn, limits: Limits) -> str | None:
    sampling = turn.rest.sampling
    if sampling.temperature is not None and sampling.temperature > limits.max_temperature:
        return f"The temperature is above {limits.max_temperature:g}."
    if sampling.n != 1:
        return "The request asks for several answers."
    if sampling.seed is not None:
        return "The request sets a seed, so it asks for a reproducible answer."
    if sampling.logprobs or sampling.top_logprobs:
        return "The request asks for log probabilities."
    return None


def _reason_of_text(text: str, limits: Limits) -> str | None:
    if len(text) > limits.max_characters:
        return f"The last turn has more than {limits.max_characters} characters."
    if text.isascii() and len(text.split()) < limits.min_words:
        return f"The last turn has fewer than {limits.min_words} words."
    if _TIME.search(text):
        return "The answer depends on the time."
    if _VARIETY.search(text):
        return "The request asks for a new answer."
    return None


def _reason_of_context(turn: LastTurn, limits: Limits) -> str | None:
    """Return a reason if the context is long, or makes the last turn a text that is to be processed.

    After `Translate what I write.`, a greeting is content.
    """
    if len(turn.instructions) + len(turn.answers) > limits.max_context_characters:
        return f"The context has more than {limits.max_context_characters} characters."
    if _TEXT_PROCESSING.search(turn.instructions):
        return "The instructions may make the last turn a text that is to be processed."
    return None
