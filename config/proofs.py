"""Passwords and tokens as what may be written down: their hashes.

    $scrypt$ln=15,r=8,p=1$SALT$HASH     of a password, by scrypt (RFC 7914); N is 2 to the power of ln
    $sha256$HASH                        of a token, which is random and so long that nobody can guess it

Salt and hash are base64 without padding: the form of the Modular Crypt Format that passlib writes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets

LN, R, P = 15, 8, 1
"""32 MB and about a tenth of a second for each try."""

LN_MIN, LN_MAX = 14, 17
SALT_BYTES = 16
HASH_BYTES = 32
TOKEN_BYTES = 32
PASSWORD_LENGTH_MIN = 12
PASSWORD_LENGTH_MAX = 1024

_SCRYPT = re.compile(r"\$scrypt\$ln=(\d\d),r=8,p=1\$([A-Za-z0-9+/]{11,64})\$([A-Za-z0-9+/]{43})")
_SHA256 = re.compile(r"\$sha256\$([A-Za-z0-9+/]{43})")


class Proof:
    """The hash of what somebody has to know. Shown, it is a few digits by which a change can be seen, never the hash.

    Raises `ValueError` for what is no hash, or one too weak to protect a password or too dear to check.
    """

    __slots__ = ("_cost", "_salt", "written")

    def __init__(self, written: str) -> None:
        found = _SCRYPT.fullmatch(written)
        if found is None and not _SHA256.fullmatch(written):
            raise ValueError("not a hash")
        if found is not None and (not LN_MIN <= int(found[1]) <= LN_MAX or len(found[2]) % 4 == 1):
            raise ValueError("not a hash that is good enough")
        self.written = written
        self._cost = int(found[1]) if found else 0
        self._salt = _bytes(found[2]) if found else b""

    @property
    def is_token(self) -> bool:
        return not self._cost

    def fits(self, secret: str) -> bool:
        """Whether this is the hash of `secret`. Takes a tenth of a second for a password."""
        if len(secret) > PASSWORD_LENGTH_MAX:
            return False
        made = _of_token(secret) if self.is_token else _of_password(secret, self._salt, self._cost)
        return hmac.compare_digest(made.encode(), self.written.encode())

    def __str__(self) -> str:
        return f"hash {hashlib.sha256(self.written.encode()).hexdigest()[:8]}"

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Proof) and other.written == self.written

    def __hash__(self) -> int:
        return hash(self.written)


def of_password(password: str) -> Proof:
    """Another one each time, because of its salt. Takes a tenth of a second."""
    return Proof(_of_password(password, secrets.token_bytes(SALT_BYTES), LN))


def of_token(token: str) -> Proof:
    return Proof(_of_token(token))


def new_token() -> str:
    """256 random bits, as a text that fits everywhere."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def _of_password(password: str, salt: bytes, ln: int) -> str:
    memory = 2 * 128 * R * 2**ln  # what it takes, and room for what the library adds
    secret = password.encode("utf-8", "surrogatepass")
    made = hashlib.scrypt(secret, salt=salt, n=2**ln, r=R, p=P, maxmem=memory, dklen=HASH_BYTES)
    return f"$scrypt$ln={ln},r={R},p={P}${_text(salt)}${_text(made)}"


def _of_token(token: str) -> str:
    return f"$sha256${_text(hashlib.sha256(token.encode('utf-8', 'surrogatepass')).digest())}"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii").rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))
