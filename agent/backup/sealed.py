"""Secrets under a passphrase: scrypt makes the key, AES-256-GCM encrypts and proves that nothing was changed.

    magic (4) · salt (16) · nonce (12) · ciphertext with its tag

`witness` is what lies beside it in the clear; whoever changes that is found out as well. Everything is in memory:
secrets are small.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from agent.control.client import NotDone

MAGIC = b"WGS1"
SALT_BYTES, NONCE_BYTES, KEY_BYTES = 16, 12, 32
COST, BLOCK, LANES = 2**17, 8, 1
"""128 MB and half a second for one guess: what OWASP asks of scrypt (Password Storage Cheat Sheet)."""

PASSPHRASE_LENGTH_MIN = 12


def seal(content: bytes, passphrase: str, witness: bytes) -> bytes:
    """Raises `NotDone` for a passphrase that is too short."""
    if len(passphrase) < PASSPHRASE_LENGTH_MIN:
        raise NotDone(f"the passphrase has {len(passphrase)} characters", f"take {PASSPHRASE_LENGTH_MIN} or more")
    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    return MAGIC + salt + nonce + AESGCM(_key(passphrase, salt)).encrypt(nonce, content, witness)


def unseal(sealed: bytes, passphrase: str, witness: bytes) -> bytes:
    """Raises `NotDone` where passphrase, content or witness is not what it was."""
    head = len(MAGIC) + SALT_BYTES
    salt, nonce, rest = sealed[len(MAGIC) : head], sealed[head : head + NONCE_BYTES], sealed[head + NONCE_BYTES :]
    if not sealed.startswith(MAGIC):
        raise NotDone("the secrets of this backup are of a form that is not known here", "use a newer wardgate")
    try:
        return AESGCM(_key(passphrase, salt)).decrypt(nonce, rest, witness)
    except (InvalidTag, ValueError) as error:
        raise NotDone(
            "the passphrase is not the one of this backup, or the backup was changed", "try again, or --no-secrets"
        ) from error


def _key(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt, KEY_BYTES, COST, BLOCK, LANES).derive(passphrase.encode())
