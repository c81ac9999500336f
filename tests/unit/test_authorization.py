import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.domain.credential import digest
from receiver.ingest.authorization import bearer_token, matches
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


NO_BEARER = [
    *(None, "", " ", "\t", ",", "Bearer", "Bearer ", "Bearer\t", "bearer", TOKEN, f":{TOKEN}"),
    *(f"{scheme} {TOKEN}" for scheme in ("Basic", "Digest", "Token", "ApiKey", "JWT", "X-Bearer")),
    *(f'Digest username="{TOKEN}"', f'"Bearer {TOKEN}"', f"xBearer {TOKEN}"),
    *(f"Bearer{TOKEN}", f"Bearer\t{TOKEN}", f"Bearer \t{TOKEN}", f"Bearer\u00a0{TOKEN}"),
    *(f"Bearer\u3000{TOKEN}", f"Bearer: {TOKEN}", f"Bearer:{TOKEN}", f"Bearer={TOKEN}"),
    *(f"Bearer Bearer {TOKEN}", f"Bearer {TOKEN} {TOKEN}", f"Bearer {TOKEN} trailing"),
    # As API Gateway joins headers that come twice.
    *(f"Bearer {TOKEN},Bearer {TOKEN}", f"Bearer {TOKEN}, Bearer other", f"Bearer {TOKEN},"),
    *(f"Bearer other, Bearer {TOKEN}", f"Basic x, Bearer {TOKEN}", f"Bearer {TOKEN}, Basic x"),
    *(f",Bearer {TOKEN}", f"Bearer ,{TOKEN}", f"Bearer {TOKEN},{TOKEN}"),
    *(f"Bearer {TOKEN}\n", f"Bearer {TOKEN}\r\nX: y", f"Bearer {TOKEN}\0", f"\0Bearer {TOKEN}"),
    *(f"Bearer {TOKEN}\x7f", f"Bearer \x0b{TOKEN}", f"Bearer {TOKEN}é", f"Bearer {TOKEN}\u0660"),
    *(f"Bearer {TOKEN}\ud800", f"Bearer {TOKEN}\u200b", f"\ufeffBearer {TOKEN}"),
    *(f"B\u0435arer {TOKEN}", f"\uff22earer {TOKEN}"),  # letters that look like ASCII's
    *("B" * 65_536, "Bearer" + " " * 65_536, " " * 65_536, "Bearer " + "a " * 32_768),
]


def test_anything_else_has_no_token() -> None:
    assert [header for header in NO_BEARER if bearer_token(header) is not None] == []


@given(any_text | any_text.map(lambda text: f"Bearer {text}"))
def test_any_text_has_no_token_or_one_that_occurs_in_it(header: str) -> None:
    token = bearer_token(header)

    assert token is None or (
        token in header and token.isascii() and token.isprintable() and not set(", ") & set(token)
    )


@given(st.text(st.sampled_from(VISIBLE_ASCII), min_size=1))
def test_any_visible_ascii_without_a_comma_is_a_token(token: str) -> None:
    assert bearer_token(f"Bearer {token}") == token


def one_step_from(secret: str) -> set[str]:
    """Every token that is one small step away from a secret, and some that are a large one."""
    found = {"", secret * 2, secret[::-1], secret.upper(), secret[:16], f" {secret}", f"{secret} "}
    found |= {
        f'"{secret}"',
        f"<{secret}>",
        f"x{secret}",
        f"{secret}=",
        f"{secret}%00",
        secret * 999,
    }
    for place, character in enumerate(secret):
        before, after = secret[:place], secret[place + 1 :]
        found |= {
            before + after,
            before + character * 2 + after,
            before + chr(ord(character) ^ 1) + after,
            before + character.swapcase() + after,
            before + after[:1] + character + after[1:],
        }
    return found - {secret}


def test_a_token_matches_only_the_very_same_secret() -> None:
    secret, previous = "example-webhook-Secret-0123456789", "the-previous-Secret-0123456789"
    accepted = [digest(secret), digest(previous)]
    wrong = one_step_from(secret) | one_step_from(previous) | {secret + previous}

    assert matches(secret, accepted) == [True, False]
    assert matches(previous, accepted) == [False, True]
    assert [token for token in wrong if any(matches(token, accepted))] == []


def test_every_accepted_digest_is_compared_even_after_a_match() -> None:
    assert matches("same", [digest("same"), digest("same"), digest("other")]) == [True, True, False]


def test_nothing_matches_when_nothing_is_accepted() -> None:
    assert matches("current", []) == []


@given(st.text(st.sampled_from(VISIBLE_ASCII)), st.text(st.sampled_from(VISIBLE_ASCII)))
def test_digests_are_equal_only_for_equal_secrets(one: str, two: str) -> None:
    assert (digest(one) == digest(two)) is (one == two)
    assert len(digest(one)) == 32
