"""Check size limits and naming rules. `python -m scripts.check_sizes` prints every violation.

    file        lines of a file                                       <= 500
    function    lines of a function without its docstring             <= 60
    spread      95th percentile of the function lengths of a room     <= 40 (rooms with at least 20 functions)
    parameters  parameters of a function without `self` and `cls`     <= 6 (constructors with keywords only: no limit)
    import      an import inside a function                           only of an optional extra
    name        a module, class or function called utils, helper, manager or handler

size_allow.txt lists exceptions, one per line: rule, place, size, date, reason. An exception allows at most its size,
and must be removed when it is no longer needed.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ALLOW_LIST = ROOT / "scripts" / "size_allow.txt"
TREES = ("src", "scripts", "bench", "tests")
LIMITS = {"file": 500, "function": 60, "spread": 40, "parameters": 6, "import": 0, "name": 0}
ROOM_MIN_FUNCTIONS = 20
OPTIONAL_EXTRAS = {"numpy", "safetensors", "tokenizers", "xllamacpp"}
BANNED_WORDS = {"util", "utils", "helper", "helpers", "manager", "managers", "handler", "handlers"}
WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Finding:
    rule: str
    place: str
    size: int

    def __str__(self) -> str:
        limit = LIMITS[self.rule]
        return f"{self.rule:<11}{self.place}" + (f"  {self.size} > {limit}" if limit else "")


def functions_of(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function]]:
    """Yield every function with its dotted name, including functions inside functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{node.name}", node
            yield from functions_of(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.ClassDef):
            yield from functions_of(node, f"{prefix}{node.name}.")
        else:
            yield from functions_of(node, prefix)


def line_count(function: Function) -> int:
    """Return the number of lines from `def` to the end, without the docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    is_docstring = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return lines - ((first.end_lineno or first.lineno) - first.lineno + 1 if is_docstring else 0)


def parameter_count(function: Function) -> int:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    if positional and positional[0].arg in {"self", "cls"}:
        positional = positional[1:]
    # A constructor whose arguments are all named at the call reads like a record: the names are the documentation.
    is_record = function.name == "__init__" and not positional
    return len(positional) + (0 if is_record else len(arguments.kwonlyargs))


def imports_in(function: Function) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or ".").partition(".")[0]


def banned_names(tree: ast.Module, path: Path) -> Iterator[str]:
    names = [path.stem if path.stem != "__init__" else path.parent.name]
    names += [node.name for node in ast.walk(tree) if isinstance(node, Function | ast.ClassDef)]
    for name in names:
        if BANNED_WORDS & {word.lower() for word in WORDS.findall(name)}:
            yield name


def room_of(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[:3]) if parts[0] == "src" else parts[0]


def measure(path: Path, lengths: dict[str, list[int]]) -> Iterator[Finding]:
    place = path.relative_to(ROOT).as_posix()
    text = path.read_text(encoding="utf-8")
    yield Finding("file", place, text.count("\n"))
    tree = ast.parse(text, place)
    is_product = place.startswith("src/")
    for name, function in functions_of(tree):
        where = f"{place}:{name}"
        lengths[room_of(place)].append(line_count(function))
        yield Finding("function", where, line_count(function))
        yield Finding("parameters", where, parameter_count(function))
        if is_product and set(imports_in(function)) - OPTIONAL_EXTRAS:
            yield Finding("import", where, 1)
    if is_product:
        yield from (Finding("name", f"{place}:{name}", 1) for name in banned_names(tree, path))


def findings() -> list[Finding]:
    """Return everything that exceeds its limit, without regard to the exceptions."""
    lengths: dict[str, list[int]] = defaultdict(list)
    measured: list[Finding] = []
    for tree in TREES:
        for path in sorted((ROOT / tree).rglob("*.py")):
            if not any(part.startswith(".") for part in path.relative_to(ROOT).parts):
                measured.extend(measure(path, lengths))
    for room, sizes in sorted(lengths.items()):
        if len(sizes) >= ROOM_MIN_FUNCTIONS:
            measured.append(Finding("spread", room, sorted(sizes)[int(len(sizes) * 0.95)]))
    return [finding for finding in measured if finding.size > LIMITS[finding.rule]]


def allowances() -> dict[tuple[str, str], int]:
    """Return the exceptions: rule and place -> allowed size."""
    allowed = {}
    for number, line in enumerate(ALLOW_LIST.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"(\w+)\s+(\S+)\s+(\d+)\s+(\d{4}-\d\d-\d\d)\s+(\S.*)", line)
        if match is None or match[1] not in LIMITS:
            raise SystemExit(f"{ALLOW_LIST.name}:{number}: This is not `rule place size YYYY-MM-DD reason`: {line}")
        allowed[match[1], match[2]] = int(match[3])
    return allowed


def main() -> int:
    allowed = allowances()
    found = findings()
    over = [finding for finding in found if finding.size > allowed.get((finding.rule, finding.place), 0)]
    for finding in over:
        print(finding)
    unused = set(allowed) - {(finding.rule, finding.place) for finding in found}
    for rule, place in sorted(unused):
        print(f"{ALLOW_LIST.name}: This entry is no longer needed. Remove it: {rule} {place}")
    return 1 if over or unused else 0


if __name__ == "__main__":
    sys.exit(main())
