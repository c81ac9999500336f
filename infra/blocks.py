"""Replaces generated blocks of a document.

A block is between `<!-- begin: NAME -->` and `<!-- end: NAME -->`.
"""

import re


def with_block(document: str, name: str, content: str) -> str:
    """Replace the content of a block. Raises: ValueError, if the document has no such block."""
    pattern = rf"(<!-- begin: {name} -->\n).*?(<!-- end: {name} -->\n)"
    changed, found = re.subn(
        pattern, lambda m: m[1] + content + m[2], document, count=1, flags=re.DOTALL
    )
    if not found:
        raise ValueError(f"no block {name}")
    return changed
