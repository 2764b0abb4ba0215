"""Binance spot and USD-M futures under test."""

from guardian_gateway.venues.binance import BinanceSpot, BinanceUsdm, spot, usdm
from tests.venues.fake.binance_spot import FakeSpot
from tests.venues.fake.binance_usdm import FakeUsdm
from tests.venues.families.under_test import OwnWords, UnderTest

WORDS = OwnWords(
    unknown=(503, '{"code": -1000, "msg": "An unknown error occurred"}'),
    timed_out=(408, '{"code": -1007, "msg": "Timeout waiting for response"}'),
    busy=(503, '{"code": -1008, "msg": "Server is overloaded"}'),
    clock_off=(400, '{"code": -1021, "msg": "outside of the recvWindow"}'),
)
STRANGE = {"status": "SOMETHING_NEW"}
PAGE = "guardian_gateway.venues.binance.shared.PAGE"

UNDER_TEST = {
    "binanceusdm": UnderTest(
        BinanceUsdm,
        usdm.WIRING,
        FakeUsdm,
        order="POST /fapi/v1/order",
        leg="POST /fapi/v1/algoOrder",
        cancel="DELETE /fapi/v1/algoOrder",
        words=WORDS,
        strange=STRANGE,
        page=PAGE,
        listings="GET /fapi/v1/exchangeInfo",
    ),
    "binance": UnderTest(
        BinanceSpot,
        spot.WIRING,
        FakeSpot,
        order="POST /api/v3/order",
        leg="POST /api/v3/order",
        pair="POST /api/v3/orderList/oco",
        cancel="DELETE /api/v3/order",
        words=WORDS,
        strange=STRANGE,
        page=PAGE,
        listings="GET /api/v3/exchangeInfo",
    ),
}
