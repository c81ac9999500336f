"""Blocks of a document that a program writes, between `<!-- begin: NAME -->` and its end."""

import re


def with_block(document: str, name: str, content: str) -> str:
    """A document with a block's content replaced. Raises: ValueError if it has no such block."""
    pattern = rf"(<!-- begin: {name} -->\n).*?(<!-- end: {name} -->\n)"
    changed, found = re.subn(
        pattern, lambda m: m[1] + content + m[2], document, count=1, flags=re.DOTALL
    )
    if not found:
        raise ValueError(f"no block {name}")
    return changed
