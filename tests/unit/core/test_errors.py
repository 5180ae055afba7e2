"""The error tree keeps the contract that its docstring draws."""

import logging
import re

import pytest

from intellirouter.core import errors
from intellirouter.core.errors import GatewayError

TREE = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, GatewayError)]
every_error = pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
DRAWN = re.findall(r"[├└]── (\w+) +(\d{3}|4xx) +([a-z_]+)", errors.__doc__ or "")


@every_error
def test_each_class_fixes_its_contract(kind: type[GatewayError]) -> None:
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
    assert kind.hint == "" or kind.hint[-1] in ".`"


@every_error
def test_what_can_be_tried_again_can_be_tried_elsewhere(kind: type[GatewayError]) -> None:
    assert kind.fallback or not kind.retryable


@every_error
def test_blame_goes_with_the_branch(kind: type[GatewayError]) -> None:
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
def test_an_error_says_what_it_is_told(kind: type[GatewayError]) -> None:
    plain = kind("It broke.")
    assert (plain.message, str(plain), plain.param, plain.retry_after_s) == ("It broke.", "It broke.", None, None)
    assert (plain.code, plain.status, plain.hint) == (kind.code, kind.status, kind.hint)
    told = kind("No.", code="other", param="p", status=418, hint="", retry_after_s=0.0)
    assert (told.code, told.param, told.status, told.hint, told.retry_after_s) == ("other", "p", 418, "", 0.0)
    assert (kind("x").code, kind("x").status) == (kind.code, kind.status)


def test_the_drawing_is_the_tree() -> None:
    assert len(DRAWN) >= 25
    for name, status, code in DRAWN:
        kind = getattr(errors, name)
        if kind is errors.UpstreamRejected:
            assert status == "4xx"  # and the code is the vendor's
        else:
            assert (code, status) == (kind.code, str(kind.status))
    leaves = {kind.__name__ for kind in TREE if not kind.__subclasses__()}
    assert leaves <= {name for name, _, _ in DRAWN}


def test_a_vendors_body_belongs_to_one_error() -> None:
    one = errors.UpstreamRejected("x")
    one.vendor_body = b"{}"
    assert errors.UpstreamRejected("x").vendor_body is None
