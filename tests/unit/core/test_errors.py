"""The error classes match the tree in their module's docstring, and messages and hints are joined as sentences."""

import logging
import re

import pytest

from intellirouter.core import errors
from intellirouter.core.errors import GatewayError

TREE = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, GatewayError)]
every_error = pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
DOCUMENTED = re.findall(r"[├└]── (\w+) +(\d{3}|4xx) +([a-z_]+)", errors.__doc__ or "")


@every_error
def test_attributes_of_each_class_are_valid(kind: type[GatewayError]) -> None:
    assert re.fullmatch(r"[a-z_]+", kind.code)
    assert 400 <= kind.status <= 599
    assert kind.type in {
        "api_error",
        "invalid_request_error",
        "permission_error",
        "insufficient_quota",
        "rate_limit_error",
    }
    assert kind.blame in {"client", "policy", "upstream", "host", "gateway"}
    assert kind.log_level in {logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR}
    assert kind.hint == "" or kind.hint.endswith(".")


@every_error
def test_retryable_errors_also_allow_fallback(kind: type[GatewayError]) -> None:
    assert kind.fallback or not kind.retryable


@every_error
def test_blame_matches_the_branch_of_the_tree(kind: type[GatewayError]) -> None:
    expected = {
        errors.ClientError: "client",
        errors.PolicyError: "policy",
        errors.HostError: "host",
        errors.UpstreamRejected: "client",
        errors.UnsupportedFeature: "client",
        errors.UpstreamError: "upstream",
        GatewayError: "gateway",
    }
    assert kind.blame == next(blame for branch, blame in expected.items() if issubclass(kind, branch))


@every_error
def test_instance_overrides_attributes_of_its_class(kind: type[GatewayError]) -> None:
    plain = kind("It broke.")
    assert (plain.message, str(plain), plain.param, plain.retry_after_s) == ("It broke.", "It broke.", None, None)
    assert (plain.code, plain.status, plain.hint) == (kind.code, kind.status, kind.hint)
    one = kind("No.", code="other", param="p", status=418, hint="", retry_after_s=0.0)
    assert (one.code, one.param, one.status, one.hint, one.retry_after_s) == ("other", "p", 418, "", 0.0)
    assert (kind("x").code, kind("x").status) == (kind.code, kind.status)


def test_docstring_lists_every_class_with_status_and_code() -> None:
    assert len(DOCUMENTED) >= 25
    for name, status, code in DOCUMENTED:
        kind = getattr(errors, name)
        if kind is errors.UpstreamRejected:
            assert status == "4xx"  # and the code is the vendor's
        else:
            assert (code, status) == (kind.code, str(kind.status))
    leaves = {kind.__name__ for kind in TREE if not kind.__subclasses__()}
    assert leaves <= {name for name, _, _ in DOCUMENTED}


def test_vendor_body_belongs_to_one_instance() -> None:
    one = errors.UpstreamRejected("x")
    one.vendor_body = b"{}"
    assert errors.UpstreamRejected("x").vendor_body is None


@pytest.mark.parametrize(
    ("message", "hint", "full"),
    [
        ("It failed.", "Fix it.", "It failed. Fix it."),
        ("Connection refused", "Start it.", "Connection refused. Start it."),
        ("Is it running?", "Start it.", "Is it running? Start it."),
        ('It said "no."', "Ask again.", 'It said "no." Ask again.'),
        ("It failed (twice).", "", "It failed (twice)."),
        ("model 'x' not found", "", "model 'x' not found"),
        ("", "Fix it.", "Fix it."),
        ("", "", ""),
    ],
)
def test_message_and_hint_are_joined_as_sentences(message: str, hint: str, full: str) -> None:
    assert errors.join_sentences(message, hint) == full
    assert errors.InvalidRequest(message, hint=hint).full_message == full


@pytest.mark.parametrize(
    ("message", "sentence"), [("busy", "busy."), ("Busy.", "Busy."), ("Why?", "Why?"), ("", ""), ("more…", "more…")]
)
def test_missing_full_stop_is_added(message: str, sentence: str) -> None:
    assert errors.as_sentence(message) == sentence
