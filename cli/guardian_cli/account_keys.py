"""An account's exchange keys: asked for without showing them, kept in files for their owner only.

Never an argument or a variable: both are seen by others on the machine, and kept in histories.
"""

from typing import TYPE_CHECKING

import typer

from guardian_core.domain.errors import CallerError, ConfigurationError
from guardian_gateway.venues.catalogue import EXCHANGES
from guardian_gateway.venues.exchange.keys import KeyFiles, Keys, key_folder

if TYPE_CHECKING:
    from guardian_cli.place import Place
    from guardian_core.accounts import AccountSpec


def key_files(place: "Place", account: str) -> KeyFiles:
    """Where this machine keeps the account's keys."""
    return key_folder(place.settings).of(account)


def keys_to_store(place: "Place", account: str, spec: "AccountSpec") -> Keys | None:
    """Asks for keys where they are needed and missing; None where nothing is to be stored."""
    if spec.venue not in EXCHANGES or place.settings.keys_folder is not None:
        return None
    return None if key_files(place, account).exist() else ask_for_keys(spec)


def ask_for_keys(spec: "AccountSpec") -> Keys:
    """From the terminal, hidden. Raises CallerError for an empty one."""
    facts = EXCHANGES[spec.venue]
    title = f"{facts.title}, {spec.environment.value}"
    key, secret = _asked(f"API key ({title})"), _asked(f"API secret ({title})")
    passphrase = _asked(f"API passphrase ({title})") if facts.passphrase else ""
    return Keys(key, secret, passphrase)


def store_keys(place: "Place", account: str, keys: Keys) -> None:
    """Raises ConfigurationError where the keys are mounted, and so not ours to write."""
    if place.settings.keys_folder is not None:
        raise ConfigurationError(
            f"keys are mounted at {place.settings.keys_folder}: change them where they come from"
        )
    place.home.create()
    key_files(place, account).store(keys)


def _asked(what: str) -> str:
    text = str(typer.prompt(what, hide_input=True, default="", show_default=False)).strip()
    if not text:
        raise CallerError(what, "nothing was given", "paste it at the prompt; it is not shown")
    return text
