"""Authentication: the identity of a key, and errors that do not reveal the key."""

import hashlib
import time

import pytest
from msgspec import structs

from intellirouter.config import KeySpec
from intellirouter.core import errors
from intellirouter.governance import ANONYMOUS, Identity, KeyRing


def key(secret: str, **settings: object) -> KeySpec:
    values = {"tenant": "acme", "name": "ci", **settings}
    return KeySpec(digest=hashlib.sha256(secret.encode()).digest(), **values)  # type: ignore[arg-type]


def ring(*keys: KeySpec, is_required: bool = True) -> KeyRing:
    return KeyRing(keys, is_required=is_required)


def test_known_key_identifies_the_caller() -> None:
    keys = ring(key("one", grants=frozenset({"admin"})), key("two", tenant="other", name="dev"))
    assert keys.identify(b"one", 0) == Identity("acme", "ci", frozenset({"admin"}))
    assert keys.identify(b"one", 0).is_admin
    other = keys.identify(b"two", 0)
    assert (other.tenant, other.key_name, other.is_admin) == ("other", "dev", False)


@pytest.mark.parametrize("presented", [b"wrong", b"on", b"ONE", b"one ", b"\xff\x00", b"one" * 5000])
def test_unknown_key_is_rejected_if_keys_are_required(presented: bytes) -> None:
    with pytest.raises(errors.Unauthenticated, match="Incorrect API key") as caught:
        ring(key("one")).identify(presented, 0)
    assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")


@pytest.mark.parametrize("presented", [None, b""])
def test_missing_key_is_rejected_if_keys_are_required(presented: bytes | None) -> None:
    with pytest.raises(errors.Unauthenticated) as caught:
        ring(key("one")).identify(presented, 0)
    assert (caught.value.status, caught.value.code) == (401, "missing_api_key")
    assert caught.value.message == "You didn't provide an API key.", "clients match OpenAI's wording"


@pytest.mark.parametrize("presented", [None, b"", b"sk-anything", b"x" * 100_000])
def test_any_key_is_accepted_if_there_are_none(presented: bytes | None) -> None:
    assert ring(is_required=False).identify(presented, 0) is ANONYMOUS


@pytest.mark.parametrize("presented", [b"wrong", b"ONE", b"x" * 100_000])
def test_unknown_key_is_rejected_even_if_none_is_required(presented: bytes) -> None:
    with pytest.raises(errors.Unauthenticated, match="Incorrect API key"):
        ring(key("one"), is_required=False).identify(presented, 0)


@pytest.mark.parametrize("presented", [None, b""])
def test_caller_without_a_key_is_no_admin_if_there_are_keys(presented: bytes | None) -> None:
    caller = ring(key("one"), is_required=False).identify(presented, 0)
    assert (caller.tenant, caller.key_name, caller.is_admin) == ("default", None, False)
    assert caller.may_use("anything")


def test_known_key_identifies_the_caller_even_if_none_is_required() -> None:
    assert ring(key("one"), is_required=False).identify(b"one", 0).key_name == "ci"


def test_key_permits_no_less_than_no_key() -> None:
    keys = ring(key("one", models=("gpt-*",)), is_required=False)
    for caller in (keys.identify(b"one", 0), keys.by_name("acme", "ci", 0)):
        assert caller.may_use("claude")


@pytest.mark.parametrize(
    ("grants", "readable"),
    [
        ((), {("acme", "ci")}),
        (("requests:read",), {("acme", "ci"), ("acme", "dev"), ("acme", None)}),
        (("admin",), {("acme", "ci"), ("acme", "dev"), ("acme", None), ("other", "ci"), ("-", None)}),
    ],
)
def test_grants_decide_whose_requests_a_key_reads(
    grants: tuple[str, ...], readable: set[tuple[str, str | None]]
) -> None:
    caller = ring(key("one", grants=frozenset(grants))).identify(b"one", 0)
    owners = [("acme", "ci"), ("acme", "dev"), ("acme", None), ("other", "ci"), ("-", None)]
    assert {owner for owner in owners if caller.may_read(*owner)} == readable


@pytest.mark.parametrize("is_required", [True, False])
def test_expired_key_is_rejected(is_required: bool) -> None:
    keys = ring(key("one", expires_us=1000), is_required=is_required)
    assert keys.identify(b"one", 999).key_name == "ci"
    with pytest.raises(errors.Unauthenticated) as caught:
        keys.identify(b"one", 1000)
    assert (caught.value.code, caught.value.message) == ("expired_api_key", "This API key has expired.")


@pytest.mark.parametrize(
    ("presented", "shown"),
    [
        (b"sk-1234567890abcdefghij", "sk-********ghij"),
        (b"sk-123", "********"),
        (b"x" * 19, "********"),
        (b"x" * 19 + b"\n", "********"),
        (b"abc" + b"x" * 13 + b"wxyz", "abc********wxyz"),
    ],
)
def test_rejected_key_is_masked(presented: bytes, shown: str) -> None:
    with pytest.raises(errors.Unauthenticated) as caught:
        ring(key("one")).identify(presented, 0)
    assert caught.value.message == f"Incorrect API key provided: {shown}."
    assert presented.decode() not in caught.value.message


def test_key_has_at_most_4096_bytes() -> None:
    keys = ring(key("k" * 4096), key("k" * 4097))
    assert keys.identify(b"k" * 4096, 0).key_name == "ci"
    with pytest.raises(errors.Unauthenticated):
        keys.identify(b"k" * 4097, 0)


def test_long_key_is_not_repeated() -> None:
    with pytest.raises(errors.Unauthenticated) as caught:
        ring(key("one")).identify(b"k" * 1_000_000, 0)
    assert len(caught.value.message) < 100


@pytest.mark.parametrize(
    ("globs", "allowed", "forbidden"),
    [
        (("*",), ["gpt", "", "a/b\nc"], []),
        (("gpt-*", "fake/*"), ["gpt-", "gpt-5", "fake/echo", "fake/a/b"], ["gpt", "xgpt-5", "fake", "other"]),
        (("a?c", "x[12]"), ["abc", "x1"], ["ac", "x3", "abcd"]),
        (("a.c",), ["a.c"], ["abc", "a.c\n"]),
        (("a|b",), ["a|b"], ["a", "b"]),
        ((), [""], ["gpt"]),
        (("gpt", "*"), ["anything"], []),
    ],
)
def test_models_of_a_key_are_globs(globs: tuple[str, ...], allowed: list[str], forbidden: list[str]) -> None:
    identity = ring(key("one", models=globs)).identify(b"one", 0)
    assert all(identity.may_use(model) for model in allowed)
    assert not any(identity.may_use(model) for model in forbidden)


def test_glob_with_many_stars_is_matched_quickly() -> None:
    identity = ring(key("one", models=("*a" * 30 + "b",))).identify(b"one", 0)
    started = time.process_time()
    assert not identity.may_use("a" * 512)
    assert time.process_time() - started < 2.0


def test_anonymous_caller_has_all_permissions() -> None:
    assert ANONYMOUS.is_admin
    assert ANONYMOUS.may_use("anything")
    assert (ANONYMOUS.tenant, ANONYMOUS.key_name) == ("default", None)


def test_key_ring_does_not_store_keys() -> None:
    assert "one-secret" not in repr(vars(ring(key("one-secret"))))


def test_identity_is_found_by_key_name() -> None:
    keys = ring(key("one", models=("gpt-*",)), key("two", tenant="other", name="ci"))
    assert keys.by_name("acme", "ci", 0) == keys.identify(b"one", 0)
    assert keys.by_name("other", "ci", 0).tenant == "other"


def test_name_of_a_removed_or_expired_key_is_rejected() -> None:
    keys = ring(key("one", expires_us=5))
    for tenant, name, now_us in (("acme", "ci", 5), ("acme", "dev", 0), ("other", "ci", 0), ("default", None, 0)):
        with pytest.raises(errors.Unauthenticated) as caught:
            keys.by_name(tenant, name, now_us)
        assert caught.value.message == "The API key of the original request was removed or has expired."
        assert caught.value.hint == "Send the request again with a valid key."


def test_anonymous_caller_exists_only_if_no_key_is_required() -> None:
    assert ring(is_required=False).by_name("default", None, 0) is ANONYMOUS
    with pytest.raises(errors.Unauthenticated):
        ring(is_required=False).by_name("acme", None, 0)


def test_work_of_an_anonymous_caller_continues_after_keys_were_added() -> None:
    caller = ring(key("one"), is_required=False).by_name("default", None, 0)
    assert (caller.key_name, caller.is_admin) == (None, False)


def test_priority_is_that_of_the_key_and_lowest_in_the_background() -> None:
    identity = ring(key("one", priority="interactive")).identify(b"one", 0)
    assert identity.priority == "interactive"
    assert identity.in_background() == structs.replace(identity, priority="batch")
