"""Several credentials of one provider: rotation, cooldowns, and trying another one within an attempt."""

import hashlib
import json

import pytest

from intellirouter.core import Deployment, Secret, TaskOwner, Upstream, UpstreamRequest, errors
from intellirouter.providers import RotatingUpstream, UpstreamPool
from intellirouter.providers.auth import build_authenticator
from intellirouter.providers.credential_rotation import Credential, CredentialRotation
from intellirouter.testing import FakeClock
from tests.support.providers.google import service_account
from tests.support.providers.loopback import Peer, answer, call, serving


class Vendor:
    """Responds depending on the credential, and records the credentials of all requests."""

    def __init__(self, **answers: bytes) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def script(self, peer: Peer) -> None:
        while True:
            head = await peer.head()
            await peer.reader.readexactly(peer.length)
            credential = head.partition("Bearer ")[2].partition("\r\n")[0]
            self.asked.append(credential)
            await peer.send(self.answers.get(credential, answer(credential.encode())))


async def _status(upstream: Upstream, to: Deployment) -> int:
    response = await upstream.send(to, UpstreamRequest(path="/x", body=b"{}"))
    await response.read(1000)
    return response.status


def _no(status: int, *headers: str) -> bytes:
    return answer(b'{"error": {}}', *headers, status=status)


@pytest.fixture
def rotating(pool: UpstreamPool) -> RotatingUpstream:
    return RotatingUpstream(pool)


@pytest.mark.parametrize("status", [401, 402, 429])
async def test_refused_credential_is_replaced_within_the_attempt_and_cools_down(
    rotating: RotatingUpstream, status: int
) -> None:
    vendor = Vendor(two=_no(status))
    async with serving(vendor.script) as server:
        to = server.deployment(credentials=("one", "two", "three"))
        answers = [await call(rotating, to) for _ in range(6)]
    assert answers[0] == b"three"
    assert vendor.asked[:2] == ["two", "three"]
    assert vendor.asked.count("two") == 1
    assert {b"one", b"three"} == set(answers)


async def test_403_cools_down_but_does_not_rotate(rotating: RotatingUpstream) -> None:
    vendor = Vendor(two=_no(403))
    async with serving(vendor.script) as server:
        to = server.deployment(credentials=("one", "two"))
        assert [await _status(rotating, to) for _ in range(4)] == [403, 200, 200, 200]
    assert vendor.asked == ["two", "one", "one", "one"]


@pytest.mark.parametrize("status", [400, 404, 408, 500, 503, 529])
async def test_other_statuses_do_not_affect_the_credential(rotating: RotatingUpstream, status: int) -> None:
    vendor = Vendor(one=_no(status, "retry-after: 60"), two=_no(status, "retry-after: 60"))
    async with serving(vendor.script) as server:
        to = server.deployment(credentials=("one", "two"))
        assert [await _status(rotating, to) for _ in range(4)] == [status] * 4
    assert vendor.asked == ["two", "one"] * 2


async def test_when_all_are_refused_each_is_tried_once_and_the_last_response_counts(
    rotating: RotatingUpstream,
) -> None:
    vendor = Vendor(one=_no(429, "x: 1"), two=_no(401), three=_no(429, "retry-after: 7"))
    async with serving(vendor.script) as server:
        to = server.deployment(credentials=("one", "two", "three"))
        response = await rotating.send(to, UpstreamRequest(path="/x"))
        assert response.status == 429
        assert await response.read(100) == b'{"error": {}}'
        assert vendor.asked == ["two", "three", "one"]
        # All are cooling down: only the one whose cooldown ends first is used.
        assert await _status(rotating, to) == 429
        assert vendor.asked == ["two", "three", "one", "one"]


async def test_single_credential_is_always_used(pool: UpstreamPool, rotating: RotatingUpstream) -> None:
    vendor = Vendor(one=_no(401))
    async with serving(vendor.script) as server:
        to = server.deployment(credentials=("one",))
        assert [await _status(rotating, to) for _ in range(3)] == [401] * 3
        [state] = pool.credential_states([to])
        assert (state.state, state.reason, state.consecutive_refusals, state.uses) == (
            "cooling_down",
            "unauthorized",
            3,
            3,
        )
        vendor.answers.clear()
        assert await _status(rotating, to) == 200
        [state] = pool.credential_states([to])
        assert (state.state, state.reason, state.consecutive_refusals, state.cooldown_remaining_s) == (
            "ready",
            None,
            0,
            0.0,
        )


async def test_credential_is_used_again_after_its_cooldown(pool: UpstreamPool, rotating: RotatingUpstream) -> None:
    vendor = Vendor(two=_no(429, "retry-after: 30"))
    async with serving(vendor.script) as server:
        to = server.deployment(credentials=("one", "two"))
        assert await call(rotating, to) == b"one"
        vendor.answers.clear()
        assert [await call(rotating, to) for _ in range(2)] == [b"one"] * 2
        _rewind(pool, 31)
        assert {await call(rotating, to) for _ in range(2)} == {b"one", b"two"}


def _rewind(pool: UpstreamPool, seconds: float) -> None:
    for credential in pool._credentials._credentials.values():
        credential.cooldown_until_s -= seconds


async def test_credential_state_survives_a_reload(pool: UpstreamPool, rotating: RotatingUpstream) -> None:
    vendor = Vendor(two=_no(401))
    async with serving(vendor.script) as server:
        await call(rotating, server.deployment(credentials=("one", "two")))
        reloaded = server.deployment(credentials=("two", "one", "three"))
        pool.apply([reloaded])
        for _ in range(6):
            await call(rotating, reloaded)
        assert vendor.asked.count("two") == 1
        states = pool.credential_states([reloaded])
    assert [each.state for each in states] == ["cooling_down", "ready", "ready"]


async def test_changed_credential_has_a_new_state_and_unused_are_forgotten(
    pool: UpstreamPool, rotating: RotatingUpstream
) -> None:
    vendor = Vendor(old=_no(401))
    async with serving(vendor.script) as server:
        await _status(rotating, server.deployment(credentials=("old",)))
        renewed = server.deployment(credentials=("new",))
        assert await _status(rotating, renewed) == 200
        assert len(pool._credentials._credentials) == 2
        for rotation in pool._credentials._rotations.values():
            rotation.last_used_s -= 4000
        _rewind(pool, 4000)
        pool.apply([])
        assert (pool._credentials._rotations, pool._credentials._credentials) == ({}, {})


async def test_states_are_unique_and_contain_no_credential(pool: UpstreamPool, rotating: RotatingUpstream) -> None:
    vendor = Vendor(**{"sk-secret-two": _no(402)})
    async with serving(vendor.script) as server:
        secrets = ("sk-secret-one", "sk-secret-two")
        to, other = server.deployment(credentials=secrets), server.deployment(credentials=secrets)
        await call(rotating, to)
        first, second = pool.credential_states([to, other])
    assert (first.provider, first.index, first.state, first.uses) == ("test", 0, "ready", 1)
    assert (second.index, second.state, second.reason, second.uses) == (1, "cooling_down", "payment required", 1)
    assert 590 < second.cooldown_remaining_s <= 600
    assert second.fingerprint == hashlib.sha256(b"sk-secret-two").hexdigest()[:8]
    assert "sk-" not in repr((first, second))


async def test_credential_without_an_access_token_is_replaced(rotating: RotatingUpstream) -> None:
    async def script(peer: Peer) -> None:
        while True:
            head = await peer.head()
            await peer.reader.readexactly(peer.length)
            if head.startswith("POST /token"):
                await peer.send(answer(b'{"error": "invalid_grant"}', status=400))
            else:
                await peer.send(answer(head.partition("Bearer ")[2].partition("\r\n")[0].encode()))

    async with serving(script) as server:
        account = service_account(token_uri=server.base_url.replace("/v1", "/token"))
        to = server.deployment(auth="gcp", credentials=("ya29.good", account))
        assert [await call(rotating, to) for _ in range(3)] == [b"ya29.good"] * 3
        alone = server.deployment(auth="gcp", credentials=(account,))
        with pytest.raises(errors.UpstreamAuthFailed, match="invalid_grant"):
            await call(rotating, alone)


async def test_credential_that_its_scheme_cannot_use_is_reported(rotating: RotatingUpstream) -> None:
    async with serving(Vendor().script) as server:
        with pytest.raises(errors.UpstreamAuthFailed, match="Google credential"):
            await call(rotating, server.deployment(auth="gcp", credentials=(json.dumps({"type": "x"}),)))


# -- one credential per request ----------------------------------------------------------------------------------


async def _attempts(pool: UpstreamPool, to: Deployment) -> list[int | None]:
    """Send a request as an attempt loop does. Return the status of each attempt; None if no token was obtained."""
    statuses: list[int | None] = []
    while True:
        status, error = None, errors.UpstreamError("refused")
        try:
            status = await _status(pool, to)
        except errors.UpstreamAuthFailed as failed:
            error = failed
        statuses.append(status)
        if status == 200 or not pool.can_rotate(to, error, status):
            return statuses


@pytest.mark.parametrize("status", [401, 402, 403, 429])
async def test_each_request_uses_one_credential_and_a_refusal_starts_its_cooldown(
    pool: UpstreamPool, status: int
) -> None:
    vendor = Vendor(two=_no(status))
    async with serving(vendor.script) as server:
        to = server.deployment(credentials=("one", "two"))
        assert await _status(pool, to) == status
        assert vendor.asked == ["two"]
        assert [each.state for each in pool.credential_states([to])] == ["ready", "cooling_down"]
        assert [await _status(pool, to) for _ in range(3)] == [200] * 3
    assert vendor.asked == ["two", "one", "one", "one"]


@pytest.mark.parametrize("status", [402, 403, 429])
async def test_response_that_is_not_about_the_credential_ends_its_cooldown(pool: UpstreamPool, status: int) -> None:
    vendor = Vendor(two=_no(status, "retry-after: 60"))
    async with serving(vendor.script) as server:
        to = server.deployment(credentials=("one", "two"))
        response = await pool.send(to, UpstreamRequest(path="/x", body=b"{}"))
        await response.read(1000)
        response.spare_credential()
        response.spare_credential()
        [_, two] = pool.credential_states([to])
        assert (two.state, two.reason, two.consecutive_refusals, two.uses) == ("ready", None, 0, 1)


@pytest.mark.parametrize("error", [errors.UpstreamRejected("too large"), errors.UpstreamModelMissing("none")])
async def test_error_of_the_request_or_the_model_does_not_rotate(
    pool: UpstreamPool, error: errors.UpstreamError
) -> None:
    async with serving(Vendor(two=_no(429)).script) as server:
        to = server.deployment(credentials=("one", "two"))
        assert await _status(pool, to) == 429
        assert not pool.can_rotate(to, error, 429)
        assert pool.can_rotate(to, errors.UpstreamRateLimited("slow"), 429)


async def test_error_document_that_blames_the_credential_starts_its_cooldown_and_rotates(pool: UpstreamPool) -> None:
    explicit = errors.UpstreamAuthFailed("no")
    explicit.is_explicit = True
    async with serving(Vendor(two=_no(400)).script) as server:
        to = server.deployment(credentials=("one", "two"))
        response = await pool.send(to, UpstreamRequest(path="/x", body=b"{}"))
        await response.read(1000)
        for _ in range(2):
            response.refuse_credential(401)
        [one, two] = pool.credential_states([to])
        assert (one.state, two.state, two.reason) == ("ready", "cooling_down", "unauthorized")
        assert (two.consecutive_refusals, two.uses) == (1, 1)
        for status in (400, 403):
            assert pool.can_rotate(to, explicit, status)
            assert pool.can_rotate(to, errors.UpstreamQuotaExhausted("empty"), status)
            assert not pool.can_rotate(to, errors.UpstreamAuthFailed("no"), status)
            assert not pool.can_rotate(to, errors.UpstreamRejected("wrong"), status)


async def test_an_error_in_a_successful_answer_starts_the_cooldown_and_rotates(pool: UpstreamPool) -> None:
    slow = errors.UpstreamRateLimited("slow")
    async with serving(Vendor().script) as server:
        to = server.deployment(credentials=("one", "two"))
        for refusals in (1, 2):
            while True:
                response = await pool.send(to, UpstreamRequest(path="/x", body=b"{}"))
                if await response.read(1000) == b"two":
                    break
            response.refuse_credential(429)
            response.refuse_credential(429)
            [one, two] = pool.credential_states([to])
            assert (one.state, two.state, two.consecutive_refusals) == ("ready", "cooling_down", refusals)
            assert two.cooldown_remaining_s == pytest.approx(5 * 2 ** (refusals - 1), abs=1)
            assert pool.can_rotate(to, slow, 200)
            assert not pool.can_rotate(to, errors.UpstreamUnavailable("down"), 200)
            assert not pool.can_rotate(to, errors.UpstreamAuthFailed("no"), 200)
            pool.credentials.rotation_of(to).credentials[1].cooldown_until_s = 0.0


@pytest.mark.parametrize(("status", "remaining_s"), [(429, 60.0), (402, 5.0)])
async def test_the_wait_in_the_body_replaces_that_of_the_status(
    pool: UpstreamPool, status: int, remaining_s: float
) -> None:
    async with serving(Vendor(two=_no(429)).script) as server:
        to = server.deployment(credentials=("one", "two"))
        response = await pool.send(to, UpstreamRequest(path="/x", body=b"{}"))
        await response.read(1000)
        response.refuse_credential(429)
        response.refuse_credential(status, 60.0)
        [_, two] = pool.credential_states([to])
        assert two.cooldown_remaining_s == pytest.approx(remaining_s, abs=1)
        assert (two.consecutive_refusals, two.uses) == (1, 1)


async def test_refusal_by_status_is_not_counted_twice(pool: UpstreamPool) -> None:
    async with serving(Vendor(two=_no(403)).script) as server:
        to = server.deployment(credentials=("one", "two"))
        response = await pool.send(to, UpstreamRequest(path="/x", body=b"{}"))
        response.refuse_credential(401)
        response.abort()
        [_, two] = pool.credential_states([to])
        assert (two.reason, two.consecutive_refusals) == ("forbidden", 1)


async def test_attempt_loop_tries_each_usable_credential_once(pool: UpstreamPool) -> None:
    vendor = Vendor(two=_no(429), three=_no(401), one=_no(402))
    async with serving(vendor.script) as server:
        to = server.deployment(credentials=("one", "two", "three", "four"))
        assert await _attempts(pool, to) == [429, 401, 200]
        vendor.answers["four"] = _no(429)
        assert await _attempts(pool, to) == [402, 429]
        assert await _attempts(pool, to) == [429]  # all are cooling down: only the first one to be ready is tried
    assert vendor.asked == ["two", "three", "four", "one", "four", "two"]


@pytest.mark.parametrize("status", [400, 403, 404, 500, 503])
async def test_statuses_that_do_not_rotate(pool: UpstreamPool, status: int) -> None:
    vendor = Vendor(one=_no(status), two=_no(status))
    async with serving(vendor.script) as server:
        assert await _attempts(pool, server.deployment(credentials=("one", "two"))) == [status]


async def test_single_credential_does_not_rotate(pool: UpstreamPool) -> None:
    vendor = Vendor(one=_no(429, "retry-after: 1"))
    async with serving(vendor.script) as server:
        to = server.deployment(credentials=("one",))
        assert await _attempts(pool, to) == [429]
        _rewind(pool, 2)
        assert not pool.can_rotate(to, errors.UpstreamRateLimited("refused"), 429)


async def test_failures_without_a_response_do_not_rotate(pool: UpstreamPool) -> None:
    async with serving(Vendor().script) as server:
        to = server.deployment(credentials=("one", "two"))
        assert await _attempts(pool, to) == [200]
        assert not pool.can_rotate(to, errors.UpstreamConnectFailed("refused"), None)
        assert not pool.can_rotate(to, errors.UpstreamTimeout("slow"), None)


async def test_missing_access_token_rotates(pool: UpstreamPool) -> None:
    async def script(peer: Peer) -> None:
        while True:
            head = await peer.head()
            await peer.reader.readexactly(peer.length)
            is_token = head.startswith("POST /token")
            await peer.send(answer(b'{"error": "invalid_grant"}', status=400) if is_token else answer())

    async with serving(script) as server:
        account = service_account(token_uri=server.base_url.replace("/v1", "/token"))
        assert await _attempts(pool, server.deployment(auth="gcp", credentials=("ya29.good", account))) == [None, 200]
        assert await _attempts(pool, server.deployment(auth="gcp", credentials=(account,))) == [None]


async def test_credential_that_its_scheme_cannot_use_does_not_rotate(pool: UpstreamPool) -> None:
    async with serving(Vendor().script) as server:
        to = server.deployment(auth="gcp", credentials=(json.dumps({"type": "x"}), "ya29.good"))
        assert await _attempts(pool, to) == [None]


# -- the rotation alone --------------------------------------------------------------------------------------------


async def _no_post(url: str, body: bytes) -> tuple[int, bytes]:
    raise AssertionError(f"{url} {body!r}")


def _rotation(count: int) -> CredentialRotation:
    how = build_authenticator("bearer", Secret("x"), _no_post, TaskOwner("test"), FakeClock())
    return CredentialRotation(tuple(Credential(str(number), how) for number in range(count)))


@pytest.mark.parametrize(
    ("status", "retry_after_s", "cooldowns"),
    [
        (429, None, [5, 10, 20, 40, 80, 160, 320, 600, 600]),
        (429, 17.0, [17, 17, 17]),
        (429, 0.0, [1, 1]),
        (429, 1e9, [86_400]),
        (401, None, [600, 600]),
        (402, None, [600, 600]),
        (403, None, [60, 120, 240, 480, 600]),
    ],
)
def test_cooldown_durations(status: int, retry_after_s: float | None, cooldowns: list[float]) -> None:
    rotation = _rotation(1)
    for cooldown_s in cooldowns:
        rotation.record_refusal(0, status, retry_after_s, 1000.0)
        assert rotation.credentials[0].cooldown_until_s == 1000.0 + cooldown_s


def test_undone_refusal_leaves_what_others_have_reported_since() -> None:
    rotation = _rotation(1)
    [credential] = rotation.credentials
    rotation.record_refusal(0, 429, 20.0, 0.0)
    undo = rotation.record_refusal(0, 403, None, 1.0)
    undo()
    assert (credential.cooldown_until_s, credential.consecutive_refusals, credential.reason) == (
        20.0,
        1,
        "rate limited",
    )
    undo = rotation.record_refusal(0, 403, None, 2.0)
    rotation.record_refusal(0, 401, None, 3.0)
    undo()
    assert (credential.cooldown_until_s, credential.reason) == (603.0, "unauthorized")


def test_rotation_is_ready_while_one_credential_is() -> None:
    rotation = _rotation(2)
    rotation.record_refusal(0, 429, None, 0.0)
    assert rotation.has_ready(1.0)
    rotation.record_refusal(1, 401, None, 0.0)
    assert not rotation.has_ready(4.9)
    assert rotation.has_ready(5.0)


def test_success_resets_the_cooldown() -> None:
    rotation = _rotation(2)
    for _ in range(3):
        rotation.record_refusal(0, 429, None, 0.0)
    rotation.record_response(0, 500)
    assert rotation.credentials[0].consecutive_refusals == 3
    rotation.record_response(0, 200)
    rotation.record_refusal(0, 429, None, 0.0)
    assert rotation.credentials[0].cooldown_until_s == 5.0


def test_rotation_skips_credentials_that_are_cooling_down() -> None:
    rotation = _rotation(4)
    rotation.record_refusal(2, 401, None, 0.0)
    assert [rotation.pick(1.0) for _ in range(6)] == [1, 3, 0, 1, 3, 0]
    assert [rotation.pick(601.0) for _ in range(4)] == [1, 2, 3, 0]
