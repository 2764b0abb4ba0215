"""Binance's error codes, as its documentation and practice have them.

What is not listed is unknown on purpose: -1000, -1001, -1006, -1007 and -1016 tell that Binance
itself does not know, or does not say, what became of the request.
"""

from guardian_core.domain.errors import RejectReason as Why
from guardian_gateway.venues.exchange.errors import ErrorTable
from guardian_gateway.venues.exchange.reading import Row

_COMMON = {
    "-1002": Why.NOT_PERMITTED,
    "-1003": Why.RATE_LIMITED,
    "-1014": Why.INVALID_ORDER,
    "-1015": Why.RATE_LIMITED,
    "-1020": Why.NOT_PERMITTED,
    "-1022": Why.NOT_PERMITTED,
    **{f"-{code}": Why.INVALID_ORDER for code in range(1100, 1121)},
    "-1109": Why.NOT_PERMITTED,
    "-1121": Why.UNKNOWN_SYMBOL,
    "-1122": Why.NOT_PERMITTED,
    "-1127": Why.INVALID_ORDER,
    "-1128": Why.INVALID_ORDER,
    "-1130": Why.INVALID_ORDER,
    "-1131": Why.INVALID_ORDER,
    "-1136": Why.INVALID_ORDER,
    "-2008": Why.NOT_PERMITTED,
    "-2014": Why.NOT_PERMITTED,
    "-2015": Why.NOT_PERMITTED,
}

_CLOCK = frozenset({"-1021", "-5028"})
_BUSY = frozenset({"-1008"})

USDM = ErrorTable(
    refused={
        **_COMMON,
        "-2017": Why.NOT_PERMITTED,
        "-2018": Why.INSUFFICIENT_FUNDS,
        "-2019": Why.INSUFFICIENT_FUNDS,
        "-2020": Why.INVALID_ORDER,
        "-2021": Why.CROSSED,
        "-2022": Why.REDUCE_ONLY,
        "-2023": Why.NOT_PERMITTED,
        "-2024": Why.REDUCE_ONLY,
        "-2025": Why.NOT_PERMITTED,
        "-2026": Why.INVALID_ORDER,
        "-2027": Why.NOT_PERMITTED,
        "-2028": Why.INSUFFICIENT_FUNDS,
        "-4001": Why.INVALID_ORDER,
        "-4002": Why.INVALID_ORDER,
        "-4003": Why.BELOW_MINIMUM,
        "-4004": Why.BELOW_MINIMUM,
        "-4005": Why.INVALID_ORDER,
        "-4006": Why.INVALID_ORDER,
        "-4007": Why.INVALID_ORDER,
        "-4013": Why.INVALID_ORDER,
        "-4014": Why.INVALID_ORDER,
        "-4015": Why.INVALID_ORDER,
        "-4016": Why.INVALID_ORDER,
        "-4023": Why.INVALID_ORDER,
        "-4024": Why.INVALID_ORDER,
        "-4028": Why.INVALID_ORDER,
        "-4045": Why.NOT_PERMITTED,
        "-4047": Why.NOT_PERMITTED,
        "-4048": Why.NOT_PERMITTED,
        "-4061": Why.NOT_PERMITTED,
        "-4087": Why.NOT_PERMITTED,
        "-4088": Why.NOT_PERMITTED,
        "-4116": Why.DUPLICATE_ID,
        "-4118": Why.REDUCE_ONLY,
        "-4120": Why.NOT_PERMITTED,
        "-4131": Why.INVALID_ORDER,
        "-4140": Why.NOT_PERMITTED,
        "-4141": Why.NOT_PERMITTED,
        "-4161": Why.NOT_PERMITTED,
        "-4164": Why.BELOW_MINIMUM,
        "-4183": Why.INVALID_ORDER,
        "-4184": Why.INVALID_ORDER,
        "-4192": Why.NOT_PERMITTED,
        "-4202": Why.NOT_PERMITTED,
        "-4203": Why.NOT_PERMITTED,
        "-4400": Why.NOT_PERMITTED,
        "-4401": Why.NOT_PERMITTED,
        "-4402": Why.NOT_PERMITTED,
        "-4403": Why.NOT_PERMITTED,
        "-5021": Why.INVALID_ORDER,
        "-5022": Why.INVALID_ORDER,
        "-20132": Why.DUPLICATE_ID,
    },
    gone=frozenset({"-2011", "-2013"}),
    unclocked=_CLOCK,
    overloaded=_BUSY,
)

_REJECTED_ORDER = (
    ("insufficient balance", Why.INSUFFICIENT_FUNDS),
    ("duplicate order", Why.DUPLICATE_ID),
    ("trigger immediately", Why.CROSSED),
    ("relationship of the prices", Why.CROSSED),
    ("immediately match", Why.CROSSED),
    ("not supported", Why.NOT_PERMITTED),
    ("may not place", Why.NOT_PERMITTED),
    ("market is closed", Why.NOT_PERMITTED),
    ("is disabled", Why.NOT_PERMITTED),
)

SPOT = ErrorTable(
    refused={
        **_COMMON,
        "-1013": Why.INVALID_ORDER,
        "-1165": Why.INVALID_ORDER,
        "-1167": Why.CROSSED,
        "-2010": Why.INVALID_ORDER,
    },
    worded={
        "-1013": (
            ("NOTIONAL", Why.BELOW_MINIMUM),
            ("LOT_SIZE", Why.BELOW_MINIMUM),
            ("relationship of the prices", Why.CROSSED),
        ),
        "-2010": _REJECTED_ORDER,
    },
    gone=frozenset({"-2011", "-2013"}),
    unclocked=_CLOCK,
    overloaded=_BUSY,
)


def read_code(body: Row) -> tuple[str, str]:
    """The code and message of an error's JSON. Raises ValueError without a code."""
    if "code" not in body:
        raise ValueError("no code")
    return str(body["code"]), str(body.get("msg", ""))


def read_time_ms(body: Row) -> int:
    return int(body["serverTime"])
