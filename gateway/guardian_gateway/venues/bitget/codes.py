"""Bitget's error codes, as its documentation and practice have them; spot and futures share them.

What is not listed is unknown on purpose: 40010 and 40910 (timed out), 40015, 40200, 40725, 43059
and 45001 (trouble inside) tell that Bitget itself does not know, or does not say, what became of
the request; 40708 means a duplicate id in one place and a bad parameter in another.
"""

from guardian_core.domain.errors import RejectReason as Why
from guardian_gateway.venues.exchange.errors import ErrorTable
from guardian_gateway.venues.exchange.reading import Row


def _all(reason: Why, codes: str) -> dict[str, Why]:
    return dict.fromkeys(codes.split(), reason)


_REFUSED = {
    # Keys, rights, the account's state, and what a market takes no orders for.
    **_all(
        Why.NOT_PERMITTED,
        "40001 40002 40003 40006 40009 40011 40012 40013 40014 40016 40018 40022 40023 40024 40025"
        " 40026 40027 40031 40035 40036 40037 40038 40040 40041 40085 40100 40101 40111 40301 40308"
        " 40716 40774 40824 40844 41113 41114 43115 43119 43120 45117 45123 22004 22005",
    ),
    **_all(Why.INSUFFICIENT_FUNDS, "40711 40712 40754 40762 40798 43012 45002 50020"),
    **_all(Why.BELOW_MINIMUM, "43006 43010 43027 43037 43042 45110 45111 45114 50014 50019"),
    **_all(
        Why.INVALID_ORDER,
        "40017 400172 40019 40020 40053 40304 40305 40706 40724 40787 40808 40811 40812 40813 40815"
        " 40816 40820 40821 41101 41103 41117 43007 43008 43009 43011 43028 43038 43039 43040 43041"
        " 45035 45103 45104 45112 45113 45115 22006 22007 22008 22009",
    ),
    # A level on the wrong side of the average entry price: not passed, only not taken.
    **_all(
        Why.INVALID_ORDER,
        "40735 40737 40739 40741 40829 40831 40833 40835 45064 45065 45066 45067",
    ),
    # More working orders than an account may have.
    **_all(Why.INVALID_ORDER, "40723 40761 40889 43005 45118"),
    # A level on the wrong side of the price now.
    **_all(
        Why.CROSSED,
        "40736 40738 40740 40742 40830 40832 40834 40836 40915 40917 43013 43014 43015 43016 43034"
        " 43035 45060 45061 45062 45122",
    ),
    # No position, or a smaller one.
    **_all(
        Why.REDUCE_ONLY,
        "22002 40709 40757 40837 40838 40891 43023 43029 43043 45003 45005 45006",
    ),
    **_all(Why.DUPLICATE_ID, "40786 43118 45034 50060"),
    **_all(Why.UNKNOWN_SYMBOL, "40034 40072 40102 40309 40845"),
}

TABLE = ErrorTable(
    refused=_REFUSED,
    gone=frozenset({"22001", "40109", "40768", "40819", "43001", "43020", "43025", "45057"}),
    unclocked=frozenset({"40004", "40005", "40008", "40078", "40911"}),
    overloaded=frozenset({"429"}),
)


def read_code(body: Row) -> tuple[str, str]:
    """The code and message of an error's JSON. Raises ValueError without a code."""
    if "code" not in body:
        raise ValueError("no code")
    return str(body["code"]), str(body.get("msg", ""))


def read_time_ms(body: Row) -> int:
    return int(body["data"]["serverTime"])
