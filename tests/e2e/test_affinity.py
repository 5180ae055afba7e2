"""Sessions stay at one deployment and one credential: streams and complete answers, reloads, records, metrics."""

import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.process import GatewayProcess, chat_request, until

NAMES = ("north", "east", "south", "west")
LONG = "Read this carefully, and answer with one word. " * 120
"""Longer than 1024 tokens."""
PRICE = {"input_per_1m_usd": 3, "output_per_1m_usd": 15, "cache_read_per_1m_usd": 0.3}


def config(vendor: MockVendor, keys: list[Path]) -> dict[str, Any]:
    mock = {"vendor": "openai-compatible", "base_url": vendor.base_url}
    pool = {"strategy": "round_robin", "deployments": list(NAMES), "retries": 0}
    return {
        "providers": {
            "mock": mock,
            "rotating": {**mock, "credentials": [f"file:{path}" for path in keys], "models": "*"},
        },
        "deployments": {name: {"provider": "mock", "model": f"up-{name}", "price": PRICE} for name in NAMES},
        "models": {
            "assistant": pool,
            "unsticky": {**pool, "affinity": "off"},
            "named-only": {**pool, "affinity": "session"},
        },
    }


@pytest.fixture(scope="module")
def sticky(vendor: MockVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    directory = tmp_path_factory.mktemp("affinity")
    keys = []
    for number in range(3):
        keys.append(directory / f"key-{number}")
        keys[-1].write_text(f"sk-affinity-{number}-0123456789")
    with GatewayProcess(config(vendor, keys), directory) as running:
        yield running


def turn(number: int, text: str = LONG, **members: Any) -> dict[str, Any]:
    """Return the request of one turn of a conversation, which contains all earlier ones."""
    messages: list[dict[str, str]] = [{"role": "system", "content": LONG}, {"role": "user", "content": text}]
    for each in range(number):
        messages += [{"role": "assistant", "content": f"word {each}"}, {"role": "user", "content": "And then?"}]
    return {**chat_request(model="assistant"), "messages": messages, "stream": bool(number % 2), **members}


def ask(gateway: GatewayProcess, body: dict[str, Any], **headers: str) -> httpx.Response:
    path = f"{gateway.base_url}/chat/completions"
    answer = httpx.post(path, json=body, headers={name.replace("_", "-"): each for name, each in headers.items()})
    assert answer.status_code == 200, answer.text
    return answer


def deployment(answer: httpx.Response) -> str:
    return answer.headers["x-intellirouter-deployment"]


def test_conversations_stay_and_the_load_is_spread(sticky: GatewayProcess) -> None:
    stayed, placed = 0, Counter[str]()
    for conversation in range(24):
        served = [deployment(ask(sticky, turn(number, f"Question {conversation}"))) for number in range(4)]
        stayed += sum(each == served[0] for each in served)
        placed[served[0]] += 1
    assert stayed >= 0.95 * 24 * 4
    assert set(placed) == set(NAMES)
    assert max(placed.values()) <= 14, placed


def test_reason_record_and_metrics_tell_it(sticky: GatewayProcess) -> None:
    first, second = (ask(sticky, turn(number, "Tell me.")) for number in range(2))
    assert first.headers["x-intellirouter-reason"].startswith("place 1 by the hash of the prompt")
    home = deployment(first)
    reason = second.headers["x-intellirouter-reason"]
    assert re.match(f"prompt affinity: served by {home} [0-9]+ s ago; 3 more to try", reason), reason
    records = [sticky.record(each.headers["x-request-id"]) for each in (first, second)]
    assert records[0]["affinity"] == {"kind": "prompt", "outcome": "new"}
    assert records[1]["affinity"].items() >= {"kind": "prompt", "outcome": "hit", "deployment": home}.items()
    metrics = httpx.get(f"{sticky.url}/metrics").text
    assert f'intellirouter_affinity_total{{deployment="{home}",model="assistant",outcome="hit"}}' in metrics
    assert "intellirouter_affinity_sessions " in metrics


@pytest.mark.parametrize(
    ("model", "body", "headers", "count"),
    [
        ("assistant", {}, {"x_intellirouter_session": "s-1"}, 1),
        ("assistant", {"prompt_cache_key": "s-2"}, {}, 1),
        ("named-only", {"metadata": {"session_id": "s-3"}}, {}, 1),
        ("assistant", {}, {}, 4),
        ("unsticky", {"prompt_cache_key": "s-4"}, {"x_intellirouter_session": "s-4"}, 4),
    ],
)
def test_named_sessions_stay_even_with_short_prompts(
    sticky: GatewayProcess, model: str, body: dict[str, Any], headers: dict[str, str], count: int
) -> None:
    asked = [ask(sticky, chat_request(f"question {n}", model=model, **body), **headers) for n in range(4)]
    assert len({deployment(each) for each in asked}) == count


def test_long_prompts_without_a_named_session_take_turns_if_only_sessions_count(sticky: GatewayProcess) -> None:
    assert {deployment(ask(sticky, turn(0, model="named-only"))) for _ in range(4)} == set(NAMES)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", {"input": "hi"}),
        ("/v1/messages", {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}),
        ("/v1beta/models/assistant:generateContent", {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
        ("/api/chat", {"messages": [{"role": "user", "content": "hi"}], "stream": False}),
        ("/v1/completions", {"prompt": "hi"}),
    ],
)
def test_every_dialect_has_sessions(sticky: GatewayProcess, path: str, body: dict[str, Any]) -> None:
    headers = {"x-intellirouter-session": path}
    served = set()
    for _ in range(4):
        answer = httpx.post(f"{sticky.url}{path}", json={"model": "assistant", **body}, headers=headers)
        assert answer.status_code == 200, answer.text
        served.add(deployment(answer))
    assert len(served) == 1


def test_failure_breaks_the_affinity_and_the_session_stays_where_it_went(
    sticky: GatewayProcess, vendor: MockVendor
) -> None:
    home = deployment(ask(sticky, turn(0, "Broken.")))
    vendor.fault("error", match={"model": f"up-{home}"}, status=500, times=1)
    answer = ask(sticky, turn(1, "Broken."))
    record = sticky.record(answer.headers["x-request-id"])
    assert deployment(answer) != home
    assert record["affinity"]["outcome"] == "broken"
    assert record["affinity"]["cause"] == "upstream_unavailable"
    after = ask(sticky, turn(2, "Broken."))
    assert deployment(after) == deployment(answer)


def test_explain_shows_where_the_session_is(sticky: GatewayProcess) -> None:
    home = deployment(ask(sticky, turn(0, "Explain it.")))
    decision = httpx.post(f"{sticky.url}/api/v1/explain", json=turn(1, "Explain it.")).json()["decision"]
    assert decision["order"][0] == home
    assert f"prompt affinity: served by {home} " in decision["reason"]
    named = ask(sticky, chat_request(model="assistant"), x_intellirouter_session="explained")
    headers = {"x-intellirouter-session": "explained"}
    body = chat_request("other", model="assistant")
    decision = httpx.post(f"{sticky.url}/api/v1/explain", json=body, headers=headers).json()["decision"]
    assert decision["order"][0] == deployment(named)
    refused = httpx.post(f"{sticky.url}/api/v1/explain", json=body, headers={"x-intellirouter-session": ""})
    assert refused.status_code == 400


def test_sessions_survive_a_reload(sticky: GatewayProcess) -> None:
    homes = {text: deployment(ask(sticky, turn(0, text))) for text in ("one", "two", "three", "four", "five")}
    sticky.signal(signal.SIGHUP)
    until(lambda: "The configuration was reloaded" in sticky.stderr(), "the gateway has reloaded")
    answers = {text: ask(sticky, turn(1, text)) for text in homes}
    assert {text: deployment(each) for text, each in answers.items()} == homes
    assert all("served by" in each.headers["x-intellirouter-reason"] for each in answers.values())


def credentials(vendor: MockVendor, model: str) -> list[str]:
    return [dict(each["headers"])["authorization"] for each in vendor.requests() if each["model"] == model]


def test_session_keeps_its_credential_while_that_is_usable(sticky: GatewayProcess, vendor: MockVendor) -> None:
    for number in range(6):
        ask(sticky, turn(number, model="rotating/sessions"))
    used = credentials(vendor, "sessions")
    assert len(used) == 6
    assert len(set(used)) == 1
    vendor.fault("error", match={"model": "sessions"}, status=401, times=1)
    answer = ask(sticky, turn(6, model="rotating/sessions"))
    assert answer.headers["x-intellirouter-attempts"] == "2"
    record = sticky.record(answer.headers["x-request-id"])
    assert (record["affinity"]["outcome"], record["affinity"]["cause"]) == ("broken", "its credential was not usable")
    assert [len(each["credential"]) for each in record["attempts"]] == [8, 8]
    ask(sticky, turn(7, model="rotating/sessions"))
    used = credentials(vendor, "sessions")
    assert used[-1] == used[-2] != used[0]


def test_requests_without_a_session_still_rotate(sticky: GatewayProcess, vendor: MockVendor) -> None:
    for number in range(6):
        ask(sticky, chat_request(f"{number}", model="rotating/plain"))
    assert len(set(credentials(vendor, "plain"))) > 1
