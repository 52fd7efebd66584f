"""What no floor may import; that imports point down only is held by import-linter (pyproject.toml, `make lint`)."""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = sorted((ROOT / "tale_core").rglob("*.py"))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imported(path: Path) -> frozenset[str]:
    names: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def reaches(path: Path, *packages: str) -> list[str]:
    return [n for n in imported(path) for p in packages if n == p or n.startswith(p + ".")]


@pytest.mark.parametrize(
    ("packages", "but"),
    [
        (("streamlit", "ui", "pages", "app"), ""),
        (("openai",), "client"),
        (("sqlmodel", "sqlalchemy", "alembic"), "store"),
    ],
    ids=["pages", "sdk", "database"],
)
def test_the_core_knows_no_pages_only_the_client_the_sdk_and_only_the_store_the_database(packages, but):
    assert {str(path): found for path in CORE if but not in path.parts and (found := reaches(path, *packages))} == {}


@pytest.mark.parametrize("name", ["types", "i18n", "errors", "settings"])
def test_the_foundations_import_nothing_above_them(name):
    order = ["tale_core.types", "tale_core.i18n", "tale_core.errors", "tale_core.settings"]
    allowed = set(order[: order.index(f"tale_core.{name}")])
    found = {n for n in imported(ROOT / "tale_core" / f"{name}.py") if n.startswith("tale_core")}
    assert {".".join(n.split(".")[:2]) for n in found} <= allowed


@pytest.mark.parametrize(
    "name", ["ask/plan", "estimators/zero_shot", "estimators/base", "calls/caller", "search/engine"]
)
def test_asking_and_searching_see_only_the_client_protocol(name):
    assert not reaches(ROOT / "tale_core" / f"{name}.py", "tale_core.models", "tale_core.store", "tale_core.runs")


@pytest.mark.parametrize("command", ["", "ask", "search", "run"])
def test_the_help_of_the_command_line_loads_nothing_heavy(command):
    code = f"""
import contextlib, sys
from tale_core.cli import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(sys.stderr):
    main([*{command.split()}, '--help'])
print([m for m in sys.argv[1:] if m in sys.modules])
"""
    heavy = [
        "streamlit",
        "xllamacpp",
        "torch",
        "sympy",
        "math_verify",
        "pandas",
        "sklearn",
        "alembic",
        "plotly",
        "openai",
        "pydantic",
        "sqlalchemy",
        "psycopg",
        "ray",
    ]
    out = subprocess.run([sys.executable, "-c", code, *heavy], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert out.stdout.strip() == "[]", out.stdout + out.stderr


PROJECT = ("app", "benchmarks", "tale_core", "tests", "ui")
SET = ("setattr", "delattr", "getattr", "setitem")


def private(name: object) -> bool:
    return isinstance(name, str) and name.startswith("_") and not name.startswith("__")


def taken_from_the_project(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Each name that a file imports from a module of ours, with what it is called there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PROJECT:
            yield from ((alias.asname or alias.name, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            named = [alias for alias in node.names if alias.name.split(".")[0] in PROJECT]
            yield from ((alias.asname or alias.name.split(".")[0], "") for alias in named)


def private_names(tree: ast.AST) -> Iterator[str]:
    """Private names of other modules of ours that a file imports, reads or replaces."""
    taken = dict(taken_from_the_project(tree))
    yield from filter(private, taken.values())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and private(node.attr):
            base: ast.AST = node.value
            while isinstance(base, ast.Attribute):
                base = base.value
            if isinstance(base, ast.Name) and base.id in taken:
                yield ast.unparse(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SET:
            where, name, *_ = [*node.args, None, None]
            if isinstance(where, ast.Name) and where.id in taken and isinstance(name, ast.Constant):
                yield from filter(private, [name.value])


def test_no_test_reaches_for_what_is_private_to_a_module():
    names = {str(path): list(private_names(parsed(path))) for path in (ROOT / "tests").rglob("*.py")}
    assert {path: found for path, found in names.items() if found} == {}


def test_tests_that_drive_a_browser_lie_where_make_test_looks_for_them():
    marked = "mark." + "browser"
    found = {path.parent.name for path in (ROOT / "tests").rglob("*.py") if marked in path.read_text(encoding="utf-8")}
    assert found == {"e2e"}
