"""`guardian`, with its exchange accounts on other addresses than the exchanges' own.

    python guardian_elsewhere.py ADDRESSES.json up --home …

Only here can an account be sent elsewhere: the product has no setting for it, so no setting can
send an account's keys to a stranger. ADDRESSES.json: scheme and host by account, read again for
each adapter that is made.
"""

import json
import sys
from pathlib import Path
from typing import Any

from guardian_cli.main import main
from guardian_gateway.venues import factory
from guardian_gateway.venues.exchange.checks import CheckedVenue


def guardian_elsewhere(addresses: Path) -> None:
    """Runs the command line. Raises KeyError for an account that has no address."""
    make = factory.make_exchange

    def make_elsewhere(account: str, *how: Any, **_address: Any) -> CheckedVenue:
        moved: str = json.loads(addresses.read_text())[account]
        return make(account, *how, elsewhere=moved)

    factory.make_exchange = make_elsewhere
    main()


if __name__ == "__main__":
    file = sys.argv.pop(1)
    guardian_elsewhere(Path(file))
