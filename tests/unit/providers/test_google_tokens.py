"""Exchanging a Google credential for access tokens: when, how often, and what if it fails."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.hashes import SHA256

from intellirouter.core import Secret, TaskOwner, errors
from intellirouter.providers import UpstreamPool
from intellirouter.providers.auth.authenticator import SignableRequest
from intellirouter.providers.auth.google import GoogleTokenAuthenticator
from intellirouter.testing import FakeClock
from tests.support.providers.google import RSA_KEY, private_pem, service_account
from tests.support.providers.loopback import Peer, answer, call, serving

REQUEST = SignableRequest(method="POST", host="h", target="/", headers={}, body=b"", deployment="vertex/gemini")
USER = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}


class TokenEndpoint:
    """A token endpoint as a function."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.answers: list[tuple[int, Any] | errors.UpstreamError] = []
        self.let = asyncio.Event()
        self.let.set()

    async def __call__(self, url: str, body: bytes) -> tuple[int, bytes]:
        assert url == "https://oauth2.googleapis.com/token"
        self.asked.append({name: values[0] for name, values in parse_qs(body.decode()).items()})
        number = len(self.asked)
        await self.let.wait()
        answer = self.answers.pop(0) if self.answers else (200, {"access_token": f"t{number}", "expires_in": 3600})
        if isinstance(answer, errors.UpstreamError):
            raise answer
        status, document = answer
        return status, document if isinstance(document, bytes) else json.dumps(document).encode()


class World:
    def __init__(self, credential: str) -> None:
        self.endpoint = TokenEndpoint()
        self.clock = FakeClock()
        self.tasks = TaskOwner("test")
        account = GoogleTokenAuthenticator.parse(Secret(credential))
        assert account is not None
        self.authenticator = GoogleTokenAuthenticator(account, self.endpoint, self.tasks, self.clock)

    async def token(self) -> str:
        return dict(await self.authenticator.headers(REQUEST))["authorization"].removeprefix("Bearer ")

    async def background(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World(service_account())
    yield made
    await made.tasks.stop()


async def test_assertion_is_signed_with_the_account_key(world: World) -> None:
    assert await world.token() == "t1"
    [form] = world.endpoint.asked
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    header, claims, signature = (base64.urlsafe_b64decode(part + "==") for part in form["assertion"].split("."))
    assert json.loads(header) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    now_s = world.clock.epoch_us() // 1_000_000
    assert json.loads(claims) == {
        "iss": "a@p.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": now_s,
        "exp": now_s + 3600,
    }
    signed = form["assertion"].rpartition(".")[0].encode()
    RSA_KEY.public_key().verify(signature, signed, padding.PKCS1v15(), SHA256())  # raises if invalid


async def test_user_refresh_token_and_quota_project() -> None:
    world = World(json.dumps({**USER, "quota_project_id": "paying"}))
    headers = await world.authenticator.headers(REQUEST)
    assert headers == (("authorization", "Bearer t1"), ("x-goog-user-project", "paying"))
    assert world.endpoint.asked == [
        {"grant_type": "refresh_token", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
    ]


async def test_concurrent_requests_share_one_exchange(world: World) -> None:
    world.endpoint.let.clear()
    callers = [asyncio.ensure_future(world.token()) for _ in range(20)]
    await world.background()
    callers[0].cancel()  # canceling the request that started the exchange does not affect the others
    world.endpoint.let.set()
    assert await asyncio.gather(*callers[1:]) == ["t1"] * 19
    assert len(world.endpoint.asked) == 1


async def test_token_is_renewed_in_the_background_before_it_expires(world: World) -> None:
    await world.token()
    world.clock.advance(3600 - 301)
    assert await world.token() == "t1"
    assert len(world.endpoint.asked) == 1
    world.clock.advance(2)
    assert [await world.token() for _ in range(3)] == ["t1"] * 3  # no request waits
    await world.background()
    assert await world.token() == "t2"
    assert len(world.endpoint.asked) == 2


async def test_requests_wait_for_a_new_token_when_it_has_expired(world: World) -> None:
    await world.token()
    world.clock.advance(3600)
    assert await world.token() == "t2"


async def test_failed_renewal_keeps_the_old_token_and_is_not_repeated_at_once(world: World) -> None:
    await world.token()
    world.clock.advance(3400)
    world.endpoint.answers = [errors.UpstreamConnectFailed("down")]
    for _ in range(5):
        assert await world.token() == "t1"
        await world.background()
    assert len(world.endpoint.asked) == 2
    world.clock.advance(16)
    assert await world.token() == "t1"
    await world.background()
    assert await world.token() == "t3"


async def test_refusal_is_reported_without_the_credential_and_not_repeated_at_once(world: World) -> None:
    world.endpoint.answers = [(400, {"error": "invalid_grant", "error_description": "assertion ey... is bad"})]
    for _ in range(3):
        with pytest.raises(errors.UpstreamAuthFailed) as caught:
            await world.token()
        assert caught.value.message == (
            "vertex/gemini: The Google token endpoint responded with status 400 (invalid_grant)."
        )
        assert "clock" in caught.value.hint
    assert len(world.endpoint.asked) == 1
    world.clock.advance(1.1)
    assert await world.token() == "t2"


async def test_error_class_is_kept(world: World) -> None:
    world.endpoint.answers = [errors.UpstreamTimeout("slow")]
    with pytest.raises(errors.UpstreamTimeout, match="vertex/gemini: slow"):
        await world.token()


@pytest.mark.parametrize(
    "document",
    [b"<html>", b"\xff", b"[]", b"{}", {"access_token": 1}, {"access_token": "a\nb"}, {"access_token": "\xe4"}],
)
async def test_response_without_a_token_is_malformed(world: World, document: Any) -> None:
    world.endpoint.answers = [(200, document)]
    with pytest.raises(errors.UpstreamMalformed, match="does not contain an access token"):
        await world.token()


@pytest.mark.parametrize("document", [b"", b"[1]", b'{"error": {"a": 1}}', b'{"error": "<script>"}', b"\xff"])
async def test_refusal_without_an_oauth_error_is_reported_by_its_status(world: World, document: bytes) -> None:
    world.endpoint.answers = [(503, document)]
    with pytest.raises(errors.UpstreamAuthFailed, match=r"responded with status 503\.$"):
        await world.token()


async def test_refused_token_is_not_used_again(world: World) -> None:
    await world.token()
    world.authenticator.invalidate()  # the token has just been obtained: another one would not help
    assert await world.token() == "t1"
    world.clock.advance(5)
    world.authenticator.invalidate()
    assert await world.token() == "t2"


async def test_waiting_requests_fail_when_the_gateway_stops(world: World) -> None:
    world.endpoint.let.clear()
    waiting = asyncio.ensure_future(world.token())
    await world.background()
    await world.tasks.stop()
    with pytest.raises(errors.UpstreamConnectFailed, match="stopping"):
        await waiting


@pytest.mark.parametrize(
    "key",
    [
        "",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        private_pem(ec.generate_private_key(ec.SECP256R1())),
    ],
)
async def test_invalid_private_key_is_refused(key: str) -> None:
    if not key:
        with pytest.raises(errors.UpstreamAuthFailed, match="Google credential"):
            GoogleTokenAuthenticator.parse(Secret(service_account(private_key=key)))
        return
    with pytest.raises(errors.UpstreamAuthFailed, match="private key in the Google credential"):
        await World(service_account(private_key=key)).token()


@pytest.mark.parametrize(
    "credential",
    [
        "{",
        "{}",
        '{"type": "external_account"}',
        '{"type": "service_account", "client_email": 1}',
        '{"type": "authorized_user", "client_id": "c"}',
        service_account(token_uri="http://evil.example/token"),
        service_account(token_uri="file:///etc/passwd"),
    ],
)
def test_json_that_is_not_an_account_is_refused(credential: str) -> None:
    with pytest.raises(errors.UpstreamAuthFailed, match="Google credential") as caught:
        GoogleTokenAuthenticator.parse(Secret(credential))
    assert "PRIVATE" not in caught.value.message


def test_access_token_is_used_unchanged_and_account_repr_is_safe() -> None:
    assert GoogleTokenAuthenticator.parse(Secret("ya29.a0")) is None
    assert "PRIVATE" not in repr(GoogleTokenAuthenticator.parse(Secret(service_account())))


async def test_token_is_obtained_through_the_pool(pool: UpstreamPool) -> None:
    seen: list[str] = []

    async def script(peer: Peer) -> None:
        while True:
            head = await peer.head()
            body = await peer.reader.readexactly(peer.length)
            if head.startswith("POST /token "):
                assert "content-type: application/x-www-form-urlencoded" in head
                assert b"assertion=" in body
                await peer.send(answer(b'{"access_token": "tok", "expires_in": 3600, "token_type": "Bearer"}'))
            else:
                seen.extend(line for line in head.split("\r\n") if line.startswith("authorization"))
                await peer.send(answer())

    async with serving(script) as server:
        token_uri = server.base_url.replace("/v1", "/token")
        to = server.deployment(auth="gcp", credentials=(service_account(token_uri=token_uri),))
        for _ in range(3):
            assert await call(pool, to) == b"{}"
    assert seen == ["authorization: Bearer tok"] * 3
