"""The fake models: names that select a behavior."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from intellirouter.fake.faults import ModelFault

FAKE_MODELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "echo": "Repeats the last user message after its own name.",
        "lorem": "Returns 64 tokens of filler text; `lorem-N` returns exactly N tokens.",
        "tools": "Calls every tool of the request, or `get_weather` if the request has no tools.",
        "think": "Returns reasoning before the answer.",
        "refuse": "Returns a refusal instead of an answer; this is not an error.",
        "embed": "Returns embeddings: texts that share words are close to each other.",
        "error-400": "Rejects the request: 400 `invalid_request_error`.",
        "error-401": "Rejects the credential: 401 `invalid_api_key`.",
        "error-429": "Rate limited: 429 with `Retry-After: 1`.",
        "error-500": "Fails: 500 `server_error`; `error-STATUS` returns any status from 400 to 599.",
        "flaky": "Fails every second call with 500; the first call succeeds.",
        "slow": "Answers after 2 seconds; `slow-MS` answers after MS milliseconds.",
        "hang": "Accepts the request and never answers.",
        "drop": "Closes the connection in the middle of the answer.",
        "malformed": "Answers with invalid JSON.",
    }
)
"""Names of the fake models with their descriptions."""

LOREM_TOKENS: Final = 64
SLOW_S: Final = 2.0
_NUMBERED: Final = re.compile(r"(lorem|gen|slow|error)-(\d{1,6})")


class ModelBehavior(Struct, frozen=True, kw_only=True):
    """The behavior that a model name selects. By default, a model echoes the prompt."""

    fault: ModelFault | None = None
    is_flaky: bool = False
    text_tokens: int | None = None
    """Length of the filler text that replaces the echo."""
    forces_tools: bool = False
    has_reasoning: bool = False
    refuses: bool = False
    is_embedding_only: bool = False


ECHO: Final = ModelBehavior()
"""The behavior of every name that is not a fake model."""
FLAKY_FAULT: Final = ModelFault("error", {"status": 500})
_NAMED: Final = {
    "echo": ECHO,
    "lorem": ModelBehavior(text_tokens=LOREM_TOKENS),
    "tools": ModelBehavior(forces_tools=True),
    "think": ModelBehavior(has_reasoning=True),
    "refuse": ModelBehavior(refuses=True),
    "embed": ModelBehavior(is_embedding_only=True),
    "flaky": ModelBehavior(is_flaky=True),
    "slow": ModelBehavior(fault=ModelFault("slow", {"delay_s": SLOW_S})),
    "hang": ModelBehavior(fault=ModelFault("hang", {"after_events": -1})),
    "drop": ModelBehavior(fault=ModelFault("drop", {"at": "middle"})),
    "malformed": ModelBehavior(fault=ModelFault("malformed", {"how": "json"})),
}
_ERRORS: Final = {
    400: ModelFault(
        "error",
        {"status": 400, "type": "invalid_request_error", "message": "The model error-400 refuses every request."},
    ),
    401: ModelFault("error", {"status": 401, "type": "invalid_request_error", "code": "invalid_api_key"}),
    429: ModelFault("rate_limit", {"retry_after_s": 1.0, "code": "rate_limit_exceeded"}),
}


def is_fake_model(model: str) -> bool:
    """Return whether `model` (with or without `fake/`) is the name of a fake model. All others are not found."""
    return find_behavior(model) is not None


def find_behavior(model: str) -> ModelBehavior | None:
    """Return the behavior that `model` (with or without `fake/`) selects, or None if it is not a fake model."""
    name = model.removeprefix("fake/")
    if name in _NAMED:
        return _NAMED[name]
    numbered = _NUMBERED.fullmatch(name)
    if numbered is None:
        return None
    number = int(numbered[2])
    match numbered[1]:
        case "slow":
            return ModelBehavior(fault=ModelFault("slow", {"delay_s": number / 1000}))
        case "error" if 400 <= number <= 599:
            return ModelBehavior(fault=_ERRORS.get(number) or ModelFault("error", {"status": number}))
        case "error":
            return None
        case _:
            return ModelBehavior(text_tokens=number)
