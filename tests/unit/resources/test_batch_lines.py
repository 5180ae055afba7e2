"""A line of a batch: runs like any request, is retried after transient errors, and results in one line of JSON."""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from intellirouter.catalog import HealthBoard, PriceList
from intellirouter.config import compile_config, load_config
from intellirouter.core import SYSTEM_CLOCK, Current, OffLoop
from intellirouter.pipeline import Entry, Exchange, Generation, Hedging, InFlight, Stages
from intellirouter.providers import VENDORS
from intellirouter.resources.batches import lines as batch_lines
from intellirouter.resources.batches.lines import LineRequest, LineResult, LineRunner, unexecuted_line
from intellirouter.roles.generation import Generations, Registries, SharedParts
from intellirouter.routing import STRATEGIES
from intellirouter.testing import FakeProvider
from tests.support.dialects.standard import STANDARD_DIALECTS
from tests.support.pipeline import Journal, NoCredentials, NoSockets

CHAT = "/v1/chat/completions"
CONFIG = """
auth: {required: %s}
defaults: {retries: 0, backoff: {base_s: 0.001, max_s: 0.002}}
providers: {fake: {vendor: fake}}
keys: [{key: "sha256:%s", name: ci}]
"""


class World:
    def __init__(self, directory: Path, *, is_required: bool = False) -> None:
        file = directory / "config.yaml"
        file.write_text(CONFIG % (str(is_required).lower(), "0" * 64))
        config = load_config(file, environ={}).config
        strategies = [row.name for row in STRATEGIES]
        runtime = compile_config(config, vendors=VENDORS, strategies=strategies, environ={})
        self.journal = Journal()
        rng = random.Random(1)
        shared = SharedParts(
            upstream=FakeProvider(),
            sockets=NoSockets(),
            credentials=NoCredentials(),
            journal=self.journal,
            board=HealthBoard(),
            emit=lambda _record, _model: None,
            clock=SYSTEM_CLOCK,
            off_loop=OffLoop(),
            rng=rng,
            hedging=Hedging(),
        )
        current: Current[Generation] = Current()
        registries = Registries(
            vendors=VENDORS,
            dialects=STANDARD_DIALECTS,
            strategies={row.name: row for row in STRATEGIES},
            stages=Stages(),
        )
        current.swap(Generations(runtime, shared).build(runtime, PriceList.load(), registries))
        self.runner = LineRunner(current, Entry(current, InFlight()), SYSTEM_CLOCK, rng)
        self.in_progress: set[Exchange] = set()

    async def run(self, model: str, *, left_s: float = 60.0, key_name: str | None = None, **body: Any) -> LineResult:
        messages = [{"role": "user", "content": "hello"}]
        line = LineRequest(
            endpoint=CHAT,
            tenant="default",
            key_name=key_name,
            custom_id='id "1"',
            body=json.dumps({"model": model, "messages": messages, **body}).encode(),
            deadline_us=SYSTEM_CLOCK.epoch_us() + round(left_s * 1e6),
        )
        return await asyncio.wait_for(self.runner.run(line, self.in_progress), 20)


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return World(tmp_path)


def decode(result: LineResult) -> dict[str, Any]:
    assert result.line.endswith(b"\n")
    assert result.line.count(b"\n") == 1
    decoded: dict[str, Any] = json.loads(result.line)
    return decoded


async def test_result_is_one_line_with_the_answer(world: World) -> None:
    result = await world.run("fake/echo")
    written = decode(result)
    assert result.is_success
    assert result.usage is not None
    assert written["custom_id"] == 'id "1"'
    assert written["response"]["body"]["choices"][0]["message"]["content"] == "echo: hello"
    assert [record.request_id for record in world.journal.records] == [written["response"]["request_id"]]
    assert world.in_progress == set()


@pytest.mark.parametrize("model", ["fake/error-429", "fake/error-503"])
async def test_transient_error_is_retried_up_to_a_limit(
    world: World, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_lines, "_MAX_WAIT_S", 0.002)
    result = await world.run(model)
    assert not result.is_success
    assert decode(result)["response"]["status_code"] == int(model[-3:])
    assert len(world.journal.records) == batch_lines._MAX_TRIES


async def test_line_succeeds_after_a_retry(world: World) -> None:
    for _ in range(2):
        assert (await world.run("fake/flaky")).is_success
    assert len(world.journal.records) == 3


async def test_no_retry_after_the_deadline(world: World) -> None:
    assert not (await world.run("fake/error-429", left_s=0.5)).is_success  # Retry-After is one second
    assert len(world.journal.records) == 1


@pytest.mark.parametrize(
    ("model", "body", "status"),
    [
        ("fake/error-400", {}, 400),
        ("fake/error-401", {}, 502),
        ("unknown", {}, 404),
        ("fake/echo", {"stream": True}, 400),
        ("fake/echo", {"stream": [1]}, 400),
        ("fake/echo", {"background": True}, 400),
        ("fake/echo", {"messages": 1}, 400),
    ],
)
async def test_permanent_error_is_not_retried(world: World, model: str, body: dict[str, Any], status: int) -> None:
    result = await world.run(model, **body)
    assert not result.is_success
    assert decode(result)["response"]["status_code"] == status
    assert [record.status for record in world.journal.records] == [status]


async def test_stream_false_and_background_null_are_accepted(world: World) -> None:
    assert (await world.run("fake/echo", stream=False, background=None)).is_success


async def test_line_of_an_unknown_key_is_rejected(tmp_path: Path) -> None:
    world = World(tmp_path, is_required=True)
    assert (await world.run("fake/echo", key_name="ci")).is_success
    for unknown in (None, "other"):
        result = await world.run("fake/echo", key_name=unknown)
        assert decode(result)["response"]["status_code"] == 401
        assert world.journal.records[-1].tenant == "default"
        assert world.journal.records[-1].key_name == unknown


@pytest.mark.parametrize(
    ("body", "written"),
    [
        (b'{\r\n  "a": 1.50,\n "b": "x\\ny"\n}\n', '{    "a": 1.50,  "b": "x\\ny" }'),
        (b'{"a":1e999}', '{"a":1e999}'),
        (b"<html>\n", '"<html>\\n"'),
        (b"", '""'),
        (b'{"a":"\xff"}', '"{\\"a\\":\\"\ufffd\\"}"'),
    ],
)
def test_any_body_is_encoded_on_one_line(body: bytes, written: str) -> None:
    body_on_one_line = batch_lines._one_line(body)
    line = batch_lines._encode_line(batch_lines.ResultLine("batch_req_1", "a", {"body": body_on_one_line}, None))
    assert f'"response":{{"body":{written}}}' in line.decode()
    assert line.count(b"\n") == 1


def test_unexecuted_line_contains_the_reason() -> None:
    written = json.loads(unexecuted_line("a", "batch_expired", "Too late."))
    assert written.pop("id").startswith("batch_req_")
    assert written == {
        "custom_id": "a",
        "response": None,
        "error": {"code": "batch_expired", "message": "Too late."},
    }


async def test_lines_have_the_lowest_priority(world: World) -> None:
    running = asyncio.create_task(world.run("fake/slow-50"))
    while not world.in_progress or next(iter(world.in_progress)).call is None:
        await asyncio.sleep(0)
    (exchange,) = world.in_progress
    assert exchange.identity.priority == "batch"
    assert (await running).is_success
