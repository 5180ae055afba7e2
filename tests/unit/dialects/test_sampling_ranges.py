"""Options that Ollama accepts and other vendors do not are moved into the range of each upstream, and reported."""

import json
from typing import Any

import pytest

from intellirouter.core import RequestContext
from tests.support.dialects.pairs import BY_UPSTREAM, call_of, deployment, send
from tests.support.dialects.standard import ENDPOINTS

UPSTREAMS = {
    **BY_UPSTREAM,
    "openai_chat": deployment("openai_chat", "openai", "gpt-4.1", "https://api.openai.com/v1"),
    "openai_responses": deployment("openai_responses", "openai", "gpt-4.1", "https://api.openai.com/v1"),
}
MAX_TEMPERATURE = {"openai_chat": 2, "openai_responses": 2, "gemini": 2, "anthropic_messages": 1, "bedrock": 1}
NAMES = {
    "temperature": ("temperature",),
    "top_p": ("top_p", "topP"),
    "presence_penalty": ("presence_penalty", "presencePenalty"),
    "frequency_penalty": ("frequency_penalty", "frequencyPenalty"),
    "min_p": ("min_p",),
    "repeat_penalty": ("repetition_penalty",),
    "top_k": ("top_k", "topK"),
}
RANGES = {
    "top_p": (0, 1),
    "min_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "repeat_penalty": (0, 2),
}


def sent_with(upstream: str, options: dict[str, Any], endpoint: str = "ollama_chat") -> tuple[Any, list[str]]:
    prompt = {"prompt": "hi"} if endpoint == "ollama_generate" else {"messages": [{"role": "user", "content": "hi"}]}
    body = json.dumps({"model": "m", "stream": False, "options": options, **prompt}).encode()
    call = ENDPOINTS[endpoint].decode_request(body, RequestContext())
    request = ENDPOINTS[endpoint].route(call, UPSTREAMS[upstream]).encode_request(call, UPSTREAMS[upstream])
    fields = [loss.field for loss in request.losses]
    return json.loads(request.body), [each for each in fields if each != "options.num_predict"]  # Claude needs a limit


def value_of(document: Any, names: tuple[str, ...]) -> Any:
    """Return the member with one of these names, wherever it is in a request; None if there is none."""
    if not isinstance(document, dict):
        return None
    for name in names:
        if name in document:
            return document[name]
    return next((found for each in document.values() if (found := value_of(each, names)) is not None), None)


@pytest.mark.parametrize("endpoint", ["ollama_chat", "ollama_generate"])
@pytest.mark.parametrize("upstream", list(MAX_TEMPERATURE))
@pytest.mark.parametrize(("temperature", "is_high"), [(9, True), (-1, False)])
def test_temperature_is_moved_into_the_range(upstream: str, temperature: float, is_high: bool, endpoint: str) -> None:
    sent, losses = sent_with(upstream, {"temperature": temperature}, endpoint)
    assert value_of(sent, NAMES["temperature"]) == (MAX_TEMPERATURE[upstream] if is_high else 0)
    assert losses == ["options.temperature"]


@pytest.mark.parametrize("upstream", list(MAX_TEMPERATURE))
@pytest.mark.parametrize("option", list(RANGES))
@pytest.mark.parametrize("is_high", [True, False])
def test_other_options_are_moved_into_their_ranges(upstream: str, option: str, is_high: bool) -> None:
    sent, losses = sent_with(upstream, {option: 7 if is_high else -7})
    value = value_of(sent, NAMES[option])
    assert value is None or value == RANGES[option][is_high]
    assert losses == ["options." + option]


@pytest.mark.parametrize("upstream", list(MAX_TEMPERATURE))
def test_options_that_turn_something_off_are_left_out(upstream: str) -> None:
    sent, _ = sent_with(upstream, {"top_k": 0, "num_predict": 0})
    assert value_of(sent, NAMES["top_k"]) is None
    assert value_of(sent, ("max_tokens", "max_completion_tokens", "maxOutputTokens", "max_output_tokens")) != 0


def test_ollama_gets_its_options_as_they_are() -> None:
    options = {"temperature": 9, "top_p": 3, "top_k": 0, "repeat_penalty": 7, "num_predict": -2}
    sent, losses = sent_with("ollama", options)
    assert (sent["options"], losses) == (options, [])


@pytest.mark.parametrize("upstream", list(MAX_TEMPERATURE))
def test_values_in_the_range_are_not_reported(upstream: str) -> None:
    sent, losses = sent_with(upstream, {"temperature": 0.5})
    assert (value_of(sent, NAMES["temperature"]), losses) == (0.5, [])


@pytest.mark.parametrize("seed", [2**31, 2**63 - 1, -(2**31), 5, -1])
def test_seed_of_64_bits_is_accepted_by_every_upstream(seed: int) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "seed": seed}
    for upstream in BY_UPSTREAM:
        call = call_of("openai_chat", {"body": body})
        sent = send(call, "openai_chat", BY_UPSTREAM[upstream])
        assert sent.request is not None
        if upstream == "gemini":
            written = json.loads(sent.request.body)["generationConfig"]["seed"]
            assert abs(written) < 2**31
            assert (written == seed) is (abs(seed) < 2**31)
            assert ("seed" in sent.losses) is (written != seed)
