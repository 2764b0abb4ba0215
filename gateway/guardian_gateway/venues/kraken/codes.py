"""Kraken's refusals: words of its futures, and texts of its spot market.

What is not listed is unknown on purpose. Futures: `Server Error`, `Unavailable`, `unknownError`,
and the `cancelled` of an order that was just sent. Spot: see the table.
"""

from guardian_core.domain.errors import RejectReason as Why
from guardian_gateway.venues.exchange.errors import ErrorTable
from guardian_gateway.venues.exchange.reading import Row

CANCELLING = "cancel "
"""Before what a cancel is told: the same words mean something else when an order is sent."""

_SENT = {
    "clientOrderIdAlreadyExist": Why.DUPLICATE_ID,
    "clientOrderIdInvalid": Why.INVALID_ORDER,
    "clientOrderIdTooBig": Why.INVALID_ORDER,
    "clientOrderIdTooLong": Why.INVALID_ORDER,
    "fixedLeverageTooHigh": Why.NOT_PERMITTED,
    "insufficientAvailableFunds": Why.INSUFFICIENT_FUNDS,
    "invalidOrderType": Why.INVALID_ORDER,
    "invalidPrice": Why.INVALID_ORDER,
    "invalidSide": Why.INVALID_ORDER,
    # Quantities are whole steps here, so what is wrong with one is that it is too small.
    "invalidSize": Why.BELOW_MINIMUM,
    "iocWouldNotExecute": Why.NOT_PERMITTED,
    "marketInactive": Why.NOT_PERMITTED,
    "marketIsPostOnly": Why.NOT_PERMITTED,
    "marketSuspended": Why.NOT_PERMITTED,
    "maxPositionViolation": Why.NOT_PERMITTED,
    "outsidePriceCollar": Why.INVALID_ORDER,
    "postWouldExecute": Why.INVALID_ORDER,
    "selfFill": Why.NOT_PERMITTED,
    "tooManyOrders": Why.NOT_PERMITTED,
    "tooManySmallOrders": Why.NOT_PERMITTED,
    "wouldCauseLiquidation": Why.INSUFFICIENT_FUNDS,
    "wouldIncreasePriceDislocation": Why.NOT_PERMITTED,
    "wouldNotReducePosition": Why.REDUCE_ONLY,
}
"""`sendStatus.status`: every one of them came before the order did anything."""

_ENVELOPE = {
    "accountInactive": Why.NOT_PERMITTED,
    "apiLimitExceeded": Why.RATE_LIMITED,
    "authenticationError": Why.NOT_PERMITTED,
    "contractNotFound": Why.UNKNOWN_SYMBOL,
    "invalidArgument": Why.INVALID_ORDER,
    "marketUnavailable": Why.NOT_PERMITTED,
    "requiredArgumentMissing": Why.INVALID_ORDER,
}
"""`error` of an answer whose `result` is error."""

_NUMBERS = {
    "11": Why.INVALID_ORDER,
    "41": Why.INSUFFICIENT_FUNDS,
    "87": Why.UNKNOWN_SYMBOL,
    "88": Why.NOT_PERMITTED,
}
"""`errors[0].code`."""

FUTURES = ErrorTable(
    refused={**_SENT, **_ENVELOPE, **_NUMBERS},
    gone=frozenset({f"{CANCELLING}notFound", f"{CANCELLING}filled"}),
    unclocked=frozenset(
        {"wouldProcessAfterSpecifiedTime", f"{CANCELLING}wouldProcessAfterSpecifiedTime"}
    ),
)


def read_futures_code(body: Row) -> tuple[str, str]:
    """The word and message of an error's JSON. Raises ValueError without one."""
    errors = body.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    if body.get("error"):
        return _word(str(body["error"]), first)
    if isinstance(first, dict) and "code" in first:
        return str(first["code"]), str(first.get("message", ""))
    raise ValueError("no error")


def _word(error: str, first: object) -> tuple[str, str]:
    # A word may be followed by what it is about: "invalidArgument: size".
    word, _, about = error.partition(":")
    return word.strip(), about.strip() or (str(first) if first is not None else "")


_REFUSED_TEXTS = {
    "EAPI:Invalid key": Why.NOT_PERMITTED,
    "EAPI:Invalid signature": Why.NOT_PERMITTED,
    "EAPI:Bad request": Why.INVALID_ORDER,
    "EAuth:Account temporary disabled": Why.NOT_PERMITTED,
    "EAuth:Account unconfirmed": Why.NOT_PERMITTED,
    "EAccount:Invalid permissions": Why.NOT_PERMITTED,
    "EGeneral:Permission denied": Why.NOT_PERMITTED,
    "EGeneral:Invalid arguments": Why.INVALID_ORDER,
    "EOrder:Cannot open position": Why.NOT_PERMITTED,
    "EOrder:Cost minimum not met": Why.BELOW_MINIMUM,
    "EOrder:Duplicate order": Why.DUPLICATE_ID,
    "EOrder:Insufficient funds": Why.INSUFFICIENT_FUNDS,
    "EOrder:Invalid price": Why.INVALID_ORDER,
    "EOrder:Order minimum not met": Why.BELOW_MINIMUM,
    "EOrder:Orders limit exceeded": Why.NOT_PERMITTED,
    "EOrder:Tick size check failed": Why.INVALID_ORDER,
    "EOrder:Trading agreement required": Why.NOT_PERMITTED,
    "EQuery:Invalid asset pair": Why.UNKNOWN_SYMBOL,
    "EQuery:Unknown asset pair": Why.UNKNOWN_SYMBOL,
    "EService:Market in cancel_only mode": Why.NOT_PERMITTED,
    "EService:Market in limit_only mode": Why.NOT_PERMITTED,
    "EService:Market in post_only mode": Why.NOT_PERMITTED,
    "ETrade:User Locked": Why.NOT_PERMITTED,
    "EOrder:Rate limit exceeded": Why.RATE_LIMITED,
    "EOrder:Domain rate limit exceeded": Why.RATE_LIMITED,
}
_TOO_MANY = {
    "EAPI:Rate limit exceeded": Why.RATE_LIMITED,
    "EAuth:Rate limit exceeded": Why.RATE_LIMITED,
    "EAuth:Too many requests": Why.RATE_LIMITED,
    "EGeneral:Temporary lockout": Why.RATE_LIMITED,
    "EGeneral:Too many requests": Why.RATE_LIMITED,
    "EService:Throttled": Why.RATE_LIMITED,
}

SPOT = ErrorTable(
    refused=_REFUSED_TEXTS | _TOO_MANY,
    # How a repeated id is told is not documented; either way it is looked up. A deadline is not
    # taken where it has come too near on the way.
    worded={
        "EGeneral:Invalid arguments": (
            ("cl_ord_id", Why.DUPLICATE_ID),
            ("deadline", Why.NOT_SENT),
        )
    },
    gone=frozenset({"EOrder:Unknown order"}),
    unclocked=frozenset({"EAPI:Invalid nonce"}),
    late=frozenset({"EService:Deadline elapsed"}),
    slow_down=frozenset(_TOO_MANY),
)
"""Unknown: `EService:Busy`, `Timeout`, `Unavailable`, `EGeneral:Internal error`, and `Deadline
elapsed`, which tells that the request took too long, not surely that nothing came of it."""


def read_spot_code(body: Row) -> tuple[str, str]:
    """`EGeneral:Invalid arguments:volume` is the first two parts, about the third. Raises
    ValueError without an error."""
    errors = body.get("error")
    if not isinstance(errors, list) or not errors:
        raise ValueError("no error")
    parts = [part.strip() for part in str(errors[0]).split(":", 2)]
    return ":".join(parts[:2]), ", ".join([*parts[2:], *map(str, errors[1:])])
