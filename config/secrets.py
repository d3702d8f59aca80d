"""Secrets by reference: where a secret is, never what it is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from config.fields import KeySpec, SecretSpec
    from config.layers import Source
    from config.validate import Report


@dataclass(frozen=True, slots=True)
class Secret:
    """A systemd credential, a file or an environment variable. Its text appears nowhere but in what `reveal` gives."""

    source: Literal["credential", "file", "env"]
    name: str

    def reveal(self) -> str:
        """The secret itself, without a trailing line end. Raises `LookupError` that says where it was looked for."""
        if self.source == "env":
            if self.name not in os.environ:
                raise LookupError(f"environment variable {self.name} is not set")
            return os.environ[self.name]
        path = self.path()
        try:
            return path.read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            raise LookupError(f"cannot read {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise LookupError(f"{path} is no text") from error

    def path(self) -> Path:
        """The file that holds it, for libraries that read it themselves. Raises `LookupError` as `reveal` does."""
        if self.source == "env":
            raise LookupError(f"environment variable {self.name} is no file")
        if self.source == "file":
            return Path(self.name)
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if folder is None:
            raise LookupError(f"no systemd credentials here (wanted {self.name}); add LoadCredential={self.name}:PATH")
        return Path(folder) / self.name


def secret_of(spec: SecretSpec | KeySpec, root: Path) -> Secret:
    """What is written, with a relative path starting at `root`."""
    if spec.file is not None:
        return Secret("file", str((root / spec.file).absolute()))
    if spec.credential is not None:
        return Secret("credential", spec.credential)
    return Secret("env", getattr(spec, "env", None) or "")


def check_secret(secret: Secret | None, source: Source, key: str, report: Report) -> None:
    """Warn of a file that is not there. Only the service itself knows its credentials and its environment."""
    if secret is not None and secret.source == "file":
        report.look_for(secret.path(), source, (key,), "put the secret there before it is needed")
