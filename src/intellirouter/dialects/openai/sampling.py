"""Sampling parameters that OpenAI's reasoning models refuse: left out and reported, for clients of other dialects.

They are tuning parameters, so the request is worth more than they are. OpenAI's own clients get its error instead,
because their requests are passed through.

Source: OpenAI, guides to reasoning models and to the GPT-5 models ("parameter compatibility").
"""

from typing import Any, Final

from intellirouter.core import LossReport, Profile

_WITHOUT_REASONING: Final[dict[str, Any]] = {"temperature": 1, "top_p": 1, "logprobs": False, "top_logprobs": 0}
_NEVER: Final[dict[str, Any]] = {"presence_penalty": 0, "frequency_penalty": 0, "logit_bias": {}}
"""The parameters, with the values that all models accept because they have no effect."""
_DETAIL: Final = "not supported by this model"


def remove_refused(body: dict[str, Any], profile: Profile, effort: str, losses: LossReport) -> None:
    """Remove the members that the model refuses. `effort` is the one that the request asks for; empty: its default."""
    if not profile.takes_sampling:
        is_sampled = False
        if profile.takes_sampling_without_reasoning:
            is_sampled = effort == "none" or (not effort and not profile.reasons_by_default)
        if not is_sampled:
            detail = "not allowed with reasoning" if profile.takes_sampling_without_reasoning else _DETAIL
            _remove(body, _WITHOUT_REASONING, detail, losses)
        _remove(body, _NEVER, _DETAIL, losses)
    if not profile.takes_stop and body.pop("stop", None):
        losses.add("stop", "dropped", _DETAIL)


def _remove(body: dict[str, Any], defaults: dict[str, Any], detail: str, losses: LossReport) -> None:
    for name, default in defaults.items():
        if name in body and body[name] != default:
            del body[name]
            losses.add(name, "dropped", detail)
