"""How each authentication scheme sends a credential."""

from typing import Any

import pytest

from intellirouter.core import Deployment, Secret, TaskOwner
from intellirouter.providers import UpstreamPool
from intellirouter.providers.auth import build_authenticator
from intellirouter.testing import FakeClock
from tests.support.providers.loopback import Peer, answer, call, serving


async def _no_post(url: str, body: bytes) -> tuple[int, bytes]:
    raise AssertionError(f"{url} {body!r}")


@pytest.mark.parametrize(
    ("scheme", "credential", "headers"),
    [
        ("bearer", "sk-1", (("authorization", "Bearer sk-1"),)),
        ("x-api-key", "sk-ant-1", (("x-api-key", "sk-ant-1"),)),
        ("x-goog-api-key", "AIza1", (("x-goog-api-key", "AIza1"),)),
        ("x-goog-api-key", "ya29.token", (("authorization", "Bearer ya29.token"),)),
        ("api-key", "azure-1", (("api-key", "azure-1"),)),
        ("api-key", "eyJhbGciOi.J9.x", (("authorization", "Bearer eyJhbGciOi.J9.x"),)),
        ("sigv4", "ABSKbedrock", (("authorization", "Bearer ABSKbedrock"),)),
        ("gcp", "ya29.token", (("authorization", "Bearer ya29.token"),)),
        ("none", "ignored", ()),
        ("bearer", None, ()),
        ("sigv4", None, ()),
        ("sigv4", "AKIAABCDEFGHIJKLMNOP:secret", None),
    ],
)
def test_static_headers(scheme: Any, credential: str | None, headers: Any) -> None:
    secret = None if credential is None else Secret(credential)
    assert build_authenticator(scheme, secret, _no_post, TaskOwner("test"), FakeClock()).static_headers == headers


async def _heads_of(pool: UpstreamPool, *, times: int = 1, **settings: Any) -> list[dict[str, str]]:
    heads: list[dict[str, str]] = []

    async def script(peer: Peer) -> None:
        while True:
            lines = (await peer.head()).split("\r\n")[1:]
            heads.append(dict(line.split(": ", 1) for line in lines if line))
            await peer.reader.readexactly(peer.length)
            await peer.send(answer())

    async with serving(script) as server:
        to: Deployment = server.deployment(**settings)
        for _ in range(times):
            await call(pool, to)
    return heads


async def test_api_key_in_a_vendor_header(pool: UpstreamPool) -> None:
    [head] = await _heads_of(pool, auth="x-api-key", credentials=("sk-ant-1",))
    assert head["x-api-key"] == "sk-ant-1"
    assert "authorization" not in head


async def test_each_request_is_signed(pool: UpstreamPool) -> None:
    heads = await _heads_of(
        pool, times=2, auth="sigv4", credentials=("AKIAABCDEFGHIJKLMNOP:secret:token",), region="us-east-1"
    )
    assert len(heads) == 2
    for head in heads:
        assert head["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAABCDEFGHIJKLMNOP/")
        assert head["x-amz-security-token"] == "token"
        assert head["x-amz-date"].endswith("Z")
        assert "secret" not in str(head)
