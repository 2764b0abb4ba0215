"""Kraken futures and spot under test."""

from guardian_gateway.venues.kraken import KrakenFutures, futures
from tests.venues.fake.kraken_futures import FakeKrakenFutures
from tests.venues.families.under_test import OwnWords, UnderTest

_LATE = '{"status": "wouldProcessAfterSpecifiedTime", "orderEvents": []}'
FUTURES_WORDS = OwnWords(
    unknown=(500, '{"result": "error", "error": "Server Error"}'),
    timed_out=(503, '{"result": "error", "error": "Unavailable"}'),
    busy=(200, '{"result": "error", "error": "apiLimitExceeded"}'),
    clock_off=(200, f'{{"result": "success", "sendStatus": {_LATE}, "cancelStatus": {_LATE}}}'),
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
}
