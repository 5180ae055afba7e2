"""Modules import their siblings directly, never through the `__init__` of their own package, and never in a cycle.

Both rules cover imports for the type checker and imports inside functions.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
TOP = "intellirouter"
"""The top-level package. It contains only the version, which any module may import."""


class Tree:
    """The modules below a directory, and what they import from each other."""

    def __init__(self, source: Path) -> None:
        self._files: dict[str, Path] = {}
        for path in sorted(source.rglob("*.py")):
            parts = path.relative_to(source).with_suffix("").parts
            self._files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path

    def imports(self, module: str) -> Iterator[tuple[str, str | None]]:
        """Yield module and name of every import: `("a.b", "c")` for `from a.b import c`."""
        for node in ast.walk(ast.parse(self._files[module].read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((alias.name, None) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{module}: use absolute imports"
                yield from ((node.module or "", alias.name) for alias in node.names)

    def target(self, source: str, name: str | None) -> str | None:
        """Return the module that an import refers to; None if it is not in the tree."""
        submodule = f"{source}.{name}"
        return submodule if submodule in self._files else source if source in self._files else None

    def inward_imports(self) -> list[str]:
        """Return the imports of names that the `__init__` of a package containing the module defines."""
        return [
            f"{module}: from {source} import {name}"
            for module in self._files
            for source, name in self.imports(module)
            if source != TOP and name is not None and module.startswith(f"{source}.")
            if self.target(source, name) == source
        ]

    def cycles(self) -> list[list[str]]:
        """Return the strongly connected components of more than one module (Tarjan's algorithm)."""
        graph = {
            module: {target for each in self.imports(module) if (target := self.target(*each)) not in {None, module}}
            for module in self._files
        }
        index: dict[str, int] = {}
        low: dict[str, int] = {}
        stack: list[str] = []
        found: list[list[str]] = []

        def visit(module: str) -> None:
            index[module] = low[module] = len(index)
            stack.append(module)
            for target in sorted(each for each in graph[module] if each is not None):
                if target not in index:
                    visit(target)
                    low[module] = min(low[module], low[target])
                elif target in stack:
                    low[module] = min(low[module], index[target])
            if low[module] == index[module]:
                component = stack[stack.index(module) :]
                del stack[stack.index(module) :]
                if len(component) > 1:
                    found.append(sorted(component))

        for module in graph:
            if module not in index:
                visit(module)
        return found


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree(SOURCE)


def test_no_module_imports_from_the_init_of_its_own_package(tree: Tree) -> None:
    assert tree.inward_imports() == []


def test_modules_form_no_import_cycle(tree: Tree) -> None:
    assert tree.cycles() == []


@pytest.fixture
def example(tmp_path: Path) -> Tree:
    files = {
        "intellirouter/__init__.py": "",
        "intellirouter/room/__init__.py": "from intellirouter.room.a import x\n",
        "intellirouter/room/a.py": "from intellirouter import __version__\nfrom intellirouter.room import b\n",
        "intellirouter/room/b.py": "if TYPE_CHECKING:\n    import intellirouter.room.c\n",
        "intellirouter/room/c.py": "def f():\n    from intellirouter.room.a import x\n",
        "intellirouter/room/d.py": "from intellirouter.room import c, x\nfrom os import path\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Tree(tmp_path)


def test_import_from_the_own_package_is_found(example: Tree) -> None:
    assert example.inward_imports() == ["intellirouter.room.d: from intellirouter.room import x"]


def test_cycle_through_type_checking_and_functions_is_found(example: Tree) -> None:
    assert example.cycles() == [["intellirouter.room.a", "intellirouter.room.b", "intellirouter.room.c"]]
