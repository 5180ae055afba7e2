"""`answers.model_name`: which name of the model answers contain, the same on every endpoint, streamed or not."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.process import GatewayProcess, until
from tests.support.translation.prompt import Tool
from tests.support.translation.world import BOTH, CLIENTS, CREDENTIAL, UPSTREAMS, World, config

_NAMES = re.compile(rb'"(?:model|modelVersion)":\s*"((?:[^"\\]|\\.)*)"')
OTHER_CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "embeddings": ("/v1/embeddings", {"input": "x"}),
    "embed": ("/api/embed", {"input": "x"}),
    "load": ("/api/generate", {}),
    "load chat": ("/api/chat", {}),
}


@pytest.fixture(scope="module", params=["upstream", "requested"])
def named(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, str]]:
    """A gateway with this setting."""
    directory = tmp_path_factory.mktemp(request.param)
    with MockVendor(api_key=CREDENTIAL) as vendor:
        settings = config(vendor, directory) | {"answers": {"model_name": request.param}}
        gateway = GatewayProcess(settings, directory, admin_key=KEYS["admin"])
        gateway.start()
        try:
            world = World(gateway, vendor)
            yield world, request.param
            world.http.close()
            gateway.stop()
        finally:
            gateway.kill()


def expected(setting: str, upstream: str) -> str:
    return upstream if setting == "requested" else UPSTREAMS[upstream].model


def names_in(body: bytes) -> set[str]:
    """Return the names in an answer. Azure's first event, with the results of its filter, has an empty one."""
    return {json.loads(b'"' + name + b'"') for name in _NAMES.findall(body) if name}


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_answers_name_the_model_as_configured(named: tuple[World, str], upstream: str, stream: bool) -> None:
    world, setting = named
    for client in CLIENTS:
        answer = world.ask(client, upstream, stream=stream)
        assert answer.status == 200, (client, answer.body)
        assert names_in(answer.body) == {expected(setting, upstream)}, client


@pytest.mark.parametrize("name", OTHER_CALLS)
@pytest.mark.parametrize("upstream", ["openai", "ollama"])
def test_other_endpoints_do_the_same(named: tuple[World, str], upstream: str, name: str) -> None:
    world, setting = named
    path, body = OTHER_CALLS[name]
    answer = world.call(path, {"model": upstream, **body})
    assert answer.status_code == 200, answer.text
    assert names_in(answer.content) == {expected(setting, upstream)}


@pytest.mark.parametrize("upstream", ["openai", "responses", "anthropic"])
def test_stored_responses_have_the_name_of_the_answer(named: tuple[World, str], upstream: str) -> None:
    world, setting = named
    answer = world.call("/v1/responses", {"model": upstream, "input": "hello"}).json()
    stored = world.get(f"/v1/responses/{answer['id']}").json()
    assert (answer["model"], stored["model"]) == (expected(setting, upstream), expected(setting, upstream))


@pytest.mark.parametrize("upstream", ["openai", "responses", "anthropic"])
@pytest.mark.parametrize("stream", BOTH)
def test_checked_answers_do_the_same(named: tuple[World, str], upstream: str, stream: bool) -> None:
    """Answers with tool calls are checked, and held back in streams."""
    world, setting = named
    asked = 'call weather with {"city": "Oslo"}'
    for client in ("chat", "responses", "messages", "gemini", "ollama"):
        answer = world.ask(client, upstream, stream=stream, text=asked, tools=[Tool("weather")])
        assert names_in(answer.body) == {expected(setting, upstream)}, client


def test_headers_and_records_have_both_names(named: tuple[World, str]) -> None:
    world, _ = named
    answer = world.ask("chat", "anthropic")
    assert answer.headers["x-intellirouter-model"] == "anthropic"
    assert answer.headers["x-intellirouter-upstream-model"] == UPSTREAMS["anthropic"].model
    record = world.record(answer)
    assert (record["model"], record["upstream_model"]) == ("anthropic", UPSTREAMS["anthropic"].model)


def test_background_responses_do_the_same(named: tuple[World, str]) -> None:
    world, setting = named
    answer = world.call("/v1/responses", {"model": "anthropic", "input": "hello", "background": True})
    path = f"/v1/responses/{answer.json()['id']}"
    until(lambda: world.get(path).json()["status"] == "completed", "the response is complete")
    assert world.get(path).json()["model"] == expected(setting, "anthropic")


def test_lines_of_batches_do_the_same(named: tuple[World, str]) -> None:
    world, setting = named
    body = {"model": "openai", "messages": [{"role": "user", "content": "hello"}]}
    line = json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body})
    with OpenAI(base_url=world.gateway.base_url, api_key=KEYS["ann"]) as client:
        file = client.files.create(file=("lines.jsonl", line.encode()), purpose="batch")
        batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        until(lambda: client.batches.retrieve(batch.id).output_file_id, "the batch is complete", 30)
        output = client.batches.retrieve(batch.id).output_file_id
        assert output is not None
        row = json.loads(client.files.content(output).content)
    assert row["response"]["body"]["model"] == expected(setting, "openai")


def test_moderations_do_the_same(named: tuple[World, str]) -> None:
    world, setting = named
    answer = world.call("/v1/moderations", {"model": "openai", "input": "x"})
    assert answer.status_code == 200, answer.text
    assert names_in(answer.content) == {expected(setting, "openai")}
