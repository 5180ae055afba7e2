"""Lists of models, as each kind of provider sends them, in pages, and broken."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from intellirouter.core import errors
from intellirouter.providers import DiscoveredModel, UpstreamPool, discover_models
from tests.support.providers.loopback import Peer, answer, serving


class Lister:
    """Answers by the request line's target; notes targets and heads."""

    def __init__(self, pages: dict[str, Any] | Callable[[str], Any], status: int = 200) -> None:
        self.pages = pages
        self.status = status
        self.asked: list[str] = []
        self.heads: list[str] = []

    async def script(self, peer: Peer) -> None:
        while True:
            head = await peer.head()
            await peer.reader.readexactly(peer.length)
            method, target, _ = head.split(" ", 2)
            assert method == "GET"
            self.asked.append(target.removeprefix("/v1"))
            self.heads.append(head)
            page = self.pages(self.asked[-1]) if callable(self.pages) else self.pages[self.asked[-1]]
            body = page if isinstance(page, bytes) else json.dumps(page).encode()
            await peer.send(answer(body, status=self.status))


async def _names(pool: UpstreamPool, lister: Lister, **settings: Any) -> list[str]:
    async with serving(lister.script) as server:
        return [each.id for each in await discover_models(pool, server.deployment(**settings))]


@pytest.mark.parametrize("dialects", [("openai_chat",), ("openai_responses",), ("openai_chat", "openai_responses")])
async def test_openai_list(pool: UpstreamPool, dialects: tuple[str, ...]) -> None:
    lister = Lister({"/models": {"object": "list", "data": [{"id": "b"}, {"id": "a"}, {"id": "b"}]}})
    assert await _names(pool, lister, dialects=dialects, credentials=("sk",)) == ["b", "a"]
    assert "authorization: Bearer sk\r\n" in lister.heads[0]


async def test_bare_list_and_context_lengths(pool: UpstreamPool) -> None:
    rows = [
        {"id": "a", "context_length": 8192},
        {"id": "b", "max_model_len": 4096},
        {"id": "c", "context_window": "big", "context_length": -1},
    ]
    async with serving(Lister({"/models": rows}).script) as server:
        found = await discover_models(pool, server.deployment())
    assert found == (
        DiscoveredModel(id="a", context_tokens=8192),
        DiscoveredModel(id="b", context_tokens=4096),
        DiscoveredModel(id="c"),
    )


async def test_anthropic_list_in_pages(pool: UpstreamPool) -> None:
    first = {"data": [{"id": "claude-a", "type": "model"}], "has_more": True, "last_id": "claude-a"}
    lister = Lister(
        {
            "/models?limit=1000": first,
            "/models?limit=1000&after_id=claude-a": {"data": [{"id": "claude-b"}], "has_more": False, "last_id": "x"},
        }
    )
    async with serving(lister.script) as server:
        server.base_url = server.base_url.removesuffix("/v1")
        to = server.deployment(dialects=("anthropic_messages",), auth="x-api-key", credentials=("sk-ant",))
        found = await discover_models(pool, to)
    assert [each.id for each in found] == ["claude-a", "claude-b"]
    assert "x-api-key: sk-ant\r\n" in lister.heads[0]
    assert "anthropic-version: 2023-06-01\r\n" in lister.heads[0]


async def test_gemini_list_in_pages(pool: UpstreamPool) -> None:
    lister = Lister(
        {
            "/models?pageSize=1000": {
                "models": [{"name": "models/gemini-a", "inputTokenLimit": 1_000_000}],
                "nextPageToken": "t/1=",
            },
            "/models?pageSize=1000&pageToken=t%2F1%3D": {"models": [{"name": "publishers/google/models/gemini-b"}]},
        }
    )
    assert await _names(pool, lister, dialects=("gemini",)) == ["gemini-a", "gemini-b"]


async def test_ollama_list(pool: UpstreamPool) -> None:
    lister = Lister({"/api/tags": {"models": [{"name": "llama3.2:3b", "size": 1}, {"name": "qwen3"}]}})
    assert await _names(pool, lister, dialects=("ollama",)) == ["llama3.2:3b", "qwen3"]


async def test_bedrock_list(pool: UpstreamPool) -> None:
    lister = Lister({"/foundation-models": {"modelSummaries": [{"modelId": "anthropic.claude-v1:0"}]}})
    settings: dict[str, Any] = {"dialects": ("bedrock",), "auth": "sigv4", "region": "us-east-1"}
    names = await _names(pool, lister, credentials=("AKIAABCDEFGHIJKLMNOP:s",), **settings)
    assert names == ["anthropic.claude-v1:0"]
    assert "/us-east-1/bedrock/aws4_request" in lister.heads[0]


async def test_endless_pages_are_bounded(pool: UpstreamPool) -> None:
    def page(target: str) -> Any:
        return {"models": [{"name": f"m{len(target)}-{number}"} for number in range(10)], "nextPageToken": target[-50:]}

    lister = Lister(page)
    await _names(pool, lister, dialects=("gemini",))
    assert len(lister.asked) == 20


async def test_unusable_names_are_skipped(pool: UpstreamPool) -> None:
    rows = [{"id": "good"}, {"id": ""}, {"id": 7}, {"id": "a\nb"}, {"id": "x" * 201}, {}, None, 3, "text", {"id": None}]
    assert await _names(pool, Lister({"/models": {"data": rows}})) == ["good"]


@pytest.mark.parametrize("dialect", ["openai_chat", "anthropic_messages", "gemini", "ollama", "bedrock"])
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"\xff", b"3", b'{"data": 3, "models": 3, "modelSummaries": {}}', b"[" * 5000]
)
async def test_invalid_lists_are_malformed(pool: UpstreamPool, dialect: str, body: bytes) -> None:
    with pytest.raises(errors.UpstreamMalformed, match="not a valid list of models"):
        await _names(pool, Lister(lambda _: body), dialects=(dialect,))


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, errors.UpstreamAuthFailed), (403, errors.UpstreamAuthFailed), (404, errors.UpstreamUnavailable)],
)
async def test_error_statuses(pool: UpstreamPool, status: int, kind: type[errors.UpstreamError]) -> None:
    with pytest.raises(kind, match=str(status)) as caught:
        await _names(pool, Lister(lambda _: b"{}", status))
    assert caught.value.hint
