"""Is every file, function and list of parameters short enough to be read at one go?"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "agent").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

Function = ast.FunctionDef | ast.AsyncFunctionDef

#: What may be longer, by name and for a reason: "agent/x.py" or "agent/x.py:function" -> why.
EXCEPTIONS: dict[str, str] = {
    "agent/cli/__init__.py": "no door but main(): parse, dispatch, and turn every error into a sentence and a code",
}

#: Names that say nothing of what is inside.
NAMELESS = {"utils", "util", "helpers", "helper", "common", "base", "types", "constants", "misc"}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[tuple[str, Function]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function):
            yield f"{name(path)}:{node.name}", node


def parameters(node: Function) -> int:
    all_of_them = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return sum(one.arg not in {"self", "cls"} for one in all_of_them)


def lines_of_files() -> dict[str, int]:
    return {name(path): len(path.read_text().splitlines()) for path in FILES}


def large_doors() -> dict[str, int]:
    return {where: lines for where, lines in lines_of_files().items() if where.endswith("__init__.py") and lines > 120}


def long_functions() -> dict[str, int]:
    found = {
        where: (node.end_lineno or 0) - node.body[0].lineno + 1 for path in FILES for where, node in functions(path)
    }
    return {where: lines for where, lines in found.items() if lines > 60}


def greedy_functions() -> dict[str, int]:
    found = {where: parameters(node) for path in FILES for where, node in functions(path)}
    return {where: number for where, number in found.items() if number > 8}


def importing_functions() -> set[str]:
    return {
        where
        for path in FILES
        if path.relative_to(ROOT).parts[1] not in {"assembly", "cli"}
        for where, node in functions(path)
        if any(isinstance(inside, ast.Import | ast.ImportFrom) for inside in ast.walk(node))
    }


def test_files_have_at_most_400_lines_and_doors_120() -> None:
    assert {where: lines for where, lines in lines_of_files().items() if lines > 400} == {}
    assert large_doors().keys() - EXCEPTIONS.keys() == set()


def test_functions_have_at_most_60_lines() -> None:
    assert long_functions().keys() - EXCEPTIONS.keys() == set()


def test_functions_take_at_most_8_parameters() -> None:
    assert greedy_functions().keys() - EXCEPTIONS.keys() == set()


def test_every_exception_is_still_needed_and_has_its_reason() -> None:
    needed = large_doors().keys() | long_functions().keys() | greedy_functions().keys() | importing_functions()
    assert EXCEPTIONS.keys() - needed == set()
    assert all(EXCEPTIONS.values())


@pytest.mark.parametrize("path", FILES, ids=name)
def test_the_first_line_of_a_module_asks_or_answers_one_thing(path: Path) -> None:
    said = ast.get_docstring(ast.parse(path.read_text()))
    assert said, "there is no docstring"
    assert said.splitlines()[0].endswith(("?", ".")), said.splitlines()[0]


def test_no_file_is_named_for_nothing() -> None:
    assert [name(path) for path in FILES if path.stem in NAMELESS] == []


def test_imports_stand_at_the_top_but_where_things_are_put_together() -> None:
    assert importing_functions() - EXCEPTIONS.keys() == set()


def ours(tree: ast.Module) -> set[str]:
    """The names by which a test knows something of `agent`."""
    known = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {alias.asname or "agent" for alias in node.names if alias.name.split(".")[0] == "agent"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "agent":
            known |= {alias.asname or alias.name for alias in node.names}
    return known


def replaced(path: Path) -> list[str]:
    """Where a test puts something of its own in the place of something of ours."""
    tree = ast.parse(path.read_text())
    known, found = ours(tree), []
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and node.args
            and ast.unparse(node.func).endswith(("patch", "setattr", ".object"))
        ):
            first = ast.unparse(node.args[0]).strip("'\"").split(".")[0]
            if first == "agent" or first in known:
                found.append(f"{name(path)}:{node.lineno}: {ast.unparse(node)}")
    return found


def test_no_test_replaces_a_part_of_ours() -> None:
    assert [one for path in TESTS for one in replaced(path)] == []
