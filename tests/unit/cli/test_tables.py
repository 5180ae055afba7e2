"""How tables fit on terminals."""

import pytest

from intellirouter.cli.output import LinePrinter, make_table, print_data
from intellirouter.cli.tables import Part, Table, cell_width, fit_parts, lay_out, wrap, wrap_prose

REQUEST_ID = "req_01a229b7b577970031f44e154d80118a"
REQUESTS = Table(
    headings=("TIME", "REQUEST", "STATUS", "ERROR"),
    rows=[("11-29 23:50:35", REQUEST_ID, "200", "–"), ("11-29 23:50:36", REQUEST_ID, "502", "upstream_unavailable")],
    right=frozenset({"STATUS"}),
    optional=("TIME", "ERROR", "STATUS"),
)


@pytest.mark.parametrize(
    ("width", "hidden"),
    [
        (200, ()),
        (80, ("TIME",)),
        (70, ("TIME",)),
        (60, ("ERROR",)),
        (45, ("TIME", "ERROR")),
        (10, ("TIME", "STATUS", "ERROR")),
    ],
)
def test_narrow_terminal_gets_fewer_columns_and_no_broken_id(width: int, hidden: tuple[str, ...]) -> None:
    layout = lay_out(REQUESTS, width)
    assert layout.hidden == hidden
    assert all(line.count(REQUEST_ID) == 1 for line in layout.lines[layout.heading_lines :])
    assert all(len(line) <= max(width, len(REQUEST_ID)) for line in layout.lines)
    assert len(layout.lines) == 3


def test_columns_are_aligned_without_trailing_spaces() -> None:
    lines = lay_out(REQUESTS, 200).lines
    assert lines[0] == "TIME            REQUEST                               STATUS  ERROR"
    assert lines[1] == f"11-29 23:50:35  {REQUEST_ID}     200  –"


def test_prose_is_wrapped_between_words() -> None:
    table = Table(("NAME", "REASON"), [("mini-1", "the breaker is open")], wrapped=frozenset({"REASON"}))
    assert lay_out(table, 20).lines == ["NAME    REASON", "mini-1  the breaker", "        is open"]
    assert lay_out(table, 80).lines == ["NAME    REASON", "mini-1  the breaker is open"]


def test_names_in_a_list_are_not_broken() -> None:
    names = "echo, a-deployment-with-a-long-name"
    table = Table(("MODEL", "DEPLOYMENTS"), [("mini", names)], wrapped=frozenset({"DEPLOYMENTS"}))
    assert lay_out(table, 10).lines[1:] == ["mini   echo,", "       a-deployment-with-a-long-name"]


def test_headings_of_spaces_are_not_printed() -> None:
    layout = lay_out(Table(("", " "), [("status", "200")]), 80)
    assert layout.lines == ["status  200"]
    assert layout.heading_lines == 0


def test_table_without_rows_has_its_headings() -> None:
    assert lay_out(Table(("A", "B"), []), 80).lines == ["A  B"]


@pytest.mark.parametrize(("text", "cells"), [("abc", 3), ("grüße", 5), ("日本", 4), ("e\u0301", 1), ("", 0)])
def test_cell_width(text: str, cells: int) -> None:
    assert cell_width(text) == cells


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("", 5, [""]),
        ("a b", 5, ["a b"]),
        ("abc def", 4, ["abc", "def"]),
        ("abcdefgh i", 3, ["abc", "def", "gh", "i"]),
        ("日本語", 2, ["日", "本", "語"]),
    ],
)
def test_wrap(text: str, width: int, lines: list[str]) -> None:
    assert wrap(text, width) == lines


def test_parts_with_the_highest_rank_are_left_out_first() -> None:
    time, request, status = Part("10:00:00", 1, "TIME"), Part("req_1", 0, "REQUEST"), Part("200", 2, "STATUS")
    parts = [time, request, status, Part("", 3, "ERROR")]
    assert fit_parts(parts, 80) == ("10:00:00  req_1  200", [])
    assert fit_parts(parts, 15) == ("10:00:00  req_1", [status])
    assert fit_parts(parts, 3) == ("req_1", [status, time])


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intellirouter.cli.output._output_columns", lambda: 18)


@pytest.mark.usefixtures("narrow")
def test_parts_that_do_not_fit_are_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    printer = LinePrinter()
    for code in ("", "", "late"):
        printer.print([Part("req_1", 0, "REQUEST"), Part("10:00:00", 2, "TIME"), Part(code, 1, "ERROR")])
    shown = capsys.readouterr()
    assert shown.out.splitlines() == ["req_1  10:00:00", "req_1  10:00:00", "req_1  late"]
    assert shown.err == "Columns that do not fit: TIME. Use a wider terminal, or --format json.\n"


@pytest.mark.usefixtures("narrow")
def test_columns_of_all_tables_that_do_not_fit_are_named_in_one_note(capsys: pytest.CaptureFixture[str]) -> None:
    first = make_table(("ID", "SCORE", "REASON"), [("req_1", 0.5, "cheapest")], optional=("SCORE", "REASON"))
    second = make_table(("ID", "MESSAGE"), [("req_1", "upstream failed")], optional=("MESSAGE",))
    print_data({}, "table", lambda: [first, "", second, first])
    assert capsys.readouterr().err == (
        "Columns that do not fit: SCORE, MESSAGE. Use a wider terminal, or --format json.\n"
    )


def test_a_legend_is_printed_only_with_its_column() -> None:
    table = Table(("ID", "TIME"), [("req_1", "▒" * 20)], optional=("TIME",), legends={"TIME": ("▒ waiting",)})
    assert list(lay_out(table, 40).lines)[-1] == "▒ waiting"
    narrow = lay_out(table, 20)
    assert (list(narrow.lines), narrow.hidden) == (["ID", "req_1"], ("TIME",))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one two three four", ["one two", "three four"]),
        ("  one two three", ["  one two", "  three"]),
        ("see `a b c d e f` now", ["see", "`a b c d e f`", "now"]),
        ("averyverylongword x", ["averyverylongword", "x"]),
        ("one twos.  [file a:1]", ["one twos.", "[file a:1]"]),
        ("short", ["short"]),
        ("", [""]),
    ],
)
def test_wrap_prose(text: str, lines: list[str]) -> None:
    assert wrap_prose(text, 10) == lines
