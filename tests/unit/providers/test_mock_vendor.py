"""The pool against a vendor in a process of its own, with the faults that vendors have."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from intellirouter.core import errors
from intellirouter.providers import UpstreamPool
from intellirouter.testing import MockVendor
from tests.support.providers.loopback import call, deployment, eventually, open_counts, stream


@pytest.fixture(scope="module")
def running_vendor() -> Iterator[MockVendor]:
    with MockVendor() as vendor:
        yield vendor


@pytest.fixture
def vendor(running_vendor: MockVendor) -> MockVendor:
    running_vendor.reset()
    return running_vendor


def _body(*, is_stream: bool, model: str = "some-model") -> bytes:
    return json.dumps(
        {"model": model, "stream": is_stream, "messages": [{"role": "user", "content": "hello"}]}
    ).encode()


async def _ask(pool: UpstreamPool, vendor: MockVendor, *, is_stream: bool, **settings: Any) -> bytes:
    ask = stream if is_stream else call
    return await ask(pool, deployment(vendor.base_url, **settings), _body(is_stream=is_stream))


BOTH = pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])


@BOTH
async def test_responses_arrive_over_few_connections(pool: UpstreamPool, vendor: MockVendor, is_stream: bool) -> None:
    async def client() -> None:
        for _ in range(10):
            assert b"hello" in await _ask(pool, vendor, is_stream=is_stream, max_connections=5)

    await asyncio.gather(*(client() for _ in range(10)))
    assert open_counts(pool) == [5]
    assert {request["status"] for request in vendor.requests()} == {200}


@BOTH
@pytest.mark.parametrize(
    ("fault", "parameters", "error"),
    [
        ("drop", {"at": "headers"}, errors.UpstreamDisconnected),
        ("drop", {"at": "body"}, errors.UpstreamDisconnected),
        ("drop", {"at": "middle"}, errors.UpstreamDisconnected),
        ("reset", {"at": "headers"}, errors.UpstreamDisconnected),
        ("reset", {"at": "body"}, errors.UpstreamDisconnected),
        ("hang", {}, errors.UpstreamTimeout),
        ("slow", {"delay_s": 20}, errors.UpstreamTimeout),
        ("slow_first_token", {"delay_s": 20}, errors.UpstreamTimeout),
        ("huge", {"what": "headers"}, errors.UpstreamMalformed),
    ],
)
async def test_faults_become_errors_and_leave_nothing_open(
    pool: UpstreamPool, vendor: MockVendor, is_stream: bool, fault: str, parameters: dict[str, Any], error: type
) -> None:
    vendor.fault(fault, **parameters)
    with pytest.raises(error):
        await _ask(pool, vendor, is_stream=is_stream, first_token_s=0.2, idle_s=0.2)
    await eventually(lambda: open_counts(pool) == [0])
    await eventually(lambda: vendor.open_connections() == 0)


@BOTH
@pytest.mark.parametrize("how", ["announce", "idle"])
async def test_vendor_that_closes_after_each_response_fails_no_request(
    pool: UpstreamPool, vendor: MockVendor, is_stream: bool, how: str
) -> None:
    vendor.fault("close_after", how=how)
    for _ in range(10):
        assert b"hello" in await _ask(pool, vendor, is_stream=is_stream)
        if how == "idle":
            await eventually(lambda: open_counts(pool) == [0], "the pool noticing")


@BOTH
async def test_response_of_many_megabytes(pool: UpstreamPool, vendor: MockVendor, is_stream: bool) -> None:
    vendor.fault("huge", what="event" if is_stream else "body", size_mib=8)
    assert len(await _ask(pool, vendor, is_stream=is_stream)) > 8 * 1024 * 1024


@BOTH
async def test_vendor_notices_a_canceled_request(pool: UpstreamPool, vendor: MockVendor, is_stream: bool) -> None:
    vendor.fault("hang")
    task = asyncio.ensure_future(_ask(pool, vendor, is_stream=is_stream))
    await eventually(vendor.requests, "the request arriving")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: vendor.open_connections() == 0)
    await eventually(lambda: vendor.requests()[0]["is_aborted"])
