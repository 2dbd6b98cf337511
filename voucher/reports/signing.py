"""The key that signs evidence: Ed25519, in a file of the centre that only its owner can read."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from suanwang.errors import Unavailable

KEY_FILE: Final = "signing.key"
_RAW_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with one key; ``public_key`` is its public half in hex."""

    _key: Ed25519PrivateKey
    public_key: str
    public_pem: str

    def sign(self, message: bytes) -> str:
        """Return the signature of a message in hex."""
        return self._key.sign(message).hex()


def load_signer(state_dir: Path) -> Signer:
    """Return the signer of a centre, whose key is made at first use.

    Raises Unavailable for a key file that cannot be read or is not a key.
    """
    path = state_dir.joinpath(KEY_FILE)
    try:
        return _signer(path.read_bytes(), path)
    except FileNotFoundError:
        _make(path)
    except OSError as failure:
        raise _unreadable(path, str(failure)) from failure
    return _signer(path.read_bytes(), path)


def _make(path: Path) -> None:
    """Write a new key, unless another process has just done so."""
    raw = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.Raw,
        serialization.PrivateFormat.Raw,
        serialization.NoEncryption(),
    )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    drafted = path.with_name(f"{KEY_FILE}.{os.getpid()}")
    descriptor = os.open(drafted, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(drafted, path)
        except FileExistsError:
            return
    finally:
        drafted.unlink()


def _signer(raw: bytes, path: Path) -> Signer:
    if len(raw) != _RAW_BYTES:
        raise _unreadable(path, f"it has {len(raw)} bytes, not {_RAW_BYTES}")
    key = Ed25519PrivateKey.from_private_bytes(raw)
    public = key.public_key()
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    raw_public = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return Signer(key, raw_public.hex(), pem.decode())


def _unreadable(path: Path, reason: str) -> Unavailable:
    return Unavailable(
        f"the signing key {path.name} cannot be used: {reason}",
        next_step="restore it from a backup; a new key cannot stand for the old one",
    )
