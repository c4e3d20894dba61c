"""Small faults put into a module, one at a time: each comparison flipped, each sum turned around.

``python -m tests.property.mutants`` puts each into the book and the exit rules and tells which are
not seen by ``tests.property.checks``. It imports nothing of the engine itself: each mutant lives in
a forked child, which imports everything anew with the faulty module in the place of the sound one.
"""

import ast
import json
import os
import resource
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from random import Random
from types import CodeType, ModuleType

ROOT = Path(__file__).resolve().parents[2]
BOOK = "engine/core/book"
TARGETS = (f"{BOOK}/*.py", "engine/model/rules/*.py", "engine/model/exits.py")
PATIENCE = 4
"""A mutant that takes this many times as long as sound code never ends: it counts as seen."""
MEMORY = 2 << 30
UNSEEN, SEEN = 0, 1

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
"""At the boundary, and the other way round."""
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}
NAMES = {"min": "max", "max": "min", "True": "False", "False": "True"}


@dataclass(frozen=True)
class Mutant:
    """A fault: the node it is in (by its place in a walk), and which of that node's faults."""

    path: str
    node: int
    fault: int
    line: int
    text: str
    change: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What stays when lines move."""
        return self.path, self.text, self.change


Fault = tuple[str, Callable[[], None]]


def faults(node: ast.AST) -> Iterator[Fault]:
    """What can be wrong in a node: in words, and how to make it so."""
    if isinstance(node, ast.Compare):
        yield from _comparisons(node)
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in ARITHMETIC:
        other = ARITHMETIC[type(node.op)]
        yield (
            f"{_name(node.op)} -> {other.__name__} in {ast.unparse(node)}",
            lambda: setattr(node, "op", other()),
        )
    elif isinstance(node, ast.Name) and node.id in {"min", "max"}:
        other_name = NAMES[node.id]
        yield f"{node.id} -> {other_name}", lambda: setattr(node, "id", other_name)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        flipped = not node.value
        yield f"{node.value} -> {flipped}", lambda: setattr(node, "value", flipped)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        for moved in (node.value + 1, node.value - 1):
            yield f"{node.value} -> {moved}", _setter(node, "value", moved)
    elif isinstance(node, ast.BoolOp):
        joint: ast.boolop = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield (
            f"{_name(node.op)} -> {_name(joint)} in {ast.unparse(node)}",
            lambda: setattr(node, "op", joint),
        )
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield f"- -> + in {ast.unparse(node)}", lambda: setattr(node, "op", ast.UAdd())
    elif isinstance(node, ast.If | ast.IfExp | ast.While) and not isinstance(
        node.test, ast.Compare
    ):
        opposite = ast.UnaryOp(ast.Not(), node.test)
        yield f"not ({ast.unparse(node.test)})", lambda: setattr(node, "test", opposite)


def _comparisons(node: ast.Compare) -> Iterator[Fault]:
    for place, op in enumerate(node.ops):
        for other in COMPARISONS[type(op)]:
            words = f"{_name(op)} -> {other.__name__} in {ast.unparse(node)}"
            yield words, _putter(node.ops, place, other())


def _putter(ops: list[ast.cmpop], place: int, op: ast.cmpop) -> Callable[[], None]:
    return lambda: ops.__setitem__(place, op)


def _setter(node: ast.AST, field: str, value: object) -> Callable[[], None]:
    return lambda: setattr(node, field, value)


def _name(node: ast.AST) -> str:
    return type(node).__name__


def nodes(tree: ast.Module) -> list[ast.AST]:
    """All nodes that run: annotations do not."""
    found: list[ast.AST] = []

    def walk(node: ast.AST) -> None:
        found.append(node)
        for name, value in ast.iter_fields(node):
            if name in {"annotation", "returns", "keywords_of_class"}:
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not _is_alias(child):
                    walk(child)

    walk(tree)
    return found


def _is_alias(node: ast.AST) -> bool:
    """``X = A | B``: a union of types, which is not computed with."""
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript)


def mutants_of(path: str, source: str) -> Iterator[Mutant]:
    lines = source.splitlines()
    for place, node in enumerate(nodes(ast.parse(source))):
        for number, (change, _) in enumerate(faults(node)):
            line = node.lineno  # type: ignore[attr-defined]
            yield Mutant(path, place, number, line, lines[line - 1].strip(), change)


def mutated(mutant: Mutant, source: str) -> ast.Module:
    tree = ast.parse(source)
    _, apply = list(faults(nodes(tree)[mutant.node]))[mutant.fault]
    apply()
    return ast.fix_missing_locations(tree)


def all_mutants() -> list[Mutant]:
    paths = sorted(path for pattern in TARGETS for path in ROOT.glob(pattern))
    names = [path.relative_to(ROOT).as_posix() for path in paths]
    return [m for name in names for m in mutants_of(name, (ROOT / name).read_text("utf-8"))]


class Faulty(MetaPathFinder):
    """Gives one module with other code."""

    def __init__(self, mutant: Mutant) -> None:
        source = (ROOT / mutant.path).read_text("utf-8")
        dotted = mutant.path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        self.name = dotted
        self.code = compile(mutated(mutant, source), mutant.path, "exec")

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        return spec_from_loader(fullname, _Loader(self.code))  # type: ignore[arg-type]


class _Loader:
    def __init__(self, code: CodeType) -> None:
        self.code = code

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, module.__dict__)


def child(mutant: Mutant | None, cpu_seconds: int) -> int:
    """Run the checks; returns whether they saw the fault."""
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    quiet = os.open(os.devnull, os.O_WRONLY)
    if mutant is not None:
        os.dup2(quiet, sys.stdout.fileno())
        os.dup2(quiet, sys.stderr.fileno())
        sys.meta_path.insert(0, Faulty(mutant))
    from tests.property import checks

    checks.check_all()
    return UNSEEN


def fork(mutant: Mutant | None, cpu_seconds: int = 600) -> int:
    """Start a child; returns its process id."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = SEEN
    try:
        code = child(mutant, cpu_seconds)
    except BaseException:  # whatever a fault leads to, it was seen
        if mutant is None:
            raise
    finally:
        os._exit(code)


def unseen(mutants: Sequence[Mutant], processes: int, cpu_seconds: int) -> list[Mutant]:
    """Return those that the checks do not see."""
    waiting, running, found = list(mutants), dict[int, Mutant](), list[Mutant]()
    while waiting or running:
        while waiting and len(running) < processes:
            mutant = waiting.pop()
            running[fork(mutant, cpu_seconds)] = mutant
        pid, status = os.wait()
        mutant = running.pop(pid)
        if os.waitstatus_to_exitcode(status) == UNSEEN:
            found.append(mutant)
            sys.stderr.write(f"{mutant.line} | {' | '.join(mutant.key)}\n")
            sys.stderr.flush()
    return sorted(found, key=lambda m: (m.path, m.line, m.change))


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, help="how many mutants; all unless given")
    parser.add_argument("--skip", type=Path, help="JSON: keys of mutants that are left out")
    parser.add_argument("--only", default="", help="part of the path")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    skipped = {tuple(key) for key in json.loads(options.skip.read_text())} if options.skip else ()
    mutants = [m for m in all_mutants() if options.only in m.path and m.key not in skipped]
    if options.sample is not None:
        mutants = Random(options.sample).sample(mutants, options.sample)
    _, status, used = os.wait4(fork(None), 0)
    if status:
        sys.exit("the checks fail without a fault")
    cpu_seconds = int(PATIENCE * (used.ru_utime + used.ru_stime)) + 1
    found = unseen(mutants, options.processes, cpu_seconds)
    told = {"mutants": len(mutants), "unseen": [(m.line, *m.key) for m in found]}
    sys.stdout.write(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
