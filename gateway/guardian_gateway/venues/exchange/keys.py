"""Exchange keys: files in a folder per account, read when they are needed and when they change.

    <folder>/<account>/api-key
    <folder>/<account>/api-secret
    <folder>/<account>/passphrase      where the venue has one

On one machine the folder is `accounts` in the home folder, and only its owner may read the files.
A folder named by a setting is somebody else's to guard: a mounted Secret.
"""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from guardian_core.domain.errors import ConfigurationError
from guardian_core.settings import Settings

KEY_FILE = "api-key"
SECRET_FILE = "api-secret"
PASSPHRASE_FILE = "passphrase"
_FILES = (KEY_FILE, SECRET_FILE, PASSPHRASE_FILE)

HIDDEN = "(hidden)"
_OWNER_ONLY_FOLDER = 0o700
_OWNER_ONLY_FILE = 0o600

_Look = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """One account's keys. Never shown: not by repr, not by str."""

    key: str
    secret: str
    passphrase: str = ""

    def __repr__(self) -> str:
        return f"Keys{HIDDEN}"

    def scrub(self, text: str) -> str:
        """The text without any of them."""
        for value in (self.key, self.secret, self.passphrase):
            if value:
                text = text.replace(value, HIDDEN)
        return text


@dataclass(frozen=True, slots=True)
class KeyFolder:
    """Where the keys of all accounts are. `private`: others must not be able to read them."""

    path: Path
    private: bool = True

    def of(self, account: str) -> "KeyFiles":
        return KeyFiles(account, self.path / account, private=self.private)


def key_folder(settings: Settings) -> KeyFolder:
    """The mounted folder where a setting names one, else the home's own."""
    if settings.keys_folder is not None:
        return KeyFolder(settings.keys_folder, private=False)
    return KeyFolder(settings.home / "accounts")


@dataclass(slots=True)
class KeyFiles:
    """One account's files. `current` reads them again once one of them has changed."""

    account: str
    folder: Path
    private: bool = True
    _look: _Look = field(default=(), init=False, repr=False)
    _keys: Keys | None = field(default=None, init=False, repr=False)

    def current(self) -> Keys:
        """Raises ConfigurationError that names the missing or unsafe file."""
        look = tuple(_look_of(self.folder / name) for name in _FILES)
        if self._keys is None or look != self._look:
            self._keys = self._read()
            self._look = look
        return self._keys

    def exist(self) -> bool:
        return all((self.folder / name).exists() for name in (KEY_FILE, SECRET_FILE))

    def store(self, keys: Keys) -> None:
        """Writes the files, each whole and for its owner only. Raises ConfigurationError."""
        try:
            self.folder.parent.mkdir(mode=_OWNER_ONLY_FOLDER, exist_ok=True)
            self.folder.mkdir(mode=_OWNER_ONLY_FOLDER, exist_ok=True)
            for name, value in zip(_FILES, (keys.key, keys.secret, keys.passphrase), strict=True):
                if value:
                    _write(self.folder / name, value)
                else:
                    (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"the keys of {self.account} cannot be stored in {self.folder}: {error.strerror}"
            ) from None

    def lacks_passphrase(self) -> ConfigurationError:
        """What to say where the venue's keys come with one."""
        return ConfigurationError(
            f"account {self.account} has no passphrase beside its keys in {self.folder}: store all"
            f" three with `guardian accounts keys {self.account}`, or mount {PASSPHRASE_FILE}"
        )

    def _read(self) -> Keys:
        key, secret = self._text(KEY_FILE), self._text(SECRET_FILE)
        if not (key and secret):
            raise ConfigurationError(
                f"account {self.account} has no exchange keys in {self.folder}: store them with"
                f" `guardian accounts keys {self.account}`, or mount {KEY_FILE} and {SECRET_FILE}"
            )
        return Keys(key, secret, self._text(PASSPHRASE_FILE))

    def _text(self, name: str) -> str:
        path = self.folder / name
        try:
            if self.private and stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
                raise ConfigurationError(f"others may read {path}: chmod 600 {path}")
            return path.read_text().strip()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            # The words of a decoding error would quote the file.
            why = getattr(error, "strerror", None) or "it is not text"
            raise ConfigurationError(f"{path} cannot be read: {why}") from None


def _look_of(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file does, or when a mounted Secret's link is moved to a new one."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY_FILE)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
