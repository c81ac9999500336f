import pytest
from hypothesis import given
from hypothesis import strategies as st

from getprofile.credential import digest
from ingest.authorization import bearer_token, matches
from tests.strategies import any_text

TOKEN = "s3cret-Token_0123456789.~+/=!*'();:@&$#[]?%"
VISIBLE_ASCII = [chr(code) for code in range(0x21, 0x7F) if chr(code) != ","]


@pytest.mark.parametrize(
    "header",
    [
        f"Bearer {TOKEN}",
        f"bearer {TOKEN}",
        f"BEARER {TOKEN}",
        f"bEaReR {TOKEN}",
        f"Bearer   {TOKEN}",
        f"  Bearer {TOKEN}  ",
        f"\tBearer {TOKEN}\t",
    ],
)
def test_a_bearer_header_is_its_token(header: str) -> None:
    assert bearer_token(header) == TOKEN


def test_a_token_may_be_one_character_long() -> None:
    assert bearer_token("Bearer x") == "x"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        " ",
        "\t",
        "Bearer",
        "Bearer ",
        "Bearer\t",
        f"Bearer{TOKEN}",
        f"Bearer\t{TOKEN}",
        f"Bearer \t{TOKEN}",
        f"Bearer\u00a0{TOKEN}",
        f"Bearer\u3000{TOKEN}",
        f"Bearer: {TOKEN}",
        f"Bearer={TOKEN}",
        TOKEN,
        f'"Bearer {TOKEN}"',
        f"Basic {TOKEN}",
        f"Token {TOKEN}",
        f"Digest {TOKEN}",
        f"X-Bearer {TOKEN}",
        f"Bearer Bearer {TOKEN}",
        f"Bearer {TOKEN} {TOKEN}",
        f"Bearer {TOKEN} trailing",
        f"Bearer {TOKEN}\n",
        f"Bearer {TOKEN}\r\nX: y",
        f"Bearer {TOKEN}\0",
        f"Bearer {TOKEN}\x7f",
        f"Bearer {TOKEN}é",
        f"Bearer {TOKEN}\u0660",
        f"Bearer {TOKEN}\ud800",
        f"Be\u0430rer {TOKEN}",  # a Cyrillic letter
    ],
)
def test_anything_else_has_no_token(header: str | None) -> None:
    assert bearer_token(header) is None


@pytest.mark.parametrize(
    "header",
    [
        f"Bearer {TOKEN},Bearer {TOKEN}",
        f"Bearer {TOKEN}, Bearer other",
        f"Bearer other, Bearer {TOKEN}",
        f"Basic eDp5,Bearer {TOKEN}",
        f"Bearer {TOKEN},",
        f",Bearer {TOKEN}",
        f"Bearer ,{TOKEN}",
    ],
)
def test_a_comma_joined_header_has_no_token(header: str) -> None:
    assert bearer_token(header) is None


@given(any_text | any_text.map(lambda text: f"Bearer {text}"))
def test_any_text_has_no_token_or_one_that_occurs_in_it(header: str) -> None:
    token = bearer_token(header)

    assert token is None or (
        token in header and token.isascii() and token.isprintable() and not set(", ") & set(token)
    )


@given(st.text(st.sampled_from(VISIBLE_ASCII), min_size=1))
def test_any_visible_ascii_without_a_comma_is_a_token(token: str) -> None:
    assert bearer_token(f"Bearer {token}") == token


@pytest.mark.parametrize(
    ("token", "found"),
    [
        ("current", [True, False]),
        ("previous", [False, True]),
        ("", [False, False]),
        ("curren", [False, False]),
        ("current ", [False, False]),
        ("xcurrent", [False, False]),
        ("Current", [False, False]),
        ("currentprevious", [False, False]),
    ],
)
def test_a_token_matches_only_the_very_same_secret(token: str, found: list[bool]) -> None:
    assert matches(token, [digest("current"), digest("previous")]) == found


def test_every_accepted_digest_is_compared_even_after_a_match() -> None:
    assert matches("same", [digest("same"), digest("same"), digest("other")]) == [True, True, False]


def test_nothing_matches_when_nothing_is_accepted() -> None:
    assert matches("current", []) == []


@given(st.text(st.sampled_from(VISIBLE_ASCII)), st.text(st.sampled_from(VISIBLE_ASCII)))
def test_digests_are_equal_only_for_equal_secrets(one: str, two: str) -> None:
    assert (digest(one) == digest(two)) is (one == two)
    assert len(digest(one)) == 32
