"""Reads CloudFormation templates: YAML with the short forms of intrinsic functions."""

from typing import Any

import yaml

_WITHOUT_PREFIX = {"Ref", "Condition"}


def parse_template(text: str) -> Any:
    """A template as dictionaries, its short forms (`!GetAtt A.B`) written out."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506


# The one in C is several times as fast; PyYAML's wheels bring it, other builds may not.
_Safe = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Safe):  # type: ignore[misc, valid-type]  # PyYAML declares no types
    """PyYAML's safe loader: it makes plain data and no other objects."""

    def intrinsic(self, name: str, node: yaml.Node) -> dict[str, Any]:
        """The long form of `!Name value`."""
        value: Any
        if isinstance(node, yaml.ScalarNode):
            value = self.construct_scalar(node)
            value = value.split(".", 1) if name == "GetAtt" else value
        elif isinstance(node, yaml.SequenceNode):
            value = self.construct_sequence(node, deep=True)
        else:
            value = self.construct_mapping(node, deep=True)
        return {name if name in _WITHOUT_PREFIX else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _Loader.intrinsic)
