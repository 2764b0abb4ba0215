"""OKX's error codes, as its documentation has them, and the way to ccxt's class.

What is not listed is unknown on purpose: 50001, 50004, 50013, 50026, 51054 and 51149 tell that
OKX itself does not know, or does not say, what became of the request; 51410 and 51412 that a
cancel is still under way.
"""

from collections.abc import Mapping
from typing import Any

from guardian_core.domain.errors import RejectReason as Why
from guardian_gateway.venues.exchange.errors import Answer, ErrorTable, Strange
from guardian_gateway.venues.exchange.making import VALID_FOR_MS, Wiring
from guardian_gateway.venues.exchange.reading import Row, row, rows, text

_BY_REASON = {
    # The key, the account, its mode, the instrument's state, or a number of orders forbids it.
    Why.NOT_PERMITTED: """
        50007 50008 50009 50010 50012 50017 50018 50019 50020 50021 50022 50023 50027 50028 50029
        50030 50032 50033 50035 50038 50041 50051 50052 50059 50060 50062 50067 50072 50100 50101
        50103 50104 50105 50106 50107 50108 50109 50110 50111 50112 50113 50114 50119 50120 50121
        51009 51010 51021 51022 51024 51025 51027 51028 51029 51030 51037 51038 51041 51056 51087
        51088 51102 51103 51104 51105 51106 51107 51109 51110 51115 51117 51124 51129 51133 51134
        51139 51148 51155 51174 51186 51187 51196 51197 51205 51206 51261 51299 51341 51403 51404
        51413 54007 54008 54011 54012 54024 54025 54030 54031 54035 54072 59000 59101 59107 59112
        59113 59114""",
    Why.INVALID_ORDER: """
        50000 50002 50006 50014 50015 50016 50024 50025 50115 51000 51003 51004 51005 51006 51015
        51031 51033 51046 51047 51048 51049 51101 51108 51116 51121 51122 51135 51136 51137 51138
        51150 51185 51201 51202 51203 51204 51250 51252 51275 51276 51415 59102 59104 59105 59106
        59110""",
    Why.BELOW_MINIMUM: "50122 51007 51020 51120",
    Why.INSUFFICIENT_FUNDS: "51008 51119 51127 51131 59103 59108 59109",
    Why.UNKNOWN_SYMBOL: "51001 51012 51014",
    Why.DUPLICATE_ID: "50071 51016 51065 51068",
    Why.RATE_LIMITED: "50011 50040 50061 51113",
    # A trigger behind the last, the mark or the index price, or the best one on the book.
    Why.CROSSED: """
        51050 51051 51052 51053 51277 51278 51279 51280 51300 51302 51303 51304 51305 51306 51307
        51308""",
    Why.REDUCE_ONLY: "51023 51058 51112 51169 51170",
}

TABLE = ErrorTable(
    refused={code: why for why, codes in _BY_REASON.items() for code in codes.split()},
    gone=frozenset({"51400", "51401", "51402", "51405", "51416", "51603"}),
    # The request's own deadline (expTime), and its timestamp.
    unclocked=frozenset({"50036", "50102"}),
)

OK = "0"


def read_code(body: Row) -> tuple[str, str]:
    """The code and message of the item that failed, else the answer's own. Raises ValueError
    without a code."""
    if "code" not in body:
        raise ValueError("no code")
    items = body.get("data")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and str(item.get("sCode", OK)) != OK:
            return str(item["sCode"]), str(item.get("sMsg", ""))
    return str(body["code"]), str(body.get("msg", ""))


class Refused(Exception):
    """OKX's no in an answer that ccxt takes for a yes: an outer code 2, or 0 above an item's."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"code {answer.code}")
        self.answer = answer


def data(answer: Any) -> "list[Row]":
    """What an answer carries. Raises Strange or Refused."""
    source = row(answer)
    text(source, "code")
    code, message = read_code(source)
    if code != OK:
        raise Refused(Answer(200, code, message))
    return list(rows(source.get("data")))


def only(answer: Any) -> Row:
    """The one item of an answer. Raises Strange or Refused."""
    found = data(answer)
    if len(found) != 1:
        raise Strange(f"{len(found)} items instead of one")
    return found[0]


def acknowledged(answer: Any) -> Row:
    """What a write was answered for its one order: taken, which is all that OKX says."""
    source = only(answer)
    if text(source, "sCode") != OK:
        raise Strange(f"sCode {source['sCode']}")
    return source


def read_time_ms(body: Row) -> int:
    return int(text(only(body), "ts"))


_LAPSING = ("trade/order",)
"""The endpoints of ours that keep to a request's deadline. Those of conditional orders do not."""
_IN_A_LIST = ("trade/cancel-algos",)


def _sign(self: Any, path: str, api: Any, method: str, params: Mapping[str, Any]) -> Any:
    """ccxt's signed request, with a deadline where OKX knows one."""
    body = [params] if path in _IN_A_LIST else params
    request = super(type(self), self).sign(path, api, method, body)
    if method == "POST" and path in _LAPSING:
        deadline_ms = int(self.nonce()) + VALID_FOR_MS
        request["headers"] = {**request["headers"], "expTime": str(deadline_ms)}
    return request


WIRING = Wiring(
    ccxt_id="okx",
    table=TABLE,
    time_call="publicGetPublicTime",
    read_time_ms=read_time_ms,
    read_code=read_code,
    demo_is_sandbox=True,
    members={"sign": _sign},
)
