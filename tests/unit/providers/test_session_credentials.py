"""The credential of a session: the same one as long as it is usable, in every gateway."""

from collections import Counter

import pytest

from intellirouter.core import CredentialChoice, Deployment, UpstreamRequest
from intellirouter.providers import UpstreamPool
from tests.support.providers.loopback import answer, serving
from tests.unit.providers.test_rotation import Vendor, _no

NAMES = ("one", "two", "three", "four")


async def used(pool: UpstreamPool, to: Deployment, key: bytes, preferred: str = "") -> tuple[int, str]:
    request = UpstreamRequest(path="/x", body=b"{}", credential=CredentialChoice(key, preferred))
    response = await pool.send(to, request)
    fingerprint = response.credential_fingerprint
    await response.read(1000)
    return response.status, fingerprint


async def test_requests_of_a_session_use_one_credential_and_sessions_are_spread(pool: UpstreamPool) -> None:
    vendor = Vendor()
    async with serving(vendor.script) as server:
        to = server.deployment(credentials=NAMES)
        fingerprints = {each.fingerprint for each in to.credentials}
        counts: Counter[str] = Counter()
        for number in range(40):
            seen = {(await used(pool, to, b"%d" % number))[1] for _ in range(3)}
            assert len(seen) == 1
            counts.update(seen)
    assert counts.keys() == fingerprints
    assert set(vendor.asked) == set(NAMES)


async def test_preferred_credential_is_used_until_it_cools_down_and_then_only_its_sessions_move(
    pool: UpstreamPool,
) -> None:
    vendor = Vendor()
    async with serving(vendor.script) as server:
        to = server.deployment(credentials=NAMES)
        two = to.credentials[1].fingerprint
        before = {key: (await used(pool, to, key))[1] for key in (b"%d" % number for number in range(30))}
        assert await used(pool, to, b"any", two) == (200, two)
        vendor.answers["two"] = _no(429)
        assert await used(pool, to, b"any", two) == (429, two)
        status, other = await used(pool, to, b"any", two)
        assert status == 200
        assert other != two
        after = {key: (await used(pool, to, key))[1] for key in before}
    assert {key for key in before if before[key] != after[key]} == {key for key in before if before[key] == two}


async def test_if_all_cool_down_one_is_used_nevertheless(pool: UpstreamPool) -> None:
    vendor = Vendor(one=_no(429), two=_no(429))
    async with serving(vendor.script) as server:
        to = server.deployment(credentials=("one", "two"))
        assert [(await used(pool, to, b"k"))[0] for _ in range(4)] == [429] * 4
    assert set(vendor.asked) == {"one", "two"}


@pytest.mark.parametrize("credentials", [("one",), ()])
async def test_deployment_with_one_credential_or_none(pool: UpstreamPool, credentials: tuple[str, ...]) -> None:
    vendor = Vendor()
    vendor.answers[""] = answer(b"{}")
    async with serving(vendor.script) as server:
        to = server.deployment(credentials=credentials)
        expected = to.credentials[0].fingerprint if credentials else ""
        assert await used(pool, to, b"k", "unknown") == (200, expected)
