"""How one order of OKX carries the two client order ids of a pair.

A pair is a single conditional order there (`oco`) with a single id of at most 32 letters and
digits, large ones and small ones. Ours are small letters and digits, and the first six are the
installation's, the same for all its orders: so the stop-loss's id, a large letter, and what the
take-profit's has more.
"""

from guardian_core.domain.errors import CallerError
from guardian_core.domain.orders import INSTALLATION_LENGTH

LONGEST = 32
SAME_START = "T"
"""Before what follows the first six characters, which are the stop-loss's too."""
OWN_START = "X"
"""Before a whole id that starts otherwise."""


def pair_name(stop_loss: str, take_profit: str) -> str:
    """Raises CallerError for ids that do not fit."""
    start = stop_loss[:INSTALLATION_LENGTH]
    if len(start) == INSTALLATION_LENGTH and take_profit.startswith(start):
        name = f"{stop_loss}{SAME_START}{take_profit[INSTALLATION_LENGTH:]}"
    else:
        name = f"{stop_loss}{OWN_START}{take_profit}"
    if len(name) > LONGEST or names_of(name) != (stop_loss, take_profit):
        raise CallerError("client_order_id", f"{stop_loss} and {take_profit} do not fit in one id")
    return name


def names_of(name: str | None) -> tuple[str, str] | None:
    """The ids of stop-loss and take-profit; None where it is no pair of ours."""
    large = [letter for letter in name or "" if not (letter.islower() or letter.isdecimal())]
    if name is None or large not in ([SAME_START], [OWN_START]):
        return None
    stop_loss, _, rest = name.partition(large[0])
    if large == [OWN_START]:
        return (stop_loss, rest) if stop_loss and rest else None
    if len(stop_loss) < INSTALLATION_LENGTH:
        return None
    return stop_loss, stop_loss[:INSTALLATION_LENGTH] + rest
