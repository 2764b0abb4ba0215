"""OKX spot and swaps under test."""

from guardian_gateway.venues.okx import OkxSpot, OkxSwap
from guardian_gateway.venues.okx.codes import WIRING
from tests.venues.fake.okx_spot import FakeOkxSpot
from tests.venues.fake.okx_swap import FakeOkxSwap
from tests.venues.families.under_test import OwnWords, UnderTest

WORDS = OwnWords(
    unknown=(500, '{"code": "50026", "msg": "System error. Try again later", "data": []}'),
    timed_out=(400, '{"code": "50004", "msg": "API endpoint request timeout.", "data": []}'),
    busy=(429, '{"code": "50013", "msg": "Systems are busy.", "data": []}'),
    clock_off=(401, '{"code": "50102", "msg": "Timestamp request expired.", "data": []}'),
)
STRANGE = {"state": "SOMETHING_NEW"}
PAGE = "guardian_gateway.venues.okx.questions.PAGE"

UNDER_TEST = {
    "okxswap": UnderTest(
        OkxSwap,
        WIRING,
        FakeOkxSwap,
        order="POST /api/v5/trade/order",
        leg="POST /api/v5/trade/order-algo",
        cancel="POST /api/v5/trade/cancel-algos",
        words=WORDS,
        strange=STRANGE,
        page=PAGE,
        listings="GET /api/v5/public/instruments",
        has_notional=False,
        contract_size=FakeOkxSwap.size,
    ),
    "okx": UnderTest(
        OkxSpot,
        WIRING,
        FakeOkxSpot,
        order="POST /api/v5/trade/order",
        leg="POST /api/v5/trade/order-algo",
        pair="POST /api/v5/trade/order-algo",
        cancel="POST /api/v5/trade/cancel-algos",
        words=WORDS,
        strange=STRANGE,
        page=PAGE,
        listings="GET /api/v5/public/instruments",
        has_notional=False,
        pair_has_one_id=True,
    ),
}
