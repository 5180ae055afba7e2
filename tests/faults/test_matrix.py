"""Every fault of MockVendor × every strategy × streamed or not × every dialect has its declared outcome."""

from collections.abc import Iterator

import pytest

from intellirouter.testing import FAULT_KINDS
from tests.support.matrix.cells import cells_of, operation_cells_of, run_cells
from tests.support.matrix.outcomes import Cell
from tests.support.matrix.table import TABLE
from tests.support.matrix.world import STRATEGY_NAMES, Matrix, running_matrix
from tests.support.mock_vendor.faults import EVERY_FAULT
from tests.support.translation.world import CLIENTS, UPSTREAMS


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    with running_matrix(tmp_path_factory.mktemp("matrix")) as running:
        yield running


def test_every_fault_has_a_declared_outcome() -> None:
    declared = set()
    for row in TABLE.values():
        kind = row.fault["kind"]
        chosen = [f";{name}={row.fault.get(name)}" for name in FAULT_KINDS[kind].choices]
        declared.add(kind + "".join(chosen))
    assert set(EVERY_FAULT) <= declared


@pytest.mark.parametrize("client", CLIENTS)
def test_the_cells_cover_every_strategy_and_every_upstream(client: str) -> None:
    cells: list[Cell] = cells_of("hang", client)
    for is_stream in (False, True):
        assert {each.strategy for each in cells if each.is_stream is is_stream} == set(STRATEGY_NAMES)
        assert {each.upstream for each in cells if each.is_stream is is_stream} == set(UPSTREAMS)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("fault", TABLE)
def test_outcome(matrix: Matrix, fault: str, client: str) -> None:
    problems = run_cells(matrix, TABLE[fault], cells_of(fault, client))
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.mark.parametrize("fault", TABLE)
def test_outcome_of_operations_without_streams(matrix: Matrix, fault: str) -> None:
    problems = run_cells(matrix, TABLE[fault], operation_cells_of(fault, list(TABLE).index(fault)))
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)
