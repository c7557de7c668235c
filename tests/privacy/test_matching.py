"""Many values are found in many bytes exactly as a search for each of them would."""

import json
import random

import pytest

from privacy.identifiers import Identifiers, KeyMissingError, is_distinctive, make_keyring
from privacy.matching import Matcher


@pytest.mark.parametrize("seed", range(5))
def test_every_occurrence_is_found_and_nothing_else(seed: int) -> None:
    rng = random.Random(seed)
    values = {"".join(rng.choices("abc1", k=rng.randint(3, 14))) for _ in range(40)} | {"Zoë Müller", "王小明先生"}
    data = "".join(rng.choices("abc1 ", k=20_000)) + json.dumps("Zoë Müller") + "Zoë Müller 王小明先生"
    written, expected = data.encode(), {}
    for value in values:
        count = sum(written.startswith(value.encode(), at) for at in range(len(written)))
        count += data.count(json.dumps(value)[1:-1]) * (not value.isascii())
        if count:
            expected[value] = count
    assert dict(Matcher(values=tuple(values)).count(written)) == expected


def test_a_text_holds_a_value_and_two_texts_together_do_not() -> None:
    texts = ["", "of k0007", "", "k00", "07", "k0007k0012", json.dumps("Zoë Müller"), "nobody"]
    matcher = Matcher(values=("k0007", "k0012", "Zoë Müller"))
    assert [texts[place] for place in matcher.find_texts(texts)] == ["of k0007", "k0007k0012", json.dumps("Zoë Müller")]
    assert matcher.replace("k0012, k0007: Zoë Müller", by="erased", names={"k0007": "x1"}) == "erased, x1: erased"


def test_only_what_cannot_be_anything_else_is_searched_for_in_bytes() -> None:
    found = {
        each: is_distinctive(each)
        for each in ("12345678", "k0007", "c0007", "c1", "Anna", "ann@example.org", "tok_ab12")
    }
    assert found == {
        "12345678": False, "k0007": True, "c0007": False, "c1": False, "Anna": False, "ann@example.org": True,
        "tok_ab12": True,
    }  # fmt: skip
    identifiers = Identifiers(customers=("7", "k0007", "k0008"), ambiguous=("k0008",))
    assert (identifiers.searched, identifiers.indistinct) == (("k0007",), 2)


def test_sealed_identifiers_open_for_their_request_under_their_key_alone() -> None:
    keyring, identifiers = make_keyring("a key of sixteen characters"), Identifiers(customers=("c0007",))
    sealed = keyring.seal(identifiers, request_id="r1")
    assert keyring.open(sealed, request_id="r1") == identifiers
    assert "c0007" not in bytes.fromhex(sealed).decode(errors="replace") + repr(identifiers) + repr(keyring)
    for other, request_id in ((keyring, "r2"), (make_keyring("another key of that length"), "r1")):
        with pytest.raises(KeyMissingError, match="sealed under another"):
            other.open(sealed, request_id=request_id)
    with pytest.raises(KeyMissingError, match="HOLDFAST_TOKEN_KEY"):
        make_keyring("short")
