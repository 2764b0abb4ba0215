"""The user, the market, and a hand on the exchange's own page: all of it seeded.

The user posts what TradingView would, and sends it again as TradingView does: on a 5xx only,
after 5 s, up to 3 times. A request that is never answered counts as sent, not as acknowledged.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from guardian_core.domain.errors import GuardianError
from guardian_core.domain.orders import OrderBody, OrderSide, OrderType, Role
from tests.simulation.eventlog import EventLog
from tests.simulation.faulty_venue import Account
from tests.simulation.lanes import Sent
from tests.simulation.loop import VirtualClock, VirtualTimeLoop
from tests.simulation.oracle import Oracle
from tests.simulation.scenario import Scenario

Post = Callable[[bytes], Awaitable[tuple[int, bytes]]]
"""Raises ConnectionError when nobody answers."""

RESENT_AFTER_S = 5.0
RESENT_TIMES = 3
HANGS_UP_AFTER_S = 3.0
START = {"BTCUSDT": Decimal(60_000), "ETHUSDT": Decimal(3_000)}


@dataclass(slots=True)
class Market:
    """The price of one lane: a random walk with jumps."""

    account: Account
    symbol: str
    dice: random.Random
    price: Decimal
    jumps: float
    lively: bool = True

    def step(self) -> None:
        change = self.dice.gauss(0, 0.0006)
        if self.dice.random() < self.jumps:
            change += self.dice.choice((-1, 1)) * self.dice.uniform(0.003, 0.012)
        tick = self.account.exchange.instrument(self.symbol).tick
        moved = self.price * (1 + Decimal(round(change, 6)))
        self.price = moved // tick * tick
        self.account.set_price(self.symbol, self.price)

    def away(self, percent: float) -> Decimal:
        tick = self.account.exchange.instrument(self.symbol).tick
        return self.price * (1 + Decimal(round(percent / 100, 6))) // tick * tick


class Workload:
    """Everything that happens to the system from outside, except processes dying."""

    def __init__(
        self,
        scenario: Scenario,
        accounts: list[Account],
        loop: VirtualTimeLoop,
        log: EventLog,
        oracle: Oracle,
        post: Post,
    ) -> None:
        self._scenario = scenario
        self._loop = loop
        self._log = log
        self._oracle = oracle
        self._post = post
        self._clock = VirtualClock(loop)
        self._dice = random.Random(f"workload/{scenario.seed}")
        self._accounts = accounts
        self._ids = 0
        self.over = False
        self._delivering: set[asyncio.Task[None]] = set()
        self.markets = {
            (account.name, symbol): Market(
                account,
                symbol,
                random.Random(self._dice.random()),
                START[symbol],
                scenario.jumps,
            )
            for account, plan in zip(accounts, scenario.accounts, strict=True)
            for symbol in plan.symbols
        }

    def prepare(self) -> None:
        """Prices, and what the user has on the exchange besides."""
        for account, plan in zip(self._accounts, self._scenario.accounts, strict=True):
            for symbol in plan.symbols:
                account.set_price(symbol, START[symbol])
                self._oracle.lane(account.name, symbol)
            if plan.own_coins:
                account.exchange.create(
                    self._by_hand(account, plan.symbols[0], plan.own_coins, None),
                    self._clock.now(),
                )
            for symbol in plan.symbols:
                low = START[symbol] * Decimal("0.6")
                body = self._by_hand(account, symbol, Decimal("0.01"), low)
                account.exchange.create(body, self._clock.now())
            account.record()

    def _by_hand(
        self, account: Account, symbol: str, quantity: Decimal, price: Decimal | None
    ) -> OrderBody:
        self._ids += 1
        return OrderBody(
            client_order_id=f"byhand{self._ids}",
            role=Role.ENTRY,
            symbol=symbol,
            side=OrderSide.BUY,
            type=OrderType.MARKET if price is None else OrderType.LIMIT,
            quantity=quantity,
            revision=1,
            attempt=1,
            price=price,
        )

    # What runs until the active phase is over

    async def trade(self, market: Market) -> None:
        """One script on one chart."""
        dice = random.Random(f"trade/{self._scenario.seed}/{market.account.name}/{market.symbol}")
        await asyncio.sleep(dice.uniform(2, 6))
        while not self.over:
            await self._alert(market, dice)
            if dice.random() < 0.15:
                await self._alert(market, dice)
            await asyncio.sleep(dice.expovariate(1 / self._scenario.alerts_every_s) + 0.2)

    async def move(self, market: Market) -> None:
        while True:
            await asyncio.sleep(market.dice.uniform(0.5, 2.0))
            if market.lively:
                market.step()

    async def meddle(self) -> None:
        """Orders vanish: cancelled by hand, or forgotten by the venue; creates are refused."""
        dice = random.Random(f"hand/{self._scenario.seed}")
        while not self.over:
            await asyncio.sleep(dice.expovariate(1 / self._scenario.hands_every_s))
            if self._is_over():
                return
            account = dice.choice(self._accounts)
            if dice.random() < 0.3:
                role = dice.choice((Role.STOP_LOSS, Role.TAKE_PROFIT, Role.EXIT, Role.ENTRY))
                account.weather.refusing[role.value] = dice.randint(1, 3)
                self._log.note("fault", f"{account.name} refuses {role}")
                continue
            self._vanish(account, dice)

    def _is_over(self) -> bool:
        return self.over

    def _vanish(self, account: Account, dice: random.Random) -> None:
        ours = [
            order
            for order in account.exchange.open_orders()
            if order.type.is_conditional and order.child_id is None
        ]
        if not ours:
            return
        order = dice.choice(ours)
        ident = order.ref.venue_order_id
        forget = dice.random() < 0.5
        self._log.note("fault", f"{account.name} #{ident} {'forgotten' if forget else 'by hand'}")
        if not forget:
            # A pair goes together.
            for each in ours:
                if each is order or (order.pair_id and each.pair_id == order.pair_id):
                    self._oracle.cancelled_by_hand(account.name, each.ref.venue_order_id)
        try:
            if forget:
                account.exchange.forget(ident, self._clock.now())
            else:
                account.exchange.cancel_by_hand(ident, self._clock.now())
        except GuardianError as error:
            self._log.note("fault", f"which cannot be: {error}")
        account.record()

    # Alerts

    async def _alert(self, market: Market, dice: random.Random) -> None:
        fields = self._fields(market, dice)
        body = json.dumps(fields)
        self._ids += 1
        sent = Sent(
            id=self._ids,
            account=market.account.name,
            symbol=market.symbol,
            action=fields["Action"],
            percent=Decimal(str(fields.get("PourCent", 100))),
            body=body,
            sent_s=self._loop.time(),
        )
        self._oracle.sent.append(sent)
        self._log.note("alert", f"{sent.id} {market.account.name} {body}")
        self._background(self._deliver(sent, body.encode()))
        if dice.random() < self._scenario.sent_twice:
            await asyncio.sleep(dice.uniform(0, 2))
            self._log.note("alert", f"{sent.id} once more")
            self._background(self._deliver(sent, body.encode()))

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._delivering.add(task)
        task.add_done_callback(self._delivering.discard)

    async def _deliver(self, sent: Sent, body: bytes) -> None:
        for _ in range(1 + RESENT_TIMES):
            try:
                async with asyncio.timeout(HANGS_UP_AFTER_S):
                    status, answer = await self._post(body)
            except (ConnectionError, TimeoutError):
                return
            self._log.note("answer", f"{sent.id} {status}")
            if status == 200:
                sent.acked_s = sent.acked_s or self._loop.time()
                sent.trace_ids.add(json.loads(answer)["trace_id"])
                return
            if status < 500:
                return
            await asyncio.sleep(RESENT_AFTER_S)

    def _fields(self, market: Market, dice: random.Random) -> dict[str, Any]:
        position = self._oracle.lane(market.account.name, market.symbol).position
        action = self._action(position, market, dice)
        fields: dict[str, Any] = {
            "Action": action,
            "Symbol": market.symbol,
            "UserExchangeID": market.account.name,
            "IndicateurName": "sim",
            "Close": str(market.price),
        }
        fields["IdempotencyKey" if dice.random() < 0.3 else "BarTime"] = (
            self._clock.now().isoformat()
        )
        if action in ("Close", "BuyMarket", "SellMarket", "BuyLimit", "SellLimit"):
            fields["PourCent"] = (
                dice.choice((5, 10, 20)) if position == 0 else dice.choice((10, 25, 50, 100))
            )
        up = action.startswith("Buy") or (action == "MAJ" and position > 0)
        direction = 1 if up else -1
        if action.endswith("Limit"):
            fields["Prix"] = str(market.away(-direction * dice.uniform(-0.05, 0.4)))
        if action.startswith(("Buy", "Sell")) or action == "MAJ":
            fields |= self._levels(market, direction, action, dice)
        return fields

    def _action(self, position: Decimal, market: Market, dice: random.Random) -> str:
        spot = market.account.rules.spot
        buy = spot or dice.random() < 0.5
        entry = ("Buy" if buy else "Sell") + ("Limit" if dice.random() < 0.3 else "Market")
        if position == 0:
            return dice.choices((entry, "MAJ", "Close", "PING"), (80, 8, 6, 6))[0]
        opposite = "SellMarket" if position > 0 else "BuyMarket"
        same = "BuyMarket" if position > 0 else "SellMarket"
        actions = ("MAJ", "Close", opposite, same, "PING")
        return dice.choices(actions, self._scenario.wishes)[0]

    def _levels(
        self, market: Market, direction: int, action: str, dice: random.Random
    ) -> dict[str, Any]:
        stop = str(market.away(-direction * dice.uniform(0.2, 1.5)))
        take = str(market.away(direction * dice.uniform(0.2, 1.5)))
        if action != "MAJ":
            return {"PrixSL": stop} if dice.random() < 0.1 else {"PrixSL": stop, "PrixTP": take}
        if dice.random() < 0.05:
            return {"PrixSL": take, "PrixTP": stop}
        if dice.random() < 0.05 and market.account.spec.policy.allow_remove:
            return {"PrixTP": "REMOVE"}
        if dice.random() < 0.1:
            # On the far side of the price: reached, or a typing error.
            return {"PrixSL": str(market.away(direction * dice.uniform(0, 3)))}
        both = {"PrixSL": stop, "PrixTP": take}
        return dice.choice((both, both, {"PrixSL": stop}, {"PrixTP": take, "PrixSL": 0}))
