"""A stream of alerts on several lanes, posted over HTTP by a thread, whoever dies meanwhile.

A body that got no 200 is sent again, the same to the byte, until it gets one: so at the end every
body is acknowledged, and each must have been carried out once. Some are sent twice all the same.
"""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from guardian_core.storage.schema import Lane as LaneRow
from guardian_core.storage.schema import Webhook
from tests.e2e.installation import Installation

SENT_TWICE = 0.1
WAITING_MAX = 3
"""Unfinished alerts of a lane, beyond which it gets no more: a slow machine makes the stream slow,
and not the alerts old."""
PAUSE_S = 0.05
ANSWERED_WITHIN_S = 5.0
LAST_WITHIN_S = 60.0

ENTRIES = frozenset({"BuyMarket", "SellMarket", "BuyLimit"})


@dataclass(slots=True)
class Sent:
    """One body, all of whose deliveries count as one alert. `traces`: as its 200s told them."""

    account: str
    symbol: str
    action: str
    percent: Decimal
    body: bytes
    traces: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Chart:
    """One lane as its trading script sees it. `side`: what the script believes it has."""

    account: str
    symbol: str
    spot: bool
    price: Decimal
    tick: Decimal
    step: Decimal
    side: str = "flat"

    @property
    def name(self) -> str:
        return f"{self.account} {self.symbol}"

    def away(self, percent: float) -> str:
        moved = self.price * (100 + Decimal(round(percent, 3))) / 100
        return str(moved // self.tick * self.tick)


class Stream:
    """`start`, then `stop`: until then, and until its last body is acknowledged, it posts."""

    def __init__(self, house: Installation, charts: list[Chart], seed: int) -> None:
        self._house = house
        self._charts = charts
        self._dice = random.Random(f"stream/{seed}")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._failure: BaseException | None = None
        self.sent: list[Sent] = []
        self.statuses: Counter[str] = Counter()

    @property
    def acknowledged(self) -> int:
        """How many 200s there were."""
        return self.statuses["200"]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns once every body is acknowledged. Raises what went wrong in the thread."""
        self._stopping.set()
        self._thread.join(LAST_WITHIN_S)
        self.check()
        assert not self._thread.is_alive(), f"the last alert was never answered: {self.statuses}"

    def check(self) -> None:
        if self._failure is not None:
            raise AssertionError("the stream of alerts broke") from self._failure

    def _run(self) -> None:
        try:
            with httpx.Client(trust_env=False, timeout=ANSWERED_WITHIN_S) as http:
                while not self._stopping.is_set():
                    chart = self._free_chart()
                    if chart is not None:
                        self._send(http, chart)
                    time.sleep(PAUSE_S)
        except BaseException as error:
            self._failure = error

    def _free_chart(self) -> Chart | None:
        """A lane that is not far behind, if there is one; any, while nobody can tell."""
        waiting = (
            select(LaneRow.account_name, LaneRow.symbol, func.count())
            .join(Webhook, Webhook.lane_id == LaneRow.id)
            .where(Webhook.status.in_(("received", "processing")))
            .group_by(LaneRow.account_name, LaneRow.symbol)
        )
        try:
            rows = self._house.read(lambda session: session.execute(waiting).all())
        except DBAPIError:
            return self._dice.choice(self._charts)
        behind = {(account, symbol) for account, symbol, count in rows if count >= WAITING_MAX}
        free = [c for c in self._charts if (c.account, c.symbol) not in behind]
        return self._dice.choice(free) if free else None

    def _send(self, http: httpx.Client, chart: Chart) -> None:
        fields = self._next(chart)
        action = fields.pop("Action")
        sent = Sent(
            account=chart.account,
            symbol=chart.symbol,
            action=action,
            percent=Decimal(fields.get("PourCent", "100")),
            body=self._house.body(action, chart.account, chart.symbol, **fields),
        )
        self.sent.append(sent)
        for _ in range(2 if self._dice.random() < SENT_TWICE else 1):
            self._deliver(http, sent)

    def _deliver(self, http: httpx.Client, sent: Sent) -> None:
        """Again and again, until it is acknowledged."""
        while True:
            try:
                response = http.post(self._house.webhook_url, content=sent.body)
            except httpx.HTTPError as error:
                self.statuses[type(error).__name__] += 1
            else:
                self.statuses[str(response.status_code)] += 1
                if response.status_code == 200:
                    sent.traces.append(response.json()["trace_id"])
                    return
                assert response.status_code == 503, response.text
            time.sleep(PAUSE_S)

    # The script

    def _next(self, chart: Chart) -> dict[str, Any]:
        """The lane's next alert; every one carries its bar."""
        dice = self._dice
        self._move(chart)
        if chart.side == "flat":
            fields = self._entry(chart)
        else:
            weights = (45, 15, 15, 10, 5, 10)
            choices = (self._maj, self._part, self._close, self._again, self._ping, self._opposite)
            fields = dice.choices(choices, weights)[0](chart)
        return fields | {"Close": str(chart.price)}

    def _move(self, chart: Chart) -> None:
        """A little each time; seldom so far that a stop or target is reached."""
        percent = self._dice.uniform(-0.1, 0.1)
        if chart.side != "flat" and self._dice.random() < 0.04:
            percent = self._dice.choice((-6.0, 6.0))
            chart.side = "flat"
        chart.price = Decimal(chart.away(percent))

    def _entry(self, chart: Chart) -> dict[str, Any]:
        short = not chart.spot and self._dice.random() < 0.4
        chart.side = "short" if short else "long"
        fields = {"PourCent": "10"} | self._levels(chart, chart.side)
        if not short and self._dice.random() < 0.2:
            return fields | {"Action": "BuyLimit", "Prix": chart.away(-0.05)}
        return fields | {"Action": "SellMarket" if short else "BuyMarket"}

    def _maj(self, chart: Chart) -> dict[str, Any]:
        return {"Action": "MAJ"} | self._levels(chart, chart.side)

    def _part(self, chart: Chart) -> dict[str, Any]:
        return {"Action": "Close", "PourCent": str(self._dice.choice((20, 40, 60)))}

    def _close(self, chart: Chart) -> dict[str, Any]:
        chart.side = "flat"
        return {"Action": "Close"}

    def _again(self, chart: Chart) -> dict[str, Any]:
        """A repeat entry, which the account ignores."""
        action = "BuyMarket" if chart.side == "long" else "SellMarket"
        return {"Action": action, "PourCent": "10"} | self._levels(chart, chart.side)

    def _opposite(self, chart: Chart) -> dict[str, Any]:
        """Closes a part; where the position is gone already, it may open the other side."""
        other = "short" if chart.side == "long" else "long"
        action = "SellMarket" if chart.side == "long" else "BuyMarket"
        return {"Action": action, "PourCent": "30"} | self._levels(chart, other)

    def _ping(self, chart: Chart) -> dict[str, Any]:
        return {"Action": "PING"}

    def _levels(self, chart: Chart, side: str) -> dict[str, str]:
        sign = 1 if side == "long" else -1
        return {
            "PrixSL": chart.away(-sign * self._dice.uniform(2, 4)),
            "PrixTP": chart.away(sign * self._dice.uniform(2, 4)),
        }
