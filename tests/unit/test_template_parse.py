"""infra/template.py reads a template as SAM does."""

from pathlib import Path

import pytest
from samtranslator.yaml_helper import yaml_parse

from gpw.stack.template import parse_template

ROOT = Path(__file__).parents[2]
TEMPLATES = ["template.yaml", "infra/monitoring.yaml"]
EXAMPLES = sorted(
    path.relative_to(ROOT).as_posix() for path in ROOT.glob("infra/examples/**/*.yaml")
)


@pytest.mark.parametrize("name", [*TEMPLATES, *EXAMPLES])
def test_a_template_is_read_as_sam_reads_it(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")

    assert parse_template(text) == yaml_parse(text)


def test_every_short_form_is_written_out() -> None:
    text = """
        a: !GetAtt A.B.C
        b: !If [X, !Ref Y, {Fn::Sub: z}]
        c: !Transform {Name: n}
        d: !Condition E
    """

    assert parse_template(text) == {
        "a": {"Fn::GetAtt": ["A", "B.C"]},
        "b": {"Fn::If": ["X", {"Ref": "Y"}, {"Fn::Sub": "z"}]},
        "c": {"Fn::Transform": {"Name": "n"}},
        "d": {"Condition": "E"},
    }
