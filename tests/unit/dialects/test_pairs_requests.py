"""Requests of every client for every upstream arrive with the same meaning, are rejected, or report their losses."""

from typing import Any

import msgspec
import pytest

from intellirouter.core import Deployment
from tests.support.dialects.meaning import silent_losses
from tests.support.dialects.pairs import (
    BY_UPSTREAM,
    CLIENTS,
    OTHERS,
    UPSTREAM_DEFAULTS,
    Sent,
    call_of,
    client_of,
    read_back,
    request_cases,
    send,
)

TARGETS = {**BY_UPSTREAM, **OTHERS}
CASES = [
    pytest.param(client, case, id=f"{client}-{name}") for client in CLIENTS for name, case in request_cases(client)
]
REPORTED_BY_OTHERS = {
    "tools[].custom.format": "the loss of `tools` also reports the format",
    "reasoning.summary": "only the kind of summary is lost, the reasoning is still visible",
}


def unreported(client: str, body: bytes, sent: Sent, target: Deployment, losses: dict[str, str]) -> list[str]:
    assert sent.request is not None
    after = read_back(sent.request, target.dialects[0])
    return silent_losses(
        sent.before, after, losses, client_of(client, body).field_names, UPSTREAM_DEFAULTS[target.name]
    )


@pytest.mark.parametrize(("client", "case"), CASES)
def test_all_losses_are_reported(client: str, case: dict[str, Any]) -> None:
    found = {}
    for name, target in TARGETS.items():
        call = call_of(client, case)
        sent = send(call, client, target)
        if sent.refusal is not None:
            assert sent.refusal.message
            assert sent.refusal.param
        elif lost := unreported(client, call.body, sent, target, sent.losses):
            found[name] = lost
    assert found == {}


@pytest.mark.parametrize(("client", "case"), CASES)
def test_encoding_is_repeatable_and_does_not_change_the_conversation(client: str, case: dict[str, Any]) -> None:
    call = call_of(client, case)
    for target in BY_UPSTREAM.values():
        before = msgspec.json.encode(client_of(client, call.body).decode(call))
        first = send(call, client, target)
        second = send(call, client, target)
        assert msgspec.json.encode(client_of(client, call.body).decode(call)) == before
        assert (first.refusal is None) == (second.refusal is None)
        if first.request is not None and second.request is not None:
            assert first.losses == second.losses
            assert first.request.body == second.request.body


def test_the_comparison_finds_unreported_losses() -> None:
    """If the report of a dropped field is removed, the comparison reports the field as lost."""
    missed, checked = set(), 0
    for client in CLIENTS:
        for name, case in request_cases(client):
            for target in BY_UPSTREAM.values():
                call = call_of(client, case)
                sent = send(call, client, target)
                for field in [
                    field for field, how in sent.losses.items() if how == "dropped" and field not in REPORTED_BY_OTHERS
                ]:
                    checked += 1
                    rest = {other: how for other, how in sent.losses.items() if other != field}
                    if not unreported(client, call.body, sent, target, rest):
                        missed.add((client, name, target.name, field))
    assert checked > 200
    assert sorted(missed) == []
