"""Bybit linear and spot under test."""

from guardian_gateway.venues.bybit import BybitLinear, BybitSpot
from guardian_gateway.venues.bybit.codes import WIRING
from tests.venues.fake.bybit_linear import FakeBybitLinear
from tests.venues.fake.bybit_spot import FakeBybitSpot
from tests.venues.families.under_test import OwnWords, UnderTest

WORDS = OwnWords(
    unknown=(200, '{"retCode": 10016, "retMsg": "Server error.", "result": {}}'),
    timed_out=(200, '{"retCode": 10000, "retMsg": "Server Timeout", "result": {}}'),
    busy=(200, '{"retCode": 10006, "retMsg": "Too many visits!", "result": {}}'),
    clock_off=(200, '{"retCode": 10002, "retMsg": "time exceeds the window", "result": {}}'),
)
STRANGE = {"orderStatus": "SOMETHING_NEW"}
PAGE = "guardian_gateway.venues.bybit.history.PAGE"

UNDER_TEST = {
    "bybitlinear": UnderTest(
        BybitLinear,
        WIRING,
        FakeBybitLinear,
        order="POST /v5/order/create",
        leg="POST /v5/order/create",
        cancel="POST /v5/order/cancel",
        words=WORDS,
        strange=STRANGE,
        page=PAGE,
        listings="GET /v5/market/instruments-info",
    ),
    "bybit": UnderTest(
        BybitSpot,
        WIRING,
        FakeBybitSpot,
        order="POST /v5/order/create",
        leg="POST /v5/order/create",
        cancel="POST /v5/order/cancel",
        words=WORDS,
        strange=STRANGE,
        page=PAGE,
        listings="GET /v5/market/instruments-info",
    ),
}
