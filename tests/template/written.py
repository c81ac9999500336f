"""The metrics that the functions write, read from their source."""

import ast
import re
from pathlib import Path

WRITES = ("log import record", "support import log\n", "batch.report(")
ROOT = Path(__file__).resolve().parents[2]


def written_metrics(package: str) -> dict[str, bool]:
    """The metrics of a function, and whether each is counted by reason too.

    They are the keys in capitals, unlike the fields of a line, of the dictionaries in modules that
    write one.
    """
    folder = ROOT / "functions" / "receiver" / package
    paths = list(folder.rglob("*.py"))
    if "batch.report(" in (folder / "handler.py").read_text("utf-8"):
        paths.append(ROOT / "functions" / "receiver" / "lambda_support" / "batch.py")
    found: dict[str, bool] = {}
    for path in paths:
        source = path.read_text("utf-8")
        if any(line in source for line in WRITES):
            tree = ast.parse(source)
            by_reason = {
                name
                for call in ast.walk(tree)
                if isinstance(call, ast.Call)
                and any(keyword.arg == "by_reason" for keyword in call.keywords)
                for name in _names(call)
            }
            for name in _names(tree):
                found[name] = found.get(name, False) or name in by_reason
    return found


def _names(tree: ast.AST) -> list[str]:
    return [
        str(key.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and re.fullmatch("([A-Z][a-z]+){2,}", str(key.value))
    ]
