"""One line of a batch: walked like any request, tried again where that may help, written as one line of JSON."""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest
from tests.support.pipeline import Journal, NoCredentials, NoSockets

from intellirouter.catalog import HealthBoard, PriceList
from intellirouter.config import compile_config, load_config
from intellirouter.core import SYSTEM_CLOCK, Current
from intellirouter.pipeline import Entry, Exchange, Generation, InFlight, Stages
from intellirouter.providers import VENDORS
from intellirouter.resources.batches import lines as batch_lines
from intellirouter.resources.batches.lines import LineRequest, LineResult, LineRunner, unexecuted_line
from intellirouter.roles.generation import Generations, Registries, SharedParts
from intellirouter.routing import STRATEGIES
from intellirouter.testing import FakeProvider

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
            rng=rng,
        )
        current: Current[Generation] = Current()
        registries = Registries(vendors=VENDORS, strategies={row.name: row for row in STRATEGIES}, stages=Stages())
        current.swap(Generations(runtime, shared).build(runtime, PriceList.load(), registries))
        self.runner = LineRunner(current, Entry(current, InFlight()), SYSTEM_CLOCK, rng)
        self.in_progress: set[Exchange] = set()

    async def ask(self, model: str, *, left_s: float = 60.0, key_name: str | None = None, **body: Any) -> LineResult:
        messages = [{"role": "user", "content": "hello"}]
        asked = LineRequest(
            endpoint=CHAT,
            tenant="default",
            key_name=key_name,
            custom_id='id "1"',
            body=json.dumps({"model": model, "messages": messages, **body}).encode(),
            deadline_us=SYSTEM_CLOCK.epoch_us() + round(left_s * 1e6),
        )
        return await asyncio.wait_for(self.runner.run(asked, self.in_progress), 20)


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return World(tmp_path)


def read(answered: LineResult) -> dict[str, Any]:
    assert answered.line.endswith(b"\n")
    assert answered.line.count(b"\n") == 1
    written: dict[str, Any] = json.loads(answered.line)
    return written


async def test_an_answer_is_a_line(world: World) -> None:
    answered = await world.ask("fake/echo")
    written = read(answered)
    assert answered.is_success
    assert answered.usage is not None
    assert written["custom_id"] == 'id "1"'
    assert written["response"]["body"]["choices"][0]["message"]["content"] == "echo: hello"
    assert [record.request_id for record in world.journal.records] == [written["response"]["request_id"]]
    assert world.in_progress == set()


@pytest.mark.parametrize("model", ["fake/error-429", "fake/error-503"])
async def test_what_may_pass_is_tried_again_within_bounds(
    world: World, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_lines, "_MAX_WAIT_S", 0.002)
    answered = await world.ask(model)
    assert not answered.is_success
    assert read(answered)["response"]["status_code"] == int(model[-3:])
    assert len(world.journal.records) == batch_lines._MAX_TRIES


async def test_what_fails_every_second_time_succeeds(world: World) -> None:
    for _ in range(2):
        assert (await world.ask("fake/flaky")).is_success
    assert len(world.journal.records) == 3


async def test_nobody_waits_beyond_the_deadline(world: World) -> None:
    assert not (await world.ask("fake/error-429", left_s=0.5)).is_success  # which asks for a second
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
async def test_what_does_not_pass_is_tried_once(world: World, model: str, body: dict[str, Any], status: int) -> None:
    answered = await world.ask(model, **body)
    assert not answered.is_success
    assert read(answered)["response"]["status_code"] == status
    assert [record.status for record in world.journal.records] == [status]


async def test_streaming_may_be_declined_in_so_many_words(world: World) -> None:
    assert (await world.ask("fake/echo", stream=False, background=None)).is_success


async def test_without_its_key_nothing_is_run(tmp_path: Path) -> None:
    world = World(tmp_path, is_required=True)
    assert (await world.ask("fake/echo", key_name="ci")).is_success
    for gone in (None, "other"):
        answered = await world.ask("fake/echo", key_name=gone)
        assert read(answered)["response"]["status_code"] == 401
        assert world.journal.records[-1].tenant == "default"
        assert world.journal.records[-1].key_name == gone


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
def test_any_body_fits_into_a_line(body: bytes, written: str) -> None:
    line = batch_lines._line(batch_lines.ResultLine("batch_req_1", "a", {"body": batch_lines._one_line(body)}, None))
    assert f'"response":{{"body":{written}}}' in line.decode()
    assert line.count(b"\n") == 1


def test_a_line_that_was_never_run_says_why() -> None:
    written = json.loads(unexecuted_line("a", "batch_expired", "Too late."))
    assert written.pop("id").startswith("batch_req_")
    assert written == {
        "custom_id": "a",
        "response": None,
        "error": {"code": "batch_expired", "message": "Too late."},
    }
