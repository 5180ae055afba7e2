"""A generation authenticates callers by the time of its own clock."""

import hashlib

import pytest

from intellirouter.config.runtime import KeySpec
from intellirouter.core import errors
from intellirouter.governance import ANONYMOUS
from intellirouter.testing import FakeClock
from tests.support.pipeline import World


def key(secret: bytes, name: str, expires_in_s: float) -> KeySpec:
    expires_us = FakeClock().epoch_us() + round(expires_in_s * 1e6)
    return KeySpec(digest=hashlib.sha256(secret).digest(), tenant="acme", name=name, expires_us=expires_us)


KEYS = (key(b"sk-1", "ci", 60.0), key(b"sk-2", "docs", 600.0))


async def test_key_is_valid_until_it_expires() -> None:
    world = World(keys=KEYS)
    generation = world.current.value
    assert generation.identify(b"sk-1").key_name == "ci"
    world.clock.advance(59.0)
    assert generation.identify(b"sk-1").key_name == "ci"
    world.clock.advance(1.0)
    with pytest.raises(errors.Unauthenticated, match="expired"):
        generation.identify(b"sk-1")
    assert generation.identify(b"sk-2").key_name == "docs"


async def test_identity_of_a_key_name_is_the_one_that_the_key_has_now() -> None:
    world = World(keys=KEYS)
    generation = world.current.value
    identity = generation.identity_of("acme", "ci")
    assert (identity.tenant, identity.key_name) == ("acme", "ci")
    assert generation.identity_of("acme", "docs").key_name == "docs"
    world.clock.advance(60.0)
    with pytest.raises(errors.Unauthenticated, match="removed or has expired"):
        generation.identity_of("acme", "ci")
    assert generation.identity_of("acme", "docs").key_name == "docs"


@pytest.mark.parametrize(("tenant", "key_name"), [("acme", "gone"), ("other", "ci"), ("acme", None)])
async def test_unknown_key_name_has_no_identity(tenant: str, key_name: str | None) -> None:
    with pytest.raises(errors.Unauthenticated, match="removed or has expired"):
        World(keys=KEYS).current.value.identity_of(tenant, key_name)


async def test_every_caller_is_anonymous_if_no_key_is_required() -> None:
    generation = World().current.value
    assert generation.identify(None) is ANONYMOUS
    assert generation.identity_of("default", None) is ANONYMOUS
