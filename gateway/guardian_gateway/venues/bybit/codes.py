"""Bybit's return codes, as the error page of its v5 documentation has them.

One table for both markets: derivatives are answered with 110xxx, spot with 170xxx, and both with
10xxx. What is not listed is unknown on purpose. 10000 (server timeout), 10016 (server error), 429
(high load), 110079 (still processing), 170007, 170146 and 170147 (timeouts) and 170035 (submitted)
do not say what became of the request; 10014 (duplicate request) says that an equal one came first.
"""

from guardian_core.domain.errors import RejectReason as Why
from guardian_gateway.venues.exchange.client import Wiring
from guardian_gateway.venues.exchange.errors import ErrorTable
from guardian_gateway.venues.exchange.reading import Row


def _all(reason: Why, *codes: int) -> dict[str, Why]:
    return {str(code): reason for code in codes}


_REFUSED = {
    **_all(Why.INVALID_ORDER, 10001, 110003, 110005, 110011, 110013, 110018, 110019, 110032),
    **_all(Why.INVALID_ORDER, 110040, 110043, 110057, 110058, 110085, 110086, 110089, 110090),
    **_all(Why.INVALID_ORDER, 110118, 110120, 110121, 30208, 30209),
    **_all(Why.INVALID_ORDER, 170010, 170011, 170019, 170105, 170115, 170116, 170117, 170124),
    **_all(Why.INVALID_ORDER, 170130, 170132, 170133, 170134, 170137, 170148, 170192, 170193),
    **_all(Why.INVALID_ORDER, 170194, 170195, 170196, 170197, 170198, 170199, 170200, 170202),
    **_all(Why.INVALID_ORDER, 170203, 170204, 170206, 170210, 170217, 170218, 170228, 170229),
    **_all(Why.INVALID_ORDER, 170341, 170371, 170372, 170381, 170382),
    **_all(Why.INSUFFICIENT_FUNDS, 110004, 110006, 110007, 110012, 110014, 110044, 110045),
    **_all(Why.INSUFFICIENT_FUNDS, 110051, 110052, 110053, 110131),
    **_all(Why.INSUFFICIENT_FUNDS, 170033, 170034, 170131),
    **_all(Why.BELOW_MINIMUM, 110094, 170136, 170140),
    **_all(Why.CROSSED, 110092, 110093),
    **_all(Why.REDUCE_ONLY, 110017, 110034),
    **_all(Why.DUPLICATE_ID, 110030, 110072, 170141),
    **_all(Why.UNKNOWN_SYMBOL, 170121, 170221),
    **_all(Why.NOT_PERMITTED, -2015, 10003, 10004, 10005, 10007, 10008, 10009, 10010, 10017),
    **_all(Why.NOT_PERMITTED, 10024, 10027, 10028, 10029, 33004, 100028, 30228),
    **_all(Why.NOT_PERMITTED, 110009, 110020, 110021, 110022, 110023, 110036, 110038, 110042),
    **_all(Why.NOT_PERMITTED, 110063, 110066, 110067, 110068, 110069, 110070, 110074, 110080),
    **_all(Why.NOT_PERMITTED, 110088, 110095, 110096, 110097, 110098, 110099, 110100, 110103),
    **_all(Why.NOT_PERMITTED, 110123, 110124, 110125, 110132),
    **_all(Why.NOT_PERMITTED, 170031, 170036, 170037, 170151, 170157, 170159, 170201, 170209),
    **_all(Why.NOT_PERMITTED, 170215, 170216, 170219, 170220, 170223, 170224, 170226, 170227),
    **_all(Why.NOT_PERMITTED, 170230, 170241, 170344, 170346, 170348, 170358, 170359, 170360),
    **_all(Why.NOT_PERMITTED, 170709, 170810),
}

HEDGE_WORDS = "position idx not match"
"""In the message of 10001: the account is in hedge mode."""

CODES = ErrorTable(
    refused=_REFUSED,
    worded={
        "10001": (
            (HEDGE_WORDS, Why.NOT_PERMITTED),
            ("symbol", Why.UNKNOWN_SYMBOL),
            ("minimum", Why.BELOW_MINIMUM),
        ),
    },
    gone=frozenset(
        {"110001", "110008", "110010", "170139", "170142", "170143", "170190", "170213"}
    ),
    unclocked=frozenset({"10002"}),
    overloaded=frozenset({"10006", "10018", "170005", "170222"}),
)


def read_code(body: Row) -> tuple[str, str]:
    """The code and message of any answer. Raises ValueError without a code."""
    if "retCode" not in body:
        raise ValueError("no code")
    return str(body["retCode"]), str(body.get("retMsg", ""))


def read_time_ms(body: Row) -> int:
    return int(body["time"])


WIRING = Wiring(
    ccxt_id="bybit",
    table=CODES,
    time_call="publicGetV5MarketTime",
    read_time_ms=read_time_ms,
    read_code=read_code,
)
