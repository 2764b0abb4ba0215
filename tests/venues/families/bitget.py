"""Bitget's two markets under test."""

from guardian_gateway.venues.bitget import BitgetSpot, BitgetSwap, spot, swap
from tests.venues.fake.bitget_spot import FakeBitgetSpot
from tests.venues.fake.bitget_swap import FakeSwap
from tests.venues.families.under_test import OwnWords, UnderTest

WORDS = OwnWords(
    unknown=(400, '{"code": "40015", "msg": "System is abnormal", "data": null}'),
    timed_out=(400, '{"code": "40010", "msg": "Request timed out", "data": null}'),
    busy=(429, '{"code": "429", "msg": "Too Many Requests", "data": null}'),
    clock_off=(400, '{"code": "40008", "msg": "Request timestamp expired", "data": null}'),
)
STRANGE = {"state": "SOMETHING_NEW"}
PAGE = "guardian_gateway.venues.bitget.shared.PAGE"

UNDER_TEST = {
    "bitget": UnderTest(
        BitgetSpot,
        spot.WIRING,
        FakeBitgetSpot,
        order="POST /api/v2/spot/trade/place-order",
        leg="POST /api/v2/spot/trade/place-plan-order",
        cancel="POST /api/v2/spot/trade/cancel-plan-order",
        words=WORDS,
        strange={"status": "SOMETHING_NEW"},
        page=PAGE,
        listings="GET /api/v2/spot/public/symbols",
    ),
    "bitgetswap": UnderTest(
        BitgetSwap,
        swap.WIRING,
        FakeSwap,
        order="POST /api/v2/mix/order/place-order",
        leg="POST /api/v2/mix/order/place-tpsl-order",
        cancel="POST /api/v2/mix/order/cancel-plan-order",
        words=WORDS,
        strange=STRANGE,
        page=PAGE,
        listings="GET /api/v2/mix/market/contracts",
    ),
}
