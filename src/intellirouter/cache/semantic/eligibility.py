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
Phrases = tuple[tuple[str, str], ...]
"""Texts in lower case, which are fast to search, and the patterns that decide. A pattern is compiled when its text is
found: to compile all of them takes 10 ms, which every start of the gateway would pay.
"""


def _words(text: str) -> Phrases:
    """Return the phrases of a list that is separated by commas. They must be whole words."""
    return tuple((phrase, rf"\b{re.escape(phrase)}\b") for phrase in text.split(","))


def _stems(text: str, after: str = "") -> Phrases:
    """Return the beginnings of words, and what must follow them."""
    return tuple((stem, rf"\b{stem}{after}") for stem in text.split())


def _anywhere(text: str) -> Phrases:
    """Return phrases in scripts without spaces."""
    return tuple((phrase, phrase) for phrase in text.split())


_TIME: Final[Phrases] = (
    *_words(
        "today,tonight,yesterday,tomorrow,right now,currently,latest,newest,up to date,up-to-date,so far,as of now,"
        "what time,what day,news,weather,forecast,heute,jetzt,gestern,aktuell,aktuelle,hoy,ahora,ayer,mañana,"
        "aujourd'hui,maintenant,demain,oggi,adesso,ieri,domani,hoje,agora,ontem,amanhã,vandaag,bugün,şimdi,dzisiaj,"
        "teraz,сегодня,сейчас,вчера,завтра"
    ),
    *_stems("this last next", r" (?:week|month|year|morning|evening|weekend|season|quarter)\b"),
    *_stems("current", r" (?:time|date|weather|price|temperature|score|president|version|status)\b"),
    *_anywhere("今日 今天 明日 明天 昨日 昨天 現在 现在 最新 오늘 지금 내일 어제 اليوم الآن"),
)
_VARIETY: Final[Phrases] = (
    *_words("random,randomly,another,again,regenerate,surprise me,something else,something new,something different"),
    *((word, rf"^\W*{word}\b") for word in ("continue", "go on", "more", "next", "one more", "retry")),
)
_TEXT_PROCESSING: Final[Phrases] = (
    *_stems(
        "translat rewrit rephras paraphras proofread classif categoris categoriz sentiment extract summar transcri"
        " moderat spell grammar tokeniz normaliz normalis anonymiz anonymis redact annotat convert echo verbatim"
        " transliterat übersetz traduc traduis tradui"
    ),
    *_stems(
        "correct repeat label parse edit improve polish",
        r" (?:the|my|all|any|each|every|what|whatever|this|it|them|user|back)\b",
    ),
    *_stems("user", r"(?:'s)? (?:text|input|message)"),
)


def _mentions(text: str, phrases: Phrases) -> bool:
    lowered = text.lower()
    return any(phrase in lowered and re.search(pattern, lowered) for phrase, pattern in phrases)


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
    if _mentions(text, _TIME):
        return "The answer depends on the time."
    if _mentions(text, _VARIETY):
        return "The request asks for a new answer."
    return None


def _reason_of_context(turn: LastTurn, limits: Limits) -> str | None:
    """Return a reason if the context is long, or makes the last turn a text that is to be processed.

    After `Translate what I write.`, a greeting is content.
    """
    if len(turn.instructions) + len(turn.answers) > limits.max_context_characters:
        return f"The context has more than {limits.max_context_characters} characters."
    if _mentions(turn.instructions, _TEXT_PROCESSING):
        return "The instructions may make the last turn a text that is to be processed."
    return None
