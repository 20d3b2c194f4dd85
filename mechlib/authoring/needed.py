"""Which of the cells that a page leaves out a notebook can do without.

A cell with the tag ``remove-cell`` compares numbers with the prose, and now and then defines what a later cell uses.
One may go if it only compares: nothing that it binds is read later, and it changes nothing that was there before.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from mechlib.authoring.checkout import Notebook
from mechlib.authoring.folding import is_bookkeeping

__all__ = ["TAG", "idle"]

TAG = "remove-cell"
COMPARING = frozenset({"quoted", "stated"})
"""Functions that a line may call for no result: they warn or raise, and leave nothing behind."""
CHANGING = frozenset(
    {"add", "append", "clear", "extend", "insert", "manual_seed", "next", "pop", "remove", "seed", "setattr", "update"}
)
"""What a call is named that changes its object or the state of a generator; so is every name that ends with ``_``."""
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
DRAWING = ("torch.rand", "torch.normal", "torch.multinomial", "torch.bernoulli", "np.random.", "random.")
"""Where calls begin that draw from a generator which the whole notebook shares, unless they are given another."""


def idle(notebook: Notebook) -> list[str]:
    """The ids of the cells that a reader of the notebook can do without, with which it computes the same."""
    cells = [(cell, _tree(cell["source"])) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    in_functions = {name for _, tree in cells if tree for name in _read_when_called(tree)}
    found: list[str] = []
    read: set[str] = set()
    for cell, tree in reversed(cells):
        if tree is None:
            continue
        tags = cell["metadata"].get("tags", ())
        removed = TAG in tags and is_bookkeeping(tags)
        if removed and not _bound(tree) & (read | in_functions) and _only_compares(tree):
            found.append(cell["id"])
        else:
            for statement in reversed(tree.body):
                read = (read - _surely_bound(statement)) | _read(statement)
    return found[::-1]


def _tree(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except SyntaxError:  # a line for IPython
        return None


def _bound(node: ast.AST) -> set[str]:
    """Every name that a cell or a statement binds in the notebook: not those of its functions and comprehensions."""
    names: set[str] = set()
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, (*COMPREHENSIONS, ast.Lambda)):
        return names
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        names.add(node.id)
    if isinstance(node, ast.alias):
        names.add((node.asname or node.name).partition(".")[0])
    return names.union(*map(_bound, ast.iter_child_nodes(node)))


def _read(node: ast.AST) -> set[str]:
    """The names that a statement reads from the notebook: not those that it binds itself before."""
    match node:
        case ast.Name(name, ast.Load()):
            return {name}
        case ast.For(target, source, body, otherwise):
            return _read(source) | _all_read([*body, *otherwise]) - _stored(target) | _read(target)
        case ast.Lambda(args, body):
            return _all_read([*args.defaults, *filter(None, args.kw_defaults)]) | _read(body) - _named(args)
        case ast.FunctionDef(args=args, body=body, decorator_list=around):
            own = _named(args).union(*map(_bound, body))
            outside = [*args.defaults, *filter(None, args.kw_defaults), *around, *_annotations(node)]
            return _all_read(outside) | _all_read(body) - own
    if isinstance(node, COMPREHENSIONS):
        first, *_ = node.generators
        own = set().union(*(_stored(each.target) for each in node.generators))
        return _read(first.iter) | _all_read(list(ast.iter_child_nodes(node))) - own
    return _all_read(list(ast.iter_child_nodes(node)))


def _all_read(nodes: Sequence[ast.AST]) -> set[str]:
    return set().union(*map(_read, nodes))


def _stored(target: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(target) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _named(args: ast.arguments) -> set[str]:
    return {node.arg for node in ast.walk(args) if isinstance(node, ast.arg)}


def _annotations(function: ast.FunctionDef) -> list[ast.AST]:
    given = [node.annotation for node in ast.walk(function.args) if isinstance(node, ast.arg)]
    return [each for each in (*given, function.returns) if each is not None]


def _read_when_called(tree: ast.Module) -> set[str]:
    """What functions read: they may be called long after their cell."""
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef))
    return set().union(*map(_read, functions))


def _surely_bound(statement: ast.stmt) -> set[str]:
    """What a statement binds whatever happens, so that nothing after it reads an earlier value."""
    if isinstance(statement, ast.Assign | ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
        return _bound(statement)
    return set()


def _only_compares(tree: ast.Module) -> bool:
    bound = _bound(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            return False
        if isinstance(node, ast.AugAssign | ast.Delete | ast.Global | ast.NamedExpr | ast.Await):
            return False
        if isinstance(node, ast.Call) and _changes(node, bound):
            return False
        if isinstance(node, ast.Expr) and not _is_comparison(node):
            return False
    return True


def _is_comparison(node: ast.Expr) -> bool:
    """Whether a statement that keeps no result is one of ``COMPARING``, or a text."""
    match node.value:
        case ast.Call(ast.Name(name)):
            return name in COMPARING
        case ast.Constant():
            return True
    return False


def _changes(call: ast.Call, bound: set[str]) -> bool:
    """Whether a call may change what was there before its cell."""
    name = ast.unparse(call.func)
    last = name.rpartition(".")[2]
    if last in CHANGING or last.endswith("_"):
        return True
    generators = list(_generators(call))
    if generators:
        return any(not generator & bound for generator in generators)
    return name.startswith(DRAWING)


def _generators(call: ast.Call) -> Iterator[set[str]]:
    """The names in each generator that a call is given."""
    for keyword in call.keywords:
        if keyword.arg in ("generator", "rng"):
            names = {node.id for node in ast.walk(keyword.value) if isinstance(node, ast.Name)}
            yield names
