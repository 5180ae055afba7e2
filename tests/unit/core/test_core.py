"""The values that all rooms share: call, decision, deployment, record, vendor."""

import msgspec
import pytest

from intellirouter import core
from intellirouter.core import (
    RECORD_VERSION,
    Attempt,
    Call,
    Candidate,
    Decision,
    Deployment,
    ExchangeRecord,
    Price,
    Secret,
    Timeouts,
    UpstreamAddress,
    Usage,
    VendorRow,
)


def test_door_exports_all_names() -> None:
    assert all(hasattr(core, name) for name in core.__all__)
    assert sorted(core.__all__) == sorted(set(core.__all__))


def deployment(name: str = "d") -> Deployment:
    return Deployment(
        name=name,
        provider="p",
        vendor="v",
        upstream_model="m",
        address=UpstreamAddress(base_url="http://x"),
        credentials=(Secret("hunter2"),),
    )


def test_secret_is_never_printed() -> None:
    secret = Secret("hunter2")
    assert secret.reveal() == "hunter2"
    shown = f"{secret} {secret!r} {secret!s} {[secret]} {deployment()}" + "%s %r" % (secret, secret)  # noqa: UP031
    assert "hunter2" not in shown
    assert "Secret(***)" in shown
    with pytest.raises(TypeError):
        msgspec.json.encode(secret)
    with pytest.raises(TypeError):
        msgspec.json.encode(deployment())


def test_secrets_are_compared_by_value() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def test_deployments_with_the_same_name_are_not_equal() -> None:
    one, other = deployment(), deployment()
    assert one != other
    assert len({one, other}) == 2


def test_unknown_facts_of_a_deployment_are_none() -> None:
    made = deployment()
    assert (made.price, made.context_tokens, made.capabilities, made.retries) == (None, None, None, None)
    assert made.timeouts == Timeouts()


@pytest.mark.parametrize(
    "value",
    [
        Timeouts(),
        UpstreamAddress(base_url="x"),
        Usage(),
        Price(input=1, output=1),
        Candidate("d", "p", "m", "chosen", "r"),
        VendorRow(name="n", title="t"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_cannot_be_changed(value: msgspec.Struct) -> None:
    with pytest.raises(AttributeError):
        setattr(value, value.__struct_fields__[0], "other")


def test_call_has_no_requirements_by_default() -> None:
    call = Call(operation="chat", model="m", body=b"{}")
    assert (call.is_stream, call.wants_usage, call.needs, call.max_output_tokens) == (False, False, frozenset(), None)


def test_record_is_decoded_unchanged() -> None:
    record = ExchangeRecord(
        request_id="req_1",
        started_us=5,
        endpoint="/v1/x",
        tenant="t",
        status=200,
        duration_ms=1.5,
        decision=Decision("m", "priority", "r", ("d",), 1, (Candidate("d", "p", "m", "chosen", "r", 0.0),)),
        attempts=(Attempt(deployment="d", kind="first", started_ms=0.1, outcome="ok"),),
        usage=Usage(input_tokens=1),
        dropped=("seed",),
    )
    assert msgspec.json.decode(msgspec.json.encode(record), type=ExchangeRecord) == record
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=ExchangeRecord) == record
    assert record.v == RECORD_VERSION


def test_record_of_a_later_version_with_more_fields_can_be_decoded() -> None:
    text = b'{"request_id":"r","started_us":1,"endpoint":"/","tenant":"t","status":200,"duration_ms":1,"later":[1]}'
    assert msgspec.json.decode(text, type=ExchangeRecord).request_id == "r"
