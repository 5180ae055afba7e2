"""Concurrency limits and queues with a real gateway: who waits, who is refused, and where one sees it."""

import asyncio
import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.process import GatewayProcess, chat_request, until
from tests.support.gateway.raw_http import Answer, RawConnection
from tests.support.gateway.websocket_client import PATIENCE_S, Frames, open_socket, rejected_handshake

SLOW_S = 0.4
CHAT = {"messages": [{"role": "user", "content": "hello"}]}
PATHS: dict[str, tuple[dict[str, Any], int]] = {
    "/v1/chat/completions": (CHAT, 503),
    "/v1/completions": ({"prompt": "hello"}, 503),
    "/v1/responses": ({"input": "hello"}, 503),
    "/v1/messages": (CHAT | {"max_tokens": 9}, 529),
    "/v1beta/models/busy:generateContent": ({"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}, 503),
    "/v1beta/models/busy:streamGenerateContent": ({"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}, 503),
    "/api/chat": (CHAT, 503),
}


def config(**members: Any) -> dict[str, Any]:
    slow = {"provider": "fake", "model": f"slow-{SLOW_S * 1000:.0f}"}
    return {
        "server": {"drain_s": 10},
        "defaults": {"retries": 0},
        "providers": {"fake": {"vendor": "fake"}},
        "deployments": {
            "one": slow | {"concurrency": {"max": 1}},
            "two": slow | {"concurrency": {"max": 1}},
            "long": {"provider": "fake", "model": "slow-2000", "concurrency": {"max": 1}},
            "held": {"provider": "fake", "model": "slow-60000", "concurrency": {"max": 1}, "queue": {"max": 0}},
            "waited-for": {"provider": "fake", "model": "slow-60000", "concurrency": {"max": 1}},
            "spare": {"provider": "fake", "model": "echo"},
        },
        "models": {
            "single": {"deployments": ["one"]},
            "lasting": {"deployments": ["long"]},
            "pair": {"deployments": ["one", "two"]},
            "busy": {"deployments": ["held"]},
            "rescued": {"deployments": ["held"], "fallbacks": ["spare"]},
            "degraded": {"deployments": ["held"], "degradation": [{"model": "lasting"}]},
            "impatient": {"deployments": ["waited-for"], "queue": {"max_wait_s": 0.2}},
            "patient": {"deployments": ["waited-for"]},
        },
        **members,
    }


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(config(), tmp_path_factory.mktemp("limited")) as running:
        yield running


@pytest.fixture
def exits() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def ask(gateway: GatewayProcess, model: str, **members: Any) -> httpx.Response:
    return httpx.post(f"{gateway.base_url}/chat/completions", json=chat_request(model=model, **members), timeout=30)


def limit_of(gateway: GatewayProcess, name: str) -> dict[str, Any]:
    limits = gateway.get("/api/v1/health").json()["services"]["limits"]
    found: dict[str, Any] = next(each for each in limits if each["name"] == name)
    return found


def occupy(gateway: GatewayProcess, model: str, deployment: str, exits: ExitStack) -> RawConnection:
    """Send a request that keeps its slot until the connection is closed."""
    link = exits.enter_context(RawConnection(gateway.port))
    link.send_post(json.dumps(chat_request(model=model)).encode())
    until(lambda: limit_of(gateway, deployment)["in_flight"] == 1, "the slot is taken")
    return link


@pytest.mark.parametrize("stream", [False, True])
def test_requests_wait_for_each_other_and_headers_records_and_metrics_say_so(
    limited: GatewayProcess, stream: bool
) -> None:
    with ThreadPoolExecutor(6) as pool:
        started_s = time.monotonic()
        sent: list[Future[httpx.Response]] = [pool.submit(ask, limited, "pair", stream=stream) for _ in range(6)]
        answers = [each.result() for each in sent]
    assert [each.status_code for each in answers] == [200] * 6
    assert time.monotonic() - started_s >= 3 * SLOW_S
    records = [limited.record(each.headers["x-request-id"]) for each in answers]
    queued = [each for each in records if each["attempts"][0].get("queued_ms")]
    assert queued  # four of them, unless the machine is so busy that some are sent later
    for record in queued:
        attempt = record["attempts"][0]
        assert 0 < attempt["queued_ms"] <= attempt["started_ms"]
        waited = f"queued {attempt['queued_ms']:.0f} ms for a slot of {attempt['deployment']}"
        assert record["decision"]["reason"].endswith(waited)
        assert "at its limit of 1" in record["decision"]["reason"]
        answer = next(each for each in answers if each.headers["x-request-id"] == record["request_id"])
        assert answer.headers["x-intellirouter-deployment"] == attempt["deployment"] == record["deployment"]
        if not stream:
            assert answer.headers["x-intellirouter-reason"] == record["decision"]["reason"]
    metrics = httpx.get(f"{limited.base_url.removesuffix('/v1')}/metrics").text
    assert 'intellirouter_deployment_concurrency_limit{deployment="one"} 1.0' in metrics
    assert 'intellirouter_deployment_in_flight{deployment="one"} 0.0' in metrics
    assert 'intellirouter_deployment_queue_wait_seconds_bucket{deployment="one",le="+Inf"}' in metrics


def test_no_more_requests_are_in_flight_than_the_limit_allows(limited: GatewayProcess) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: ask(limited, "single"), range(6)))
    spans = []
    for answer in answers:
        record = limited.record(answer.headers["x-request-id"])
        attempt = record["attempts"][0]
        began_ms = record["started_us"] / 1e3 + attempt["started_ms"]
        spans.append((began_ms, began_ms + attempt["ended_ms"] - attempt["started_ms"]))
    spans.sort()
    assert all(following >= ended - 5 for (_, ended), (following, _) in itertools.pairwise(spans))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", PATHS)
def test_refusal_has_the_form_of_each_dialect(
    limited: GatewayProcess, exits: ExitStack, path: str, stream: bool
) -> None:
    holder = occupy(limited, "busy", "held", exits)
    body, status = PATHS[path]
    with RawConnection(limited.port) as link:
        answer: Answer = link.post(json.dumps(body | {"model": "busy", "stream": stream}).encode(), path)
    assert (answer.status, answer.headers["retry-after"]) == (status, "1")
    assert b"held is at its limit of 1 requests." in answer.body
    record = limited.record(answer.headers["x-request-id"])
    assert [(each["deployment"], each["outcome"]) for each in record["attempts"]] == [("held", "overloaded")]
    assert (record["error_code"], record.get("deployment")) == ("overloaded", None)
    holder.close()
    until(lambda: limit_of(limited, "held")["in_flight"] == 0, "the slot is free again")


def test_fallback_answers_if_the_queue_is_full(limited: GatewayProcess, exits: ExitStack) -> None:
    holder = occupy(limited, "busy", "held", exits)
    answer = ask(limited, "rescued")
    assert answer.status_code == 200
    assert answer.headers["x-intellirouter-reason"] == "fallback on spare after held failed (overloaded)"
    holder.close()
    until(lambda: limit_of(limited, "held")["in_flight"] == 0, "the slot is free again")


def test_degradation_step_follows_if_there_is_no_slot_and_waits_for_its_own(
    limited: GatewayProcess, exits: ExitStack
) -> None:
    holder = occupy(limited, "busy", "held", exits)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: ask(limited, "degraded"), range(2)))
    assert [each.headers["x-intellirouter-degraded"] for each in answers] == ["model lasting"] * 2
    records = [limited.record(each.headers["x-request-id"]) for each in answers]
    steps = [[(each["deployment"], each["kind"], each["outcome"]) for each in record["attempts"]] for record in records]
    assert steps == [[("held", "first", "overloaded"), ("long", "degraded", "ok")]] * 2
    assert sum(bool(record["attempts"][1].get("queued_ms")) for record in records) == 1
    holder.close()
    until(lambda: limit_of(limited, "held")["in_flight"] == 0, "the slot is free again")


def test_client_that_leaves_the_queue_makes_room_and_patience_ends(limited: GatewayProcess, exits: ExitStack) -> None:
    holder = occupy(limited, "patient", "waited-for", exits)
    waiting = exits.enter_context(RawConnection(limited.port))
    waiting.send_post(json.dumps(chat_request(model="patient")).encode())
    until(lambda: limit_of(limited, "waited-for")["waiting"] == 1, "the request waits")
    assert limit_of(limited, "waited-for")["state"] == "full"
    waiting.close()
    until(lambda: limit_of(limited, "waited-for")["waiting"] == 0, "the request is gone")
    refused = ask(limited, "impatient")
    assert refused.status_code == 503
    assert "waited-for is at its limit of 1 requests and had no free slot within 0.2 s." in refused.text
    holder.close()
    until(lambda: limit_of(limited, "waited-for")["in_flight"] == 0, "the slot is free again")
    metrics = httpx.get(f"{limited.base_url.removesuffix('/v1')}/metrics").text
    assert 'queue_rejections_total{deployment="waited-for",reason="timeout"} 1.0' in metrics


async def test_frames_of_one_websocket_wait_as_well(limited: GatewayProcess) -> None:
    async with asyncio.timeout(PATIENCE_S), open_socket(limited, "/v1/ws", key=None) as link:
        frames = Frames(link)
        names, done = {"first", "second"}, set()
        for name in names:
            await frames.create(name, "single")
        while done != names:
            frame = await frames.next()
            assert frame["type"] != "error", frame
            if frame["type"] == "chat.completed":
                done.add(frame["id"])


def test_priority_header_lowers_but_never_raises(limited: GatewayProcess) -> None:
    raised = httpx.post(
        f"{limited.base_url}/chat/completions",
        json=chat_request(model="fake/echo"),
        headers={"x-intellirouter-priority": "interactive"},
    )
    assert raised.headers["x-intellirouter-dropped"] == 'x-intellirouter-priority;how=clamped;as="normal"'
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(ask, limited, "lasting")
        until(lambda: limit_of(limited, "long")["in_flight"] == 1, "the slot is taken")
        low = pool.submit(
            httpx.post,
            f"{limited.base_url}/chat/completions",
            json=chat_request(model="lasting"),
            headers={"x-intellirouter-priority": "batch"},
            timeout=30,
        )
        until(lambda: limit_of(limited, "long")["waiting"] == 1, "the request waits")
        normal = pool.submit(ask, limited, "lasting")
        queued = [
            limited.record(each.result().headers["x-request-id"])["attempts"][0].get("queued_ms", 0.0)
            for each in (first, normal, low)
        ]
    assert queued == sorted(queued)


def test_background_responses_wait_longer_than_others(limited: GatewayProcess) -> None:
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, limited, "lasting")
        until(lambda: limit_of(limited, "long")["in_flight"] == 1, "the slot is taken")
        background = httpx.post(
            f"{limited.base_url}/responses", json={"model": "lasting", "input": "hello", "background": True}
        )
        until(lambda: limit_of(limited, "long")["waiting"] == 1, "the response waits")
        others = [pool.submit(ask, limited, "lasting")]
        until(lambda: limit_of(limited, "long")["waiting"] == 2, "the request waits")
        records = [limited.record(each.result().headers["x-request-id"]) for each in (first, *others)]
    records.append(limited.record(background.headers["x-request-id"]))
    queued = [each["attempts"][0].get("queued_ms", 0.0) for each in records]
    assert queued == sorted(queued)
    assert [each["status"] for each in records] == [200, 200, 200]


async def test_session_has_its_slot_until_it_is_closed(vendor: MockVendor, tmp_path: Path) -> None:
    voice = {"provider": "mock", "model": "scarce-voice", "concurrency": {"max": 1}, "queue": {"max": 0}}
    mock = {"vendor": "openai-compatible", "base_url": vendor.base_url}
    settings = {
        "providers": {"mock": mock},
        "deployments": {"voice": voice},
        "models": {"talk": {"deployments": ["voice"]}},
    }
    path = "/v1/realtime?model=talk"
    with GatewayProcess(settings, tmp_path) as gateway:
        async with asyncio.timeout(PATIENCE_S):
            async with open_socket(gateway, path, key=None) as link:
                await link.recv()
                status, error, headers = await rejected_handshake(gateway, path, key=None)
                assert (status, error["code"], headers["retry-after"]) == (503, "overloaded", "1")
                assert limit_of(gateway, "voice")["in_flight"] == 1
            while limit_of(gateway, "voice")["in_flight"]:
                await asyncio.sleep(0.02)
            async with open_socket(gateway, path, key=None) as link:
                await link.recv()


def test_stopping_gateway_refuses_waiting_requests_and_completes_running_ones(tmp_path: Path, exits: ExitStack) -> None:
    deployments = {"one": {"provider": "fake", "model": "slow-1500", "concurrency": {"max": 1}}}
    models = {"single": {"deployments": ["one"]}}
    with GatewayProcess(config(deployments=deployments, models=models), tmp_path) as gateway:
        running = occupy(gateway, "single", "one", exits)
        waiting = exits.enter_context(RawConnection(gateway.port))
        waiting.send_post(json.dumps(chat_request(model="single")).encode())
        until(lambda: limit_of(gateway, "one")["waiting"] == 1, "the request waits")
        gateway.signal(signal.SIGTERM)
        refused = waiting.answer()
        assert (refused.status, refused.json()["error"]["code"]) == (503, "overloaded")
        assert b"The gateway is stopping." in refused.body
        assert running.answer().status == 200
        assert gateway.wait() == 0


def test_reload_raises_the_limit_for_those_who_wait(tmp_path: Path, exits: ExitStack) -> None:
    def settings(limit: int) -> dict[str, Any]:
        one = {"provider": "fake", "model": "slow-3000", "concurrency": {"max": limit}}
        return config(deployments={"one": one}, models={"single": {"deployments": ["one"]}})

    with GatewayProcess(settings(1), tmp_path) as gateway:
        occupy(gateway, "single", "one", exits)
        waiting = exits.enter_context(RawConnection(gateway.port))
        waiting.send_post(json.dumps(chat_request(model="single")).encode())
        until(lambda: limit_of(gateway, "one")["waiting"] == 1, "the request waits")
        gateway.configure(settings(2))
        gateway.signal(signal.SIGHUP)
        until(lambda: limit_of(gateway, "one")["in_flight"] == 2, "both requests are in flight", 2)
        assert waiting.answer().status == 200


def test_health_command_shows_limits(limited: GatewayProcess) -> None:
    url = limited.base_url.removesuffix("/v1")
    command = [sys.executable, "-m", "intellirouter", "health", "--verbose", "--url", url]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "limit one" in shown
    assert "0 in flight, limit 1, 0 waiting" in shown
