"""Media URLs in requests: they are fetched for upstreams that need the bytes, within limits."""

import asyncio
import base64
import json

import pytest

from intellirouter.core import EMPTY_CONTEXT, OffLoop, errors
from intellirouter.pipeline import media
from tests.support.dialects.standard import ENDPOINTS
from tests.support.pipeline import ANSWER, Response, World, resolved

PNG = b"\x89PNG\r\n\x1a\n"
OLLAMA_ANSWER = b'{"message":{"role":"assistant","content":"hi"},"done":true,"done_reason":"stop"}'
Content = tuple[str, bytes] | errors.GatewayError | None
"""What a URL leads to. None: the server does not respond."""


class Fetcher:
    """Implements `core.Fetcher` with the content of each URL. Answers when all `expected` fetches are waiting."""

    def __init__(self, content: dict[str, Content] | None = None, *, expected: int = 1) -> None:
        self.content = content or {}
        self.fetched: list[str] = []
        self.limits: set[tuple[int, float]] = set()
        self.canceled: list[str] = []
        self._barrier = asyncio.Barrier(expected)

    async def fetch(self, url: str, *, limit_bytes: int, deadline_s: float) -> tuple[str, bytes]:
        self.fetched.append(url)
        self.limits.add((limit_bytes, deadline_s))
        try:
            await self._barrier.wait()
            content = self.content.get(url, ("image/png", PNG))
            if isinstance(content, errors.GatewayError):
                raise content
            if content is None:
                await asyncio.Event().wait()
                raise AssertionError
        except asyncio.CancelledError:
            self.canceled.append(url)
            raise
        return content


def request(*urls: str) -> bytes:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": parts}]}).encode()


def urls(count: int) -> list[str]:
    return [f"https://media.test/{number}.png" for number in range(count)]


def images(world: World, attempt: int = 0) -> list[bytes]:
    """Return the images that an Ollama upstream received."""
    [message] = json.loads(world.upstream.sent[attempt][1])["messages"]
    return [base64.b64decode(each) for each in message["images"]]


async def test_media_are_fetched_in_parallel_and_sent_in_the_order_of_the_request() -> None:
    one, two = urls(2)
    fetcher = Fetcher({one: ("image/png", PNG + b"1"), two: ("", PNG + b"2")}, expected=2)
    world = World(resolved("a", dialects=("ollama",)), fetcher=fetcher, a=Response(OLLAMA_ANSWER))
    await world.serve(request(one, two, one))
    assert world.reply.error is None
    assert images(world) == [PNG + b"1", PNG + b"2", PNG + b"1"]
    assert sorted(fetcher.fetched) == [one, two], "each URL is fetched once"
    assert fetcher.limits == {(20 * 1024 * 1024, 30.0)}
    assert any("fetched by the gateway" in each for each in world.record.dropped)


async def test_another_attempt_does_not_fetch_again() -> None:
    fetcher = Fetcher()
    down = errors.UpstreamUnavailable("down")
    world = World(resolved("a b", dialects=("ollama",)), fetcher=fetcher, a=down, b=Response(OLLAMA_ANSWER))
    await world.serve(request(*urls(1)))
    assert world.outcomes == ["upstream_unavailable", "ok"]
    assert images(world, 0) == images(world, 1) == [PNG]
    assert len(fetcher.fetched) == 1


async def test_urls_are_not_fetched_for_an_upstream_that_accepts_them() -> None:
    fetcher = Fetcher()
    world = World(fetcher=fetcher, a=Response(ANSWER))
    await world.serve(request(*urls(1)))
    assert (world.reply.error, fetcher.fetched) == (None, [])


async def test_media_of_several_fetches_are_all_kept() -> None:
    one, two = urls(2)
    call = ENDPOINTS["openai_chat"].decode_request(request(one, two), EMPTY_CONTEXT)
    await media.fetch_media(Fetcher(), call, [one], OffLoop())
    await media.fetch_media(Fetcher({two: ("image/gif", b"GIF8")}), call, [two], OffLoop())
    assert call.fetched == {
        one: ("image/png", base64.b64encode(PNG).decode()),
        two: ("image/gif", base64.b64encode(b"GIF8").decode()),
    }


async def test_url_that_cannot_be_fetched_is_an_error_of_the_request() -> None:
    """It does not count against the deployment, no other deployment is tried, and the other fetches end."""
    one, two = urls(2)
    refused = errors.InvalidRequest("The URL leads to a private network.", code="url_not_allowed")
    fetcher = Fetcher({one: refused, two: None}, expected=2)
    world = World(resolved("a b", dialects=("ollama",)), fetcher=fetcher, a=Response(OLLAMA_ANSWER))
    await world.serve(request(one, two))
    assert world.reply.error is refused
    assert refused.__suppress_context__, "the log shows the error itself, not a group of errors"
    assert fetcher.canceled == [two]
    assert (world.upstream.sent, world.outcomes) == ([], ["url_not_allowed"])
    assert (world.board.of("a").failures, world.board.of("a").in_flight) == (0, 0)


async def test_gateway_that_does_not_fetch_cannot_use_such_an_upstream() -> None:
    world = World(resolved("a", dialects=("ollama",)))
    await world.serve(request(*urls(1)))
    assert isinstance(world.reply.error, errors.UnsupportedFeature)
    assert world.reply.error.message == "This model accepts media only as data, not as URLs."
    assert world.reply.error.fallback
    assert world.board.of("a").failures == 0


async def test_number_of_urls_is_limited() -> None:
    fetcher = Fetcher()
    world = World(
        resolved("a b", dialects=("ollama",)), fetcher=fetcher, a=[Response(OLLAMA_ANSWER), Response(OLLAMA_ANSWER)]
    )
    await world.serve(request(*urls(32)))
    fetcher.fetched.clear()
    await world.serve(request(*urls(33)))
    assert [record.error_code for record in world.journal.records] == [None, "too_many_urls"]
    assert isinstance(world.reply.error, errors.InvalidRequest)
    assert world.reply.error.message == "The request contains 33 media URLs, but at most 32 are allowed."
    assert fetcher.fetched == []
    assert world.upstream.order == "a"


@pytest.mark.parametrize(
    ("sizes", "code", "message"),
    [
        ((10, 10), None, None),
        ((10, 11), "media_too_large", "The media of the request's URLs are larger than 20 bytes in total."),
        ((11, 10), "media_too_large", "The media of the request's URLs are larger than 20 bytes in total."),
    ],
)
async def test_size_of_all_media_together_is_limited(
    sizes: tuple[int, int], code: str | None, message: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "_MAX_BYTES", 20)
    one, two = urls(2)
    content: dict[str, Content] = {url: ("image/png", bytes(size)) for url, size in zip((one, two), sizes, strict=True)}
    world = World(resolved("a", dialects=("ollama",)), fetcher=Fetcher(content), a=Response(OLLAMA_ANSWER))
    await world.serve(request(one, two))
    assert (world.record.error_code, world.record.error_message) == (code, message)
    assert len(world.upstream.sent) == (code is None)
