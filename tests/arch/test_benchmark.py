"""The benchmark: its plan, its ratios and tables, and how the cost report assigns time to steps."""

import sys
from collections import Counter
from types import FrameType

import pytest

from bench import __main__ as command
from bench.closed_loop import Series, ratios
from bench.cost import callgrind, report, sampler, steps
from bench.cost.steps import CpuTime, Samples
from bench.endurance import slope
from bench.latency import added, summary
from bench.load import H2Load, Throughput, Timings, parse_h2load
from bench.pairs import ANTHROPIC, CHAT_TO_MESSAGES, DIALECTS, LARGE, MESSAGES_RELAY, OPENAI, RELAY, SMALL, Dialect
from bench.processes import MachineTime
from bench.report import markdown_table
from bench.run import Case, Plan
from bench.upstream import split_text

SPINE = "intellirouter.pipeline.spine"


# The plan and the load


def test_default_plan_is_not_changed_by_options_that_are_not_given() -> None:
    assert command.make_plan(command.parse([])) == Plan()


def test_options_select_loads_in_a_fixed_order() -> None:
    options = ["--quick", "--connections", "1", "32", "--sizes", "large", "small", "--pairs", "openai_to_anthropic"]
    plan = command.make_plan(command.parse([*options, "--slow-streams", "5000"]))
    assert plan.rounds == command.QUICK.rounds
    assert (plan.connections, plan.sizes) == ((1, 32), (SMALL, LARGE))
    assert (plan.pairs, plan.slow_streams) == ((CHAT_TO_MESSAGES,), (5000,))


def test_soak_runs_only_on_request() -> None:
    assert set(command.PHASES) - set(command.parse([]).phase) == {"soak"}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_large_bodies_have_about_100_kb(dialect: Dialect) -> None:
    assert 95_000 < len(dialect.body("bench-1", is_stream=False, size=LARGE)) < 110_000
    assert 95_000 < len(dialect.answer(LARGE)) < 110_000
    assert len(dialect.events(LARGE)) > LARGE.stream_events


def test_streams_of_both_dialects_have_the_same_text() -> None:
    for size in (SMALL, LARGE):
        texts = [sum(" human" in event for event in dialect.events(size)) for dialect in (OPENAI, ANTHROPIC)]
        assert texts[0] == texts[1] > 0


def test_text_is_split_by_the_length_of_its_quoted_form() -> None:
    text = "it's\n" * 5
    parts = split_text(text, limit=9)
    assert "".join(parts) == text
    assert all(len(part) + part.count("'") + part.count("\n") <= 9 for part in parts)
    assert split_text("") == []


@pytest.mark.parametrize(("count", "gap_ms"), [(200, 10), (1000, 2), (5000, 1)])
def test_slow_streams_are_opened_within_two_seconds_if_possible(count: int, gap_ms: int) -> None:
    assert H2Load.all_at_once(count) == H2Load(count, count, gap_ms)


def test_errors_of_h2load_are_requests_without_success() -> None:
    output = """
requests: 100 total, 101 started, 99 done, 90 succeeded, 9 failed, 2 errored, 1 timeout
status codes: 90 2xx, 0 3xx, 4 4xx, 5 5xx
"""
    assert parse_h2load(output, 2.0) == Throughput(99, 2.0, 9)
    with pytest.raises(RuntimeError, match="no result"):
        parse_h2load("cannot connect", 2.0)


# Figures


def test_ratios_compare_programs_in_the_same_round() -> None:
    rounds = [
        {("nginx", RELAY): 10.0, ("intellirouter", RELAY): 60.0, ("smg", RELAY): 80.0},
        {("nginx", RELAY): 20.0, ("intellirouter", RELAY): 160.0, ("smg", RELAY): 160.0},
        {("intellirouter", RELAY): 70.0},
    ]
    assert ratios(rounds, ("intellirouter", RELAY)) == {
        "ratio_to_reference": pytest.approx(7.0),
        "ratio_to_yardstick": pytest.approx(0.875),
    }
    assert ratios(rounds, ("nginx", RELAY))["ratio_to_reference"] == 1.0


def test_translation_is_compared_with_the_relay_of_the_same_client() -> None:
    costs = {("nginx", RELAY): 10.0, ("nginx", MESSAGES_RELAY): 99.0}
    costs |= {("ferrogw", RELAY): 40.0, ("ferrogw", CHAT_TO_MESSAGES): 60.0, ("intellirouter", CHAT_TO_MESSAGES): 30.0}
    assert ratios([costs], ("ferrogw", CHAT_TO_MESSAGES)) == {
        "ratio_to_reference": 6.0,
        "ratio_to_ours": 2.0,
        "ratio_to_relay": 1.5,
    }


def test_series_counts_errors_and_omits_rounds_without_requests() -> None:
    series, key = Series(), ("smg", RELAY)
    for cpu_us, result in (
        (100.0, Throughput(10, 1.0, 1)),
        (0.0, Throughput(0, 1.0, 7)),
        (300.0, Throughput(10, 1.0, 0)),
    ):
        series.costs.append({})
        series.add(key, cpu_us, result)
    figures = series.summary(key)
    assert (figures["cpu_us"], figures["cpu_us_lowest"], figures["cpu_us_highest"]) == (20.0, 10.0, 30.0)
    assert (figures["errors"], figures["per_s"]) == (8.0, 10.0)


def test_program_that_only_fails_has_errors_and_no_cost() -> None:
    series, key = Series(costs=[{}]), ("smg", RELAY)
    series.add(key, 5.0, Throughput(0, 1.0, 7))
    assert series.summary(key) == {"errors": 7.0}


def test_added_latency_is_the_difference_to_the_mean_of_direct_requests() -> None:
    before, through, after = (
        Timings([0] * 10, [duration] * 10, errors) for duration, errors in ((10, 5), (50, 1), (20, 0))
    )
    figures = added(before, through, after)
    assert (figures["added_p50_us"], figures["total_p99_us"], figures["errors"]) == (35.0, 50.0, 1.0)
    total = summary([figures, figures | {"added_p99_us": 95.0}, figures | {"added_p99_us": 36.0}])
    assert (total["added_p99_us"], total["added_p99_us_highest"], total["errors"]) == (36.0, 95.0, 3.0)


def test_slope_is_that_of_the_regression_line() -> None:
    assert slope([80.0, 82.0, 84.0]) == pytest.approx(2.0)
    assert slope([80.0]) == 0.0


def test_use_by_others_does_not_include_this_process_and_stolen_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    before = MachineTime(busy_s=100.0, stolen_s=1.0, own_s=5.0, at_s=0.0)
    after = MachineTime(busy_s=116.0, stolen_s=2.0, own_s=15.0, at_s=10.0)
    assert after.others_since(before) == (pytest.approx(0.25), pytest.approx(0.05))


# Tables


COLUMNS = (("CPU µs", "cpu", "{:,.1f}"), ("x SMG", "ratio", "{:.2f}"), ("errors", "errors", "{:,.0f}"))


def test_table_omits_columns_without_figures_and_repeated_labels() -> None:
    rows = [
        (("small", "nginx"), {"cpu": 20.0, "errors": 0.0}),
        (("small", "SMG"), {"cpu": 1020.0}),
        (("100 kB", "SMG"), {"cpu": 5.0, "errors": 3.0}),
    ]
    lines = (markdown_table(("load", "program"), rows, COLUMNS) or "").splitlines()
    assert lines == [
        "| load   | program |  CPU µs | errors |",
        "|--------|---------|--------:|-------:|",
        "| small  | nginx   |    20.0 |      0 |",
        "|        | SMG     | 1,020.0 |      - |",
        "| 100 kB | SMG     |     5.0 |      3 |",
    ]


def test_table_omits_a_label_that_is_the_same_in_all_rows() -> None:
    table = markdown_table(("load", "program"), [(("small", "nginx"), {"errors": 0.0})], COLUMNS)
    assert table == "| program | errors |\n|---------|-------:|\n| nginx   |      0 |"


def test_table_without_rows_is_omitted() -> None:
    assert markdown_table(("load", "program"), [], COLUMNS) is None


def test_case_has_a_name_and_a_load() -> None:
    case = Case("stream", RELAY, LARGE, 1)
    assert (case.name, case.load) == ("stream openai_to_openai large 1", "100 kB, 1 connection")


# The cost report


@pytest.mark.parametrize(
    ("stack", "step"),
    [
        ([], steps.EVENT_LOOP),
        (["uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.on_body"], "serving"),
        (["asyncio.locks:Event.wait", "uvicorn.protocols.http.httptools_impl:RequestResponseCycle.receive"], "serving"),
        (["intellirouter.core.money:format_usd", "intellirouter.gateway.reply:ClientReply.complete"], "gateway"),
        (
            ["intellirouter.dialects.endpoint:Endpoint.decode_request", f"{SPINE}:Spine.decode", f"{SPINE}:Spine._run"],
            "decode",
        ),
        (["intellirouter.dialects.wire.sse:EventReader.feed", f"{SPINE}:Spine._run"], "dialects"),
        (
            ["intellirouter.catalog.health:is_open", "intellirouter.routing.filters:f", f"{SPINE}:Spine.decide"],
            "decide",
        ),
        (["intellirouter.pipeline.exchange:Exchange.to_record", f"{SPINE}:Spine.settle"], "record"),
        (["intellirouter.providers.transport.pool:UpstreamPool.send", f"{SPINE}:Spine._run"], "transport"),
        ([f"{SPINE}:Spine._run", "intellirouter.gateway.app:Gateway.__call__"], "spine"),
        (["intellirouter.rolesque:f", "json:loads"], steps.REST),
    ],
)
def test_samples_belong_to_a_step(stack: list[str], step: str) -> None:
    assert step_title(steps.step_of(stack)) == step_title(step)


def step_title(step: str) -> str:
    return steps.STEPS[step]


def test_cpu_time_is_split_by_thread_kernel_and_samples() -> None:
    stacks = Counter({(): 1, ("intellirouter.providers.x:f",): 3})
    samples = Samples(stacks, {7: "MainThread", 8: "store-drain", 9: "other"})
    threads = {7: CpuTime(400, 200), 8: CpuTime(100, 100), 9: CpuTime(0, 200)}
    found = steps.split(100.0, threads, samples, main_thread=7)
    assert {step: cost for step, cost in found.items() if cost} == {
        steps.EVENT_LOOP: 10.0,
        "transport": 30.0,
        steps.KERNEL: 20.0,
        steps.DRAIN: 20.0,
        steps.REST: 20.0,
    }


def test_functions_are_counted_without_those_that_they_call() -> None:
    samples = steps.merged([Samples(Counter({("a:f", "b:g"): 2, ("b:g",): 1}), {}), Samples(Counter({(): 1}), {})])
    assert steps.function_shares(samples) == {"a:f": 0.5, "b:g": 0.25, "(event loop)": 0.25}


def frame_of_this_call() -> FrameType:
    return sys._getframe(1)


def test_stack_begins_with_the_innermost_frame() -> None:
    stack = sampler.stack_of(frame_of_this_call())
    assert stack[0][1].co_name == "test_stack_begins_with_the_innermost_frame"


def test_frame_that_has_not_run_yet_counts_for_its_caller() -> None:
    seen: list[str] = []

    def called() -> None:
        pass

    def trace(frame: FrameType, event: str, _argument: object) -> None:
        if frame.f_code is called.__code__ and event == "call":
            seen.append(sampler.stack_of(frame)[0][1].co_name)

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        called()
    finally:
        sys.settrace(before)
    assert seen == ["test_frame_that_has_not_run_yet_counts_for_its_caller"]


PROFILE = """\
version: 1
pid: 12743
positions: line
events: Ir
summary: 1030

ob=(1) /usr/lib/libpython3.11.so.1.0
fl=(1) ceval.c
fn=(1) _PyEval_EvalFrameDefault
0 700
+3 50
cob=(2) /env/site-packages/msgspec/_core.cpython-311-x86_64-linux-gnu.so
cfn=(2) decode
calls=4 0
* 270
ob=(2)
fn=(2)
0 270
ob=(3) /usr/lib/libcrypto.so.3
fn=(3) hash
0 10

totals: 1030
"""


def test_instructions_are_counted_by_library() -> None:
    counts = callgrind.count_by_library(PROFILE.splitlines(keepends=True))
    assert counts == {"interpreter": 750, "msgspec": 270, "other": 10}


@pytest.mark.parametrize(
    ("path", "library"),
    [
        (
            "/home/x/intellirouter/.venv/lib/python3.11/site-packages/uvloop/loop.cpython-311-x86_64-linux-gnu.so",
            "uvloop",
        ),
        ("/w/src/intellirouter/routing/decide.cpython-311-x86_64-linux-gnu.so", "compiled modules of the gateway"),
        ("/w/src/0123__mypyc.cpython-311-x86_64-linux-gnu.so", "compiled modules of the gateway"),
        ("/usr/lib/python3.11/lib-dynload/_sqlite3.cpython-311-x86_64-linux-gnu.so", "SQLite"),
        ("/usr/lib/python3.11/lib-dynload/_asyncio.cpython-311-x86_64-linux-gnu.so", "interpreter"),
        ("/usr/bin/python3.11", "interpreter"),
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", "C library"),
        ("/usr/lib/x86_64-linux-gnu/libcrypto.so.3", "other"),
    ],
)
def test_libraries_are_named(path: str, library: str) -> None:
    assert callgrind.library_of(path) == library


def test_section_on_changes_is_preserved() -> None:
    first = report.combine("# Cost of a request\n\nold\n", "")
    assert first == f"# Cost of a request\n\nold\n\n{report.EMPTY_CHANGES}"
    edited = f"{first}| own protocol | request | 100 | 80 | kept |\n\n### More\n\nText.\n"
    second = report.combine("# Cost of a request\n\nnew\n", edited)
    assert second == edited.replace("old", "new")
    assert report.combine("# Cost of a request\n\nnew\n", second) == second


def test_ratio_of_two_states_is_the_median_over_the_rounds() -> None:
    assert report.median_of_ratios([(50.0, 100.0), (90.0, 100.0), (80.0, 100.0)]) == 0.8
    assert report.median_of_ratios([(50.0, 100.0), (100.0, 100.0)]) == 0.75
