"""Price lists from files: both forms, every mistake, comparison, installation."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import genai_prices.data
import pytest
from genai_prices import types
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.catalog import PriceFileError, PriceList, compare, install_prices, read_prices
from intellirouter.catalog.genai_list import to_compact
from intellirouter.catalog.prices import DATA_FILE

MODEL: dict[str, Any] = {
    "id": "m-1",
    "match": {"starts_with": "m-1"},
    "context_window": 1000,
    "prices": {"input_mtok": 2.5, "output_mtok": 10},
}


def published(*models: dict[str, Any], **provider: Any) -> list[dict[str, Any]]:
    return [{"id": "acme", "name": "Acme", "api_pattern": "acme", "models": list(models or (MODEL,)), **provider}]


def written(directory: Path, document: Any, name: str = "list.json") -> Path:
    path = directory / name
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def plain(value: Any) -> Any:
    """Return the package's own data as its project publishes it."""
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, types.ModelPrice):
        return {key: plain(each) for key, each in value.__dict__.items() if each is not None}
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "__dataclass_fields__"):
        names = [name for name in value.__dataclass_fields__ if not name.startswith("_") and name != "extractors"]
        return {name.rstrip("_"): plain(found) for name in names if (found := getattr(value, name, None)) is not None}
    return value


def test_published_format_converts_to_the_list_of_the_package() -> None:
    data = json.dumps(plain(genai_prices.data.providers)).encode()
    assert json.loads(to_compact(data, "any"))["providers"] == json.loads(DATA_FILE.read_bytes())["providers"]


@pytest.mark.parametrize("wrap", [lambda each: each, lambda each: {"providers": each}], ids=["list", "object"])
def test_published_format_is_read(tmp_path: Path, wrap: Any) -> None:
    prices = read_prices(written(tmp_path, wrap(published())))
    entry = prices.lookup("acme", "m-1-2026")
    assert entry is not None
    assert entry.price is not None
    assert (entry.price.input, entry.price.output, entry.context_tokens) == (2_500_000, 10_000_000, 1000)
    assert entry.capabilities is None
    assert entry.price.version is not None
    assert entry.price.version.startswith("genai-prices sha256:")
    assert prices.lookup("acme", "unknown") is None
    assert prices.lookup("nobody", "m-1") is None


def test_compact_format_is_read_with_capabilities(tmp_path: Path) -> None:
    row = ["m", {"equals": "m"}, 8, [["", {"input": 1, "output": 2}]], ["chat", "vision"]]
    document = {"source": "own", "version": "7", "license": "-", "providers": {"acme": {"models": [row]}}}
    entry = read_prices(written(tmp_path, document)).lookup("acme", "m")
    assert entry is not None
    assert entry.capabilities == {"chat", "vision"}
    assert entry.price is not None
    assert entry.price.version == "own 7"


@pytest.mark.parametrize(
    ("prices", "rates", "not_covered"),
    [
        ({"input_mtok": 0.1}, {"input": 100_000, "output": 0}, ()),
        ({"input_mtok": {"base": 3, "tiers": [{"start": 9, "price": 6}]}}, {"input": 3_000_000}, ("tiers",)),
        ({"input_mtok": 1, "web_searches_kcount": 10}, {"input": 1_000_000}, ("web_searches",)),
        ({"input_mtok": 1, "output_mtok": None}, {"output": 0}, ()),
        ([{"prices": {"input_mtok": 1}}, {"constraint": {"start_date": "2020-01-01"}, "prices": {"input_mtok": 2}}],
         {"input": 2_000_000}, ()),
        ([{"prices": {"input_mtok": 2}},
          {"constraint": {"start_time": "16:30:00Z", "end_time": "00:30:00Z"}, "prices": {"input_mtok": 1}}],
         {"input": 2_000_000}, ("time_of_day",)),
    ],
)  # fmt: skip
def test_prices_of_every_kind(tmp_path: Path, prices: Any, rates: dict[str, int], not_covered: tuple[str, ...]) -> None:
    entry = read_prices(written(tmp_path, published({**MODEL, "prices": prices}))).lookup("acme", "m-1")
    assert entry is not None
    assert entry.price is not None
    assert {bucket: getattr(entry.price, bucket) for bucket in rates} == rates
    assert entry.not_covered == not_covered


@pytest.mark.parametrize(
    ("more", "is_free"),
    [({}, False), ({"price_comments": "Free of charge."}, True), ({"id": "m-1:free"}, True)],
)
def test_missing_price_is_unknown_unless_the_model_is_free(tmp_path: Path, more: dict[str, str], is_free: bool) -> None:
    other = {**MODEL, "id": "m-2", "match": {"equals": "m-2"}}
    entry = read_prices(written(tmp_path, published({**MODEL, "prices": {}, **more}, other))).lookup("acme", "m-1")
    assert entry is not None
    assert (entry.price is not None) is is_free
    assert entry.price is None or entry.price.input == entry.price.output == 0


def broken(**changes: Any) -> list[dict[str, Any]]:
    return published({**MODEL, **changes})


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("", "the JSON is cut off."),
        ("{", "the JSON is cut off."),
        ("[}", "it is not valid JSON (invalid character at byte 1)."),
        ("[7]", "`[0]` must be an object, not an integer."),
        ('{"providers": {}}', "`source` is missing."),
        (
            '{"source": "s", "version": "1", "license": "x", "providers": {"acme": {"models": [[7, {}, null, []]]}}}',
            "`providers.acme.models[0][0]` must be a string, not an integer.",
        ),
        ("[]", "no provider"),
        ("{}", "not a valid price list"),
        ("7", "not a valid price list"),
        ("null", "not a valid price list"),
        ("\x00", "not a valid price list"),
        ('{"providers": {}}', "not a valid price list"),
        ('{"source":"x","version":"1","license":"","providers":{}}', "no price"),
        ([{"id": "acme"}], "models"),
        (broken(match={}), "acme/m-1: the match clause"),
        (broken(match={"like": "m"}), "acme/m-1: the match clause"),
        (broken(match={"or": []}), "acme/m-1: the match clause"),
        (broken(match={"or": ["m"]}), "acme/m-1: the match clause"),
        (broken(match={"equals": 7}), "acme/m-1: the match clause"),
        (broken(match={"regex": "("}), "regular expression"),
        (published(provider_match={"regex": "["}), "acme: the regular expression"),
        (broken(prices={"input_mtok": "much"}), "not a valid price list"),
        (broken(prices={"input_mtok": -1}), "price"),
        (broken(prices={"input_mtok": 1e30}), "price"),
        (broken(prices=[{"constraint": {"start_date": "soon"}, "prices": {"input_mtok": 1}}]), "soon"),
        (broken(prices={}), "no price"),
        (broken(context_window="large"), "context_window"),
        ({"source": "x", "version": "1", "license": "", "providers": {"a": {"models": [["m", {"equals": "m"}, 1,
         [["", {"inptu": 1}]]]]}}}, "unknown bucket 'inptu'"),
        ({"source": "x", "version": "1", "license": "", "providers": {"a": {"models": [["m", {"equals": "m"}, 1,
         [["", {"input": 1}]]]]}}}, "input and output"),
    ],
)  # fmt: skip
def test_invalid_file_is_an_error_with_the_reason(tmp_path: Path, document: Any, said: str) -> None:
    path = written(tmp_path, document)
    with pytest.raises(PriceFileError, match=r"list\.json") as caught:
        read_prices(path)
    assert said in str(caught.value)


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PriceFileError, match="No such file"):
        read_prices(tmp_path / "none.json")
    with pytest.raises(PriceFileError, match="directory"):
        read_prices(tmp_path)


@given(text=st.text(max_size=60) | st.binary(max_size=60).map(lambda each: each.decode("latin-1")))
def test_any_content_raises_no_other_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("lists") / "any.json"
    path.write_bytes(text.encode("latin-1", "replace"))
    with pytest.raises(PriceFileError):
        read_prices(path)


def test_deep_nesting_is_rejected(tmp_path: Path) -> None:
    clause: Any = {"equals": "m"}
    for _ in range(200):
        clause = {"or": [clause]}
    with pytest.raises(PriceFileError, match="match clause"):
        read_prices(written(tmp_path, broken(match=clause)))
    with pytest.raises(PriceFileError):
        read_prices(written(tmp_path, "[" * 100_000))


def test_lists_are_compared(tmp_path: Path) -> None:
    gone, stays = {**MODEL, "id": "gone"}, {**MODEL, "id": "stays"}
    old = read_prices(written(tmp_path, published(MODEL, gone, stays), "old.json"))
    dearer = {**MODEL, "prices": {"input_mtok": 3, "output_mtok": 10}}
    new = read_prices(written(tmp_path, published(dearer, stays, {**MODEL, "id": "new", "prices": {}}), "new.json"))
    found = compare(new, old)
    assert (found.providers, found.models, found.priced) == (1, 3, 2)
    assert (found.added, found.removed, found.changed) == (("acme/new",), ("acme/gone",), ("acme/m-1",))
    wider = read_prices(written(tmp_path, published({**MODEL, "context_window": 2}, gone, stays), "wider.json"))
    assert compare(wider, old).changed == ("acme/m-1",)
    assert compare(old, old).changed == ()


def test_list_is_installed_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "here.catalog.json"
    found = install_prices(written(tmp_path, published()), target, PriceList.load())
    assert found.added == ("acme/m-1",)
    entry = read_prices(target).lookup("acme", "m-1")
    assert entry is not None
    before = target.read_bytes()
    with pytest.raises(PriceFileError):
        install_prices(written(tmp_path, broken(match={})), target, PriceList.load())
    assert target.read_bytes() == before
    assert [each.name for each in target.parent.iterdir()] == [target.name]


def test_failed_write_leaves_no_file(tmp_path: Path) -> None:
    target = tmp_path / "taken"
    target.mkdir()
    with pytest.raises(PriceFileError, match="cannot be written"):
        install_prices(written(tmp_path, published()), target, PriceList.load())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["list.json", "taken"]
