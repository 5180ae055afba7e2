"""Check the wording of error messages and texts. `python -m scripts.check_wording` prints every finding.

    sentence   the message and the hint of an error that we construct must be sentences that end with a full stop
    phrase     the expressions in banned_wording.txt must not occur in code, documentation or the API description

wording_allow.txt lists exceptions: messages that keep a vendor's wording, because clients match it; messages that end
with a placeholder for a whole sentence; and paths that are not checked yet.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BANNED = ROOT / "scripts" / "banned_wording.txt"
ALLOWED = ROOT / "scripts" / "wording_allow.txt"
TREES = (
    *("src", "docs", "api", "bench", "changelog.d", "examples", "scripts", "test", "tests/clients/README.md"),
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md"),
)
SUFFIXES = {".css", ".html", ".js", ".json", ".md", ".py", ".sh", ".toml", ".txt", ".yaml"}
CONSTRUCTORS = {
    "GatewayError": ("message", "hint"),
    "CommandError": ("message", "hint"),
    "CredentialError": ("message", "hint"),
    "SecretReferenceError": ("message", "hint"),
    "ConfigProblem": ("path", "message", "hint"),
    "PriceFileError": ("message",),
    "StoreUnavailable": ("message",),
    "AddressInUse": ("message",),
    "IntelliRouterError": ("message",),
    "LineError": (),
}
"""Classes of problems, and their positional arguments. Subclasses are checked like their base."""
TEXTS = {"message", "hint"}
SENTENCE_END = re.compile(r"[.?!…][\"'`)\]]*$")
GAP = r"[\s#\"']+"
"""What may be between two words: also a line break in a comment or between string literals."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Finding:
    place: str
    line: int
    text: str
    problem: str

    def __str__(self) -> str:
        return f"{self.place}:{self.line}: {self.text}\n    {self.problem}"


@dataclass(frozen=True)
class Allowance:
    """An entry of the allow-list: a path that is not checked (`text` is empty), or one message."""

    place: str
    text: str

    def covers(self, finding: Finding) -> bool:
        if self.text:
            return finding.place == self.place and finding.text == self.text
        return finding.place == self.place or finding.place.startswith(f"{self.place}/")


def shown(node: ast.expr) -> str:
    """Return a string literal as text, with `{}` for placeholders."""
    if isinstance(node, ast.JoinedStr):
        return "".join(shown(part) for part in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else "{}"


def literals(node: ast.expr, assigned: dict[str, list[ast.expr]]) -> Iterator[ast.expr]:
    """Yield the string literals with which the text of an expression can end. Anything else is not checked."""
    match node:
        case ast.JoinedStr():
            yield node
        case ast.Constant(value=str()):
            yield node
        case ast.BinOp(op=ast.Add()):
            yield from literals(node.right, assigned)
        case ast.IfExp():
            yield from literals(node.body, assigned)
            yield from literals(node.orelse, assigned)
        case ast.BoolOp():
            for value in node.values:
                yield from literals(value, assigned)
        case ast.Name() if node.id in assigned:
            others = {name: values for name, values in assigned.items() if name != node.id}
            for value in assigned[node.id]:
                yield from literals(value, others)
        case _:
            return


def assignments(nodes: Iterable[ast.AST]) -> dict[str, list[ast.expr]]:
    """Return the expressions that these statements assign to each name."""
    assigned: dict[str, list[ast.expr]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign | ast.AugAssign) and node.value is not None:
            targets, value = [node.target], node.value
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name):
                assigned.setdefault(target.id, []).append(value)
    return assigned


def class_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def checked_classes(trees: list[ast.Module]) -> dict[str, tuple[str, ...]]:
    """Return `CONSTRUCTORS` with all subclasses that the trees define."""
    bases = {
        node.name: [class_name(base) for base in node.bases]
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = dict(CONSTRUCTORS)
    while more := {
        name: found[base] for name, its in bases.items() if name not in found for base in its if base in found
    }:
        found |= more
    return found


def texts_of(call: ast.Call, parameters: tuple[str, ...]) -> Iterator[ast.expr]:
    """Yield the arguments of a call that are messages or hints."""
    for name, argument in zip(parameters, call.args, strict=False):
        if name in TEXTS:
            yield argument
    yield from (keyword.value for keyword in call.keywords if keyword.arg in TEXTS)


def error_texts(
    node: ast.AST, classes: dict[str, tuple[str, ...]], assigned: dict[str, list[ast.expr]]
) -> Iterator[ast.expr]:
    """Yield the literals with which messages and hints can end, in this node and below. `assigned`: names in scope."""
    if isinstance(node, Function):
        assigned = {**assigned, **assignments(ast.walk(node))}
    elif isinstance(node, ast.ClassDef) and node.name in classes:
        yield from (literal for hint in assignments(node.body).get("hint", []) for literal in literals(hint, assigned))
    elif isinstance(node, ast.Call) and (parameters := classes.get(class_name(node.func))) is not None:
        for text in texts_of(node, parameters):
            yield from literals(text, assigned)
    for child in ast.iter_child_nodes(node):
        yield from error_texts(child, classes, assigned)


def unfinished_sentences(tree: ast.Module, place: str, classes: dict[str, tuple[str, ...]]) -> Iterator[Finding]:
    """Yield the messages and hints that do not end a sentence."""
    for literal in dict.fromkeys(error_texts(tree, classes, assignments(tree.body))):
        text = shown(literal)
        if text and not SENTENCE_END.search(text):
            yield Finding(place, literal.lineno, text, "The message or hint does not end with a full stop.")


def banned_phrases() -> list[tuple[re.Pattern[str], str]]:
    """Return the expressions of banned_wording.txt, and what to write instead."""
    phrases = []
    for line in BANNED.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            expression, _, replacement = line.partition("  # ")
            phrases.append((re.compile(expression.strip().replace(" ", GAP)), replacement.strip()))
    return phrases


def phrase_findings(text: str, place: str, phrases: list[tuple[re.Pattern[str], str]]) -> Iterator[Finding]:
    for expression, replacement in phrases:
        for match in expression.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield Finding(place, line, " ".join(match[0].split()), f"Write instead: {replacement}")


def allowances() -> list[Allowance]:
    """Return the entries of wording_allow.txt: `exclude PATH DATE REASON`, or `message PATH | TEXT | REASON`."""
    allowed = []
    for number, line in enumerate(ALLOWED.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if match := re.fullmatch(r"exclude\s+(\S+)\s+\d{4}-\d\d-\d\d\s+\S.*", line):
            allowed.append(Allowance(match[1], ""))
        elif match := re.fullmatch(r"message\s+(\S+)\s+\|\s(.+?)\s\|\s+\S.*", line):
            allowed.append(Allowance(match[1], match[2]))
        else:
            raise SystemExit(f"{ALLOWED.name}:{number}: This is not a valid entry: {line}")
    return allowed


def files() -> Iterator[Path]:
    for name in TREES:
        path = ROOT / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            hidden = any(part.startswith((".", "__pycache__")) for part in file.relative_to(ROOT).parts)
            if file.is_file() and file.suffix in SUFFIXES and not hidden and file not in {BANNED, ALLOWED}:
                yield file


def findings() -> list[Finding]:
    """Return all findings, without regard to the allow-list."""
    found: list[Finding] = []
    phrases = banned_phrases()
    trees: dict[str, ast.Module] = {}
    for file in files():
        place = file.relative_to(ROOT).as_posix()
        text = file.read_text(encoding="utf-8")
        found += phrase_findings(text, place, phrases)
        if place.startswith("src/") and file.suffix == ".py":
            trees[place] = ast.parse(text, place)
    classes = checked_classes(list(trees.values()))
    for place, tree in trees.items():
        found += unfinished_sentences(tree, place, classes)
    return found


def main() -> int:
    allowed, found = allowances(), findings()
    open_findings = [each for each in found if not any(entry.covers(each) for entry in allowed)]
    unused = [entry for entry in allowed if not any(entry.covers(each) for each in found)]
    for finding in sorted(open_findings, key=lambda each: (each.place, each.line)):
        print(finding)
    for entry in unused:
        print(f"{ALLOWED.name}: This entry is no longer needed. Remove it: {entry.place} {entry.text}".rstrip())
    return 1 if open_findings or unused else 0


if __name__ == "__main__":
    sys.exit(main())
