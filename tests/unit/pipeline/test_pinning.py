"""Models that are restricted to who has created what a request refers to."""

import re

import pytest
from msgspec import structs

from intellirouter.catalog import ResolvedModel
from intellirouter.core import HedgingPolicy, Pin, Reference, Secret, errors
from intellirouter.pipeline.pinning import Pinning
from tests.support.pipeline import deployment

A, B, C = Secret("key a"), Secret("key b"), Secret("key c")


def model() -> ResolvedModel:
    pool = (
        deployment("one", provider="p", credentials=(A, B)),
        deployment("two", provider="p", credentials=(A,)),
        deployment("bare", provider="q"),
    )
    fallbacks = (deployment("last", provider="r", credentials=(C,)),)
    return ResolvedModel(
        model="m",
        kind="model",
        strategy="round_robin",
        pool=pool,
        fallbacks=fallbacks,
        request_timeout_s=60.0,
        hedging=HedgingPolicy(),
        by_name={each.name: each for each in (*pool, *fallbacks)},
    )


def restricted(pin: Pin, *, is_required: bool = True) -> ResolvedModel:
    return Pinning().apply(model(), Reference(pin, "'x'", is_required))


@pytest.mark.parametrize(
    ("pin", "expected"),
    [
        (Pin("p", "one", B.fingerprint), [("one", (B,))]),
        (Pin("p", "two", A.fingerprint), [("two", (A,))]),
        (Pin("p", "removed", A.fingerprint), [("one", (A,)), ("two", (A,))]),
        (Pin("q", "bare"), [("bare", ())]),
        (Pin("r", "last", C.fingerprint), [("last", (C,))]),
    ],
)
def test_only_the_creator_is_left(pin: Pin, expected: list[tuple[str, tuple[Secret, ...]]]) -> None:
    found = restricted(pin)
    assert [(each.name, each.credentials) for each in found.pool] == expected
    assert (found.fallbacks, found.hedging, found.affinity) == ((), None, None)
    assert list(found.by_name.values()) == list(found.pool)
    names = " and ".join(name for name, _ in expected)
    assert found.pin == f"only {names} can read what the request refers to"


@pytest.mark.parametrize("is_required", [True, False])
@pytest.mark.parametrize("pin", [Pin("p", "one", "gone"), Pin("p", "one"), Pin("q", "bare", "had one")])
def test_without_the_credential_there_is_an_error_with_a_hint(pin: Pin, is_required: bool) -> None:
    with pytest.raises(errors.NoEligibleDeployment, match=re.escape(f"of the provider '{pin.provider}'")) as caught:
        restricted(pin, is_required=is_required)
    assert (caught.value.status, caught.value.code) == (400, "creator_not_available")
    assert "refers to 'x'" in caught.value.message
    assert "Configure that credential again" in caught.value.hint


def test_other_provider_can_do_without_what_is_not_required() -> None:
    one = model()
    reference = Reference(Pin("other", "x", "0"), "reasoning", is_required=False)
    assert Pinning().apply(one, reference) is one
    with pytest.raises(errors.NoEligibleDeployment):
        Pinning().apply(one, structs.replace(reference, is_required=True))


def test_same_restriction_is_the_same_object_whatever_the_request_refers_to() -> None:
    pinning, one, pin = Pinning(), model(), Pin("p", "one", B.fingerprint)
    first, second = (pinning.apply(one, Reference(pin, label)) for label in ("'x'", "'y'"))
    assert first is second
