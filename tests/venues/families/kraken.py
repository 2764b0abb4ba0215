"""Kraken futures and spot under test."""

from guardian_gateway.venues.kraken import KrakenFutures, KrakenSpot, futures, spot
from tests.venues.fake.kraken_futures import FakeKrakenFutures
from tests.venues.fake.kraken_spot import FakeKrakenSpot
from tests.venues.families.under_test import OwnWords, UnderTest

_LATE = '{"status": "wouldProcessAfterSpecifiedTime", "orderEvents": []}'
FUTURES_WORDS = OwnWords(
    unknown=(500, '{"result": "error", "error": "Server Error"}'),
    timed_out=(503, '{"result": "error", "error": "Unavailable"}'),
    busy=(200, '{"result": "error", "error": "apiLimitExceeded"}'),
    clock_off=(200, f'{{"result": "success", "sendStatus": {_LATE}, "cancelStatus": {_LATE}}}'),
)
SPOT_WORDS = OwnWords(
    unknown=(200, '{"error": ["EGeneral:Internal error"]}'),
    timed_out=(200, '{"error": ["EService:Timeout"]}'),
    busy=(200, '{"error": ["EAPI:Rate limit exceeded"]}'),
    clock_off=(200, '{"error": ["EAPI:Invalid nonce"]}'),
)

UNDER_TEST = {
    "krakenfutures": UnderTest(
        KrakenFutures,
        futures.WIRING,
        FakeKrakenFutures,
        order="POST /derivatives/api/v3/sendorder",
        leg="POST /derivatives/api/v3/sendorder",
        cancel="POST /derivatives/api/v3/cancelorder",
        words=FUTURES_WORDS,
        strange={"status": "SOMETHING_NEW"},
        page="guardian_gateway.venues.kraken.futures_history.PAGE",
        listings="GET /derivatives/api/v3/instruments$",
        one_way_only=True,
        has_notional=False,
    ),
    "kraken": UnderTest(
        KrakenSpot,
        spot.WIRING,
        FakeKrakenSpot,
        order="POST /0/private/AddOrder",
        leg="POST /0/private/AddOrder",
        cancel="POST /0/private/CancelOrder",
        words=SPOT_WORDS,
        strange={"status": "SOMETHING_NEW"},
        page="guardian_gateway.venues.kraken.spot_trades.PAGE",
        listings="GET /0/public/AssetPairs",
        late_is_doubtful=True,
        fees_in_quote=True,
        reads="POST /0/private/OpenOrders",
    ),
}
