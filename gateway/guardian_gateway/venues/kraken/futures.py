"""Kraken futures: linear multi-collateral perpetuals (`PF_…`); one way only, by their nature.

1. Stop-loss and take-profit are reduce-only conditional orders that execute at market, triggered
   by the price that the order names. Whether an edited trigger keeps its place is not proved, so
   nothing is amended: the new order works before the old one goes.
2. A market order here is immediate-or-cancel within 1 % of the price: the rest of it is gone, and
   what it left open is the guardian's next concern.
3. Every write names the moment after which Kraken refuses it (`processBefore`).
4. An id is unknown only when the working orders, those that just ended, the executions and a week
   of history all do not know it.
5. A symbol's leverage preference is its isolated margin; without one it is crossed.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ccxt.base.types import Entry  # type: ignore[import-untyped]

from guardian_core.accounts import MarginMode
from guardian_core.domain.errors import CallerError, NotSent, Unavailable
from guardian_core.domain.money import Instrument, plain
from guardian_core.domain.orders import OrderBody, OrderRef, Role
from guardian_core.domain.snapshot import Capabilities, LegsMode, Position, Price
from guardian_gateway.venues.exchange.asking import both
from guardian_gateway.venues.exchange.checks import (
    Finding,
    clock_finding,
    found_out,
    key_findings,
)
from guardian_gateway.venues.exchange.client import Client, Wiring
from guardian_gateway.venues.exchange.errors import Strange
from guardian_gateway.venues.exchange.markets import Listing, Markets
from guardian_gateway.venues.exchange.orders import check_is_of, one_of_ours
from guardian_gateway.venues.exchange.reading import (
    Row,
    number,
    number_above_zero,
    row,
    rows,
    text,
    to_ms,
)
from guardian_gateway.venues.exchange.stream import listen
from guardian_gateway.venues.exchange.surroundings import Surroundings
from guardian_gateway.venues.kraken import futures_words as words
from guardian_gateway.venues.kraken.codes import FUTURES, read_futures_code
from guardian_gateway.venues.kraken.futures_history import FuturesHistory
from guardian_gateway.venues.kraken.futures_listing import balances, listings, position
from guardian_gateway.venues.kraken.futures_stream import FUTURES_STREAM
from guardian_gateway.venues.kraken.shared import check_not_passed, iso_moment
from guardian_gateway.venues.port import Balance, VenueFill, VenueOrder

KEY_CHECK = "api-keys/v3/check"


def read_time_ms(body: Row) -> int:
    return to_ms(iso_moment(body, "serverTime"))


WIRING = Wiring(
    ccxt_id="krakenfutures",
    table=FUTURES,
    # There is no call for the time alone; every public answer carries it.
    time_call="publicGetInstrumentsStatus",
    read_time_ms=read_time_ms,
    read_code=read_futures_code,
    options={
        "access": {"auth": {"GET": {KEY_CHECK: "private"}}},
        "versions": {"auth": {"GET": {KEY_CHECK: "v1"}}},
    },
    demo_is_sandbox=True,
    settings={
        "urls": {
            "api": {"auth": "https://futures.kraken.com/api/auth/"},
            "test": {"auth": "https://demo-futures.kraken.com/api/auth/"},
        }
    },
    members={"authGetApiKeysCheck": Entry(KEY_CHECK, ["auth"], "GET", {"cost": 1})},
)
CAPABILITIES = Capabilities(
    legs=LegsMode.INDEPENDENT,
    amend=False,
    create_then_cancel=True,
    reports_positions=True,
    visibility_delay_s=2.0,
)
FILLS_WINDOW = timedelta(days=7)


class KrakenFutures:
    """One account. Made without I/O."""

    name = "krakenfutures"

    def __init__(self, around: Surroundings) -> None:
        self._client = Client(WIRING, around)
        self._clock = around.clock
        self._markets = Markets(around.clock, self._read_markets, self.name, around.shelf)
        self._history = FuturesHistory(self._client, around.clock, self._markets)
        self._margin_mode = around.margin_mode

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    # Reads

    async def instrument(self, symbol: str) -> Instrument:
        return await self._markets.instrument(symbol)

    async def balances(self) -> Sequence[Balance]:
        found = await self._client.read("privateGetAccounts", {}, balances)
        return [balance for balance in found if balance.total != 0]

    async def positions(self) -> Sequence[Position]:
        await self._markets.ready()
        return await self._client.read("privateGetOpenpositions", {}, self._positions)

    def _positions(self, answer: Any) -> list[Position]:
        found = [position(r, self._markets) for r in rows(row(answer).get("openPositions"))]
        return [position for position in found if position is not None]

    async def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]:
        """All orders are one answer, which costs what those of one symbol would."""
        await self._markets.ready()
        found = await self._client.read(
            "privateGetOpenorders", {}, lambda a: words.working_orders(a, self._markets)
        )
        return [order for order in found if symbol in (None, order.ref.symbol)]

    async def find(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        listing = await self._markets.listing(symbol)
        told, working = await both(self._history.recent(client_order_id), self.open_orders(symbol))
        if told is not None and told.status.is_terminal:
            return told
        listed = (o for o in working if o.ref.client_order_id == client_order_id)
        # The list alone tells what is left of a working order beyond doubt.
        return next(listed, None) or told or await self._history.past(listing, client_order_id)

    async def fills(self, symbol: str, since: datetime | None = None) -> Sequence[VenueFill]:
        listing = await self._markets.listing(symbol)
        return await self._history.fills(listing, since or self._clock.now() - FILLS_WINDOW)

    async def price(self, symbol: str) -> Price:
        """Last and mark price."""
        listing = await self._markets.listing(symbol)
        began_s = self._clock.monotonic()
        last, mark = await self._client.read(
            "publicGetTickersSymbol", {"symbol": listing.name}, _prices, signed=False
        )
        age_ms = round((self._clock.monotonic() - began_s) * 1000)
        return Price(symbol, last, age_ms=age_ms, mark=mark)

    # Writes

    async def create(self, body: OrderBody) -> VenueOrder:
        one_of_ours(body, words.SHAPES, self.name)
        listing = await self._markets.listing_to_write(body.symbol)
        if body.type.is_conditional:
            await check_not_passed(body, self.price)
        request = words.order_request(
            words.in_contracts(body, listing), listing.name, await self._client.deadline()
        )
        order = await self._client.write(
            "privatePostSendorder",
            request,
            lambda a: words.sent_order(a, body, listing.instrument.contract_size),
            entering=body.role is Role.ENTRY,
        )
        check_is_of(order, body)
        return order

    async def create_pair(
        self, stop_loss: OrderBody, take_profit: OrderBody
    ) -> Sequence[VenueOrder]:
        raise CallerError("pair", "krakenfutures has no pairs", "send both legs as they are")

    async def amend(self, order: OrderRef, body: OrderBody) -> VenueOrder:
        raise CallerError("amend", "krakenfutures does not amend orders", "replace it")

    async def cancel(self, order: OrderRef) -> None:
        request = words.cancel_request(order, await self._client.deadline())
        await self._client.write("privatePostCancelorder", request, words.cancelled)

    async def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        """Isolated: the leverage as the symbol's preference; crossed: none. Read back."""
        listing = await self._markets.listing_to_write(symbol)
        isolated = self._margin_mode is MarginMode.ISOLATED
        wanted = leverage if isolated else None
        if await self._preference(listing) == wanted:
            return
        request = {"symbol": listing.name}
        if wanted is not None:
            request["maxLeverage"] = plain(wanted)
        await self._client.write("privatePutLeveragepreferences", request, _success)
        stands = await self._preference(listing)
        if stands != wanted:
            raise NotSent(f"{symbol} stands at leverage {stands}, not {wanted}")

    async def _preference(self, listing: Listing) -> Decimal | None:
        """The most leverage that a symbol is isolated with; None where it is crossed. Raises
        NotSent where it cannot be read."""

        def parse(answer: Any) -> Decimal | None:
            for source in rows(row(answer).get("leveragePreferences")):
                if text(source, "symbol").upper() == listing.name:
                    return number_above_zero(source, "maxLeverage")
            return None

        try:
            return await self._client.read("privateGetLeveragepreferences", {}, parse)
        except Unavailable as error:
            told = f"leverage of {listing.instrument.symbol} not read: {error}"
            raise NotSent(told) from None

    async def check(self) -> Sequence[Finding]:
        keys = await found_out("keys", self._key_findings())
        return [*keys, clock_finding(self._client.skew_ms)]

    async def _key_findings(self) -> Sequence[Finding]:
        rights = await self._client.read("authGetApiKeysCheck", {}, _rights)
        may_trade = rights.get("general") == "FULL_ACCESS"
        may_withdraw = rights.get("transfer") != "NO_ACCESS"
        return key_findings(may_trade, may_withdraw, is_live=self._client.is_live)

    async def listen(self, moved: Callable[[], None]) -> None:
        await listen(self._client, FUTURES_STREAM, moved)

    async def close(self) -> None:
        await self._client.close()

    async def _read_markets(self, _symbol: str) -> dict[str, Listing]:
        return await self._client.read("publicGetInstruments", {}, listings, signed=False)


def _prices(answer: Any) -> tuple[Decimal, Decimal | None]:
    ticker = row(row(answer).get("ticker"))
    return number(ticker, "last"), number_above_zero(ticker, "markPrice")


def _success(answer: Any) -> str:
    if text(row(answer), "result") != "success":
        raise Strange(f"result {row(answer)['result']}")
    return "success"


def _rights(answer: Any) -> Row:
    """`NO_ACCESS`, `READ_ONLY` or `FULL_ACCESS`, for trading (general) and for moving money away
    (transfer). What is left out is not the same as no."""
    return row(row(answer).get("permissions"))
