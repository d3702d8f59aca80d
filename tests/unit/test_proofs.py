"""Hashes of passwords and tokens: a form that others write too, and that tells nothing."""

from __future__ import annotations

import base64
import hashlib

import pytest

from config.proofs import PASSWORD_LENGTH_MAX, Proof, new_token, of_password, of_token

FOREIGN = "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E"
"""From the documentation of passlib: of the word password."""


def test_a_hash_that_another_program_made_is_understood() -> None:
    """The form is that of passlib; another password does not fit."""
    assert Proof(FOREIGN).fits("password")
    assert not Proof(FOREIGN).fits("Password")


def test_two_hashes_of_one_password_differ_and_both_fit() -> None:
    """Because of their salts; so nobody sees that two people have the same."""
    one, other = of_password("四个词 horse"), of_password("四个词 horse")
    assert one != other
    assert one.fits("四个词 horse")
    assert other.fits("四个词 horse")


def test_a_token_is_hashed_by_sha_256_alone() -> None:
    """It is random and long, so nothing slow is needed; openssl makes the same."""
    token = new_token()
    digest = base64.b64encode(hashlib.sha256(token.encode()).digest()).decode().rstrip("=")
    assert of_token(token).written == f"$sha256${digest}"
    assert of_token(token).fits(token)
    assert not of_token(token).fits(new_token())
    assert (len(token), of_token(token).is_token, Proof(FOREIGN).is_token) == (43, True, False)


def test_a_password_without_end_costs_nothing() -> None:
    """It is not hashed at all."""
    assert not of_token("x").fits("x" * (PASSWORD_LENGTH_MAX + 1))


def test_a_hash_is_not_shown() -> None:
    """Its text is a mark by which a change can be seen."""
    proof = Proof(FOREIGN)
    assert FOREIGN[-20:] not in f"{proof} {proof!r}"
    assert str(proof) != str(of_token("x"))
    assert proof == Proof(FOREIGN)


@pytest.mark.parametrize(
    "written",
    ["", "password", "$scrypt$ln=16,r=8,p=1$aM15$nFNh", FOREIGN.replace("16", "10"), FOREIGN.replace("16", "30")],
)
def test_what_protects_nothing_is_no_hash(written: str) -> None:
    """Neither a password as it is, nor a hash that is quickly guessed, nor one that costs a gigabyte to check."""
    with pytest.raises(ValueError, match="not a hash"):
        Proof(written)
