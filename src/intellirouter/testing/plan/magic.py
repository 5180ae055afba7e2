"""Model names with a meaning of their own."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct

FAKE_MODELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "echo": "Repeats the last user message after its own name.",
        "lorem": "64 tokens of filler text; `lorem-N` gives exactly N.",
        "tools": "Calls every tool of the request, or `get_weather` when it has none.",
        "think": "Thinks before it answers.",
        "refuse": "Refuses in words of its own: a refusal, not an error.",
        "embed": "Embeddings: texts that share words are near each other.",
        "error-400": "Refuses the request: 400 `invalid_request_error`.",
        "error-401": "Refuses the credential: 401 `invalid_api_key`.",
        "error-429": "Rate limited: 429 with `Retry-After: 1`.",
        "error-500": "Fails: 500 `server_error`; `error-STATUS` gives any status from 400 to 599.",
        "flaky": "Fails every second call with 500; the first one succeeds.",
        "slow": "Answers after 2 seconds; `slow-MS` after MS milliseconds.",
        "hang": "Accepts the request and never answers.",
        "drop": "Cuts the connection in the middle of the answer.",
        "malformed": "Answers with JSON that is none.",
    }
)
"""Names of the magic models, each with one line for people."""

LOREM_TOKENS: Final = 64
SLOW_S: Final = 2.0
_NUMBERED: Final = re.compile(r"(lorem|gen|slow|error)-(\d{1,6})")


class Magic(Struct, frozen=True, kw_only=True):
    """What a model name asks for. Without a fault and with no text of its own, a model echoes."""

    fault: str | None = None
    """A fault in the notation of `x-mock-fault`."""
    is_flaky: bool = False
    text_tokens: int | None = None
    forces_tools: bool = False
    thinks: bool = False
    refuses: bool = False
    is_embedding_only: bool = False


PLAIN: Final = Magic()
"""A name without a meaning of its own: echoes."""
_NAMED: Final = {
    "echo": PLAIN,
    "lorem": Magic(text_tokens=LOREM_TOKENS),
    "tools": Magic(forces_tools=True),
    "think": Magic(thinks=True),
    "refuse": Magic(refuses=True),
    "embed": Magic(is_embedding_only=True),
    "flaky": Magic(is_flaky=True),
    "slow": Magic(fault=f"slow;delay_s={SLOW_S}"),
    "hang": Magic(fault="hang"),
    "drop": Magic(fault="drop;at=middle"),
    "malformed": Magic(fault="malformed"),
}
FLAKY_FAULT: Final = "error;status=500"
_ERRORS: Final = {
    400: "error;status=400;type=invalid_request_error;message=The model error-400 refuses every request.",
    401: "error;status=401;type=invalid_request_error;code=invalid_api_key",
    429: "rate_limit;retry_after_s=1",
}


def magic_of(model: str) -> Magic | None:
    """Return what `model` (with or without `fake/`) asks for, or None when the name has no meaning of its own."""
    name = model.removeprefix("fake/")
    if name in _NAMED:
        return _NAMED[name]
    numbered = _NUMBERED.fullmatch(name)
    if numbered is None:
        return None
    number = int(numbered[2])
    match numbered[1]:
        case "slow":
            return Magic(fault=f"slow;delay_s={number / 1000}")
        case "error" if 400 <= number <= 599:
            return Magic(fault=_ERRORS.get(number, f"error;status={number}"))
        case "error":
            return None
        case _:
            return Magic(text_tokens=number)
