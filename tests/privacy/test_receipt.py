"""A receipt is what the instance signed, word for word, or it is refused."""

import json
from pathlib import Path

import pytest

from privacy.receipt import ReceiptError, public_key_of, sign, verify

CONTENT = {"kind": "erasure", "stores": [{"store": "warehouse", "rows": 3}], "note": "gelöscht"}


@pytest.fixture
def receipt(tmp_path: Path) -> Path:
    path = tmp_path / "receipt.json"
    path.write_text(json.dumps(sign(CONTENT, key_file=tmp_path / "own" / "signing.key"), indent=2))
    return path


def test_a_receipt_is_verified_however_its_file_is_laid_out(receipt: Path) -> None:
    key = public_key_of(receipt.parent / "own" / "signing.key")
    receipt.write_text(json.dumps(json.loads(receipt.read_text()), sort_keys=True))
    assert verify(receipt, public_key_file=key) == CONTENT


def test_the_key_is_the_owners_alone(receipt: Path) -> None:
    assert (receipt.parent / "own" / "signing.key").stat().st_mode & 0o077 == 0


def test_a_forged_receipt_is_refused(receipt: Path) -> None:
    key = public_key_of(receipt.parent / "own" / "signing.key")
    text = receipt.read_text()
    receipt.write_text(text.replace('"rows": 3', '"rows": 4'))
    with pytest.raises(ReceiptError, match="was changed"):
        verify(receipt, public_key_file=key)
    receipt.write_text(text)
    sign(CONTENT, key_file=receipt.parent / "other.key")
    with pytest.raises(ReceiptError, match="another instance"):
        verify(receipt, public_key_file=receipt.parent / "other.pub")
    with pytest.raises(ReceiptError, match="no public key"):
        verify(receipt, public_key_file=receipt)
    receipt.write_text("{}")
    with pytest.raises(ReceiptError, match="no receipt"):
        verify(receipt, public_key_file=key)
