"""The features that the golden cases cover, and the outcomes that the generated page shows."""

from itertools import chain

import pytest

from tests.support.dialects.features import (
    ANSWER_FEATURES,
    ORDER,
    REQUEST_FEATURES,
    answer_outcomes,
    case_counts,
    request_outcomes,
)
from tests.support.dialects.golden import DIALECTS, KINDS, load
from tests.support.dialects.pairs import CLIENTS, UPSTREAMS

MIN_CASES = 400
"""The minimum number of cases."""
VOCABULARY = (
    frozenset(REQUEST_FEATURES)
    | frozenset(ANSWER_FEATURES)
    | {"errors", "image_file", "reasoning_signature", "redacted_reasoning"}
)
IN_EVERY_DIALECTS_ANSWERS = ("text", "tools", "parallel_tools", "reasoning", "finish_stop", "finish_length", "unicode")
IN_EVERY_DIALECTS_STREAMS = ("text", "tools", "parallel_tools", "reasoning", "odd_deltas", "empty_content", "usage")
IN_EVERY_CLIENTS_REQUESTS = ("text", "multi_turn", "system", "tools", "parallel_tools", "tool_result", "image_data")


def features_in(dialect: str, kind: str) -> set[str]:
    return set(chain.from_iterable(case["features"] for _, case in load(dialect, kind)))


def test_there_are_enough_cases() -> None:
    assert sum(sum(by_kind.values()) for by_kind in case_counts().values()) >= MIN_CASES


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_case_names_known_features(dialect: str) -> None:
    for kind in KINDS:
        for name, case in load(dialect, kind):
            features = case.get("features") or (["errors"] if kind == "errors" else [])
            assert features, (kind, name)
            assert set(features) <= VOCABULARY, (kind, name)
            assert case["about"].strip(), (kind, name)


@pytest.mark.parametrize("dialect", UPSTREAMS)
def test_responses_of_every_dialect_cover_the_main_features(dialect: str) -> None:
    assert features_in(dialect, "responses") >= set(IN_EVERY_DIALECTS_ANSWERS)
    assert features_in(dialect, "streams") >= set(IN_EVERY_DIALECTS_STREAMS)
    assert len({case["error"]["class"] for _, case in load(dialect, "errors")}) >= 6


@pytest.mark.parametrize("client", CLIENTS)
def test_requests_of_every_client_cover_the_main_features(client: str) -> None:
    assert features_in(client, "requests") >= set(IN_EVERY_CLIENTS_REQUESTS)


def test_rare_features_are_covered() -> None:
    """Some in several dialects: signed and redacted reasoning, the prompt cache, files, refusals, stop reasons."""
    requests = dict.fromkeys(REQUEST_FEATURES, 0)
    answers = dict.fromkeys((*ANSWER_FEATURES, "reasoning_signature", "redacted_reasoning"), 0)
    for dialect in DIALECTS:
        for feature in features_in(dialect, "requests") & requests.keys():
            requests[feature] += 1
        for feature in (features_in(dialect, "responses") | features_in(dialect, "streams")) & answers.keys():
            answers[feature] += 1
    assert [feature for feature, dialects in (requests | answers).items() if dialects == 0] == []
    several = ("cache_usage", "refusal", "citations", "redacted_reasoning", "finish_content_filter", "finish_context")
    assert [feature for feature in several if answers[feature] < 2] == []
    assert [feature for feature in ("pdf", "cache_mark", "json_schema") if requests[feature] < 2] == []


def test_every_pair_has_an_outcome_for_common_features() -> None:
    outcomes = request_outcomes()
    for client in CLIENTS:
        for feature in ("text", "tools", "image_data", "tool_result"):
            assert outcomes[client][feature].keys() == set(UPSTREAMS)
            assert outcomes[client][feature]["openai_chat"].outcome in ORDER
        assert all(cell.outcome == "honored" for cell in outcomes[client]["text"].values())


def test_all_features_are_honored_within_one_dialect() -> None:
    for found in (request_outcomes(), answer_outcomes()):
        for client in CLIENTS:
            lost = {
                name for name, cells in found[client].items() if client in cells and cells[client].outcome != "honored"
            }
            assert lost == set()
