"""What one seed stands for: accounts, how many of each process, the weather and the troubles."""

import random
from dataclasses import dataclass, replace
from decimal import Decimal

from guardian_core.accounts import AccountSpec, PaperSpec, PolicySpec
from guardian_core.domain.money import MarketKind
from guardian_core.domain.plan import RepeatEntry
from tests.simulation.weather import Odds


@dataclass(frozen=True, slots=True)
class AccountPlan:
    """`own_coins`: on spot, BTC that the user holds besides. `delay_s`: visibility."""

    name: str
    spec: AccountSpec
    symbols: tuple[str, ...]
    delay_s: float
    fill_max: Decimal | None
    child_waits: bool
    own_coins: Decimal


@dataclass(frozen=True, slots=True)
class Scenario:
    """Times in virtual seconds. `fair`: the odds of every day, none of which breaks the promise's
    precondition; `rough`: those of a storm. Something happens every `..._every_s`; 0 for never.
    `dies_on_alert`: the chance that one of those who carry an alert out (`dying`) dies over it,
    about `dies_within` steps later. `sent_twice`: that an alert comes again; `jumps`: that a step
    of the market is a jump. `storms_on`: the only peers that storms befall; empty for all.
    `wishes`: how often, once a position is open, an alert is MAJ, Close, an opposite entry, another
    entry, PING."""

    seed: int
    name: str
    accounts: tuple[AccountPlan, ...]
    replicas: dict[str, int]
    active_s: float
    quiet_s: float
    fair: Odds
    rough: Odds
    storms_every_s: float
    kills_every_s: float
    dies_on_alert: float
    hands_every_s: float
    alerts_every_s: float
    sent_twice: float = 0.08
    jumps: float = 0.03
    storms_on: tuple[str, ...] = ()
    dying: tuple[str, ...] = ("engine", "gateway")
    dies_within: int = 60
    wishes: tuple[int, int, int, int, int] = (50, 18, 10, 12, 10)

    @classmethod
    def of(cls, seed: int) -> "Scenario":
        dice = random.Random(f"scenario/{seed}")
        stormy = dice.random() < 0.6
        replicas = {"receiver": 1, "engine": 2, "gateway": dice.choice((1, 2, 2)), "operator": 2}
        if dice.random() < 0.15:
            replicas = dict.fromkeys(replicas, 1)
        return cls(
            seed=seed,
            name="plain",
            accounts=_accounts(dice),
            replicas=replicas,
            active_s=dice.uniform(80, 150),
            quiet_s=50.0,
            fair=Odds(latency_s=dice.choice((0.01, 0.03, 0.08)), stale=0.1, gone=0.02),
            rough=Odds(
                latency_s=0.06,
                slow=dice.choice((0, 0.03)),
                hangs=dice.choice((0, 0.02)),
                unavailable=dice.choice((0, 0.05)),
                unlisted=dice.choice((0, 0, 0.6)),
                not_sent=dice.choice((0, 0.04)),
                lost_answer=dice.choice((0, 0.05, 0.2)),
                vanishes=dice.choice((0, 0.04)),
                late_effect=dice.choice((0, 0.05)),
                stale=0.2,
                gone=0.05,
            ),
            storms_every_s=dice.uniform(20, 60) if stormy else 0,
            kills_every_s=dice.choice((0, 8, 20)),
            dies_on_alert=dice.choice((0, 0.05)),
            hands_every_s=dice.choice((10, 20)),
            alerts_every_s=dice.choice((3, 6, 10)),
        )

    def harsh(self) -> "Scenario":
        """The same with more of everything that goes wrong."""
        rough = replace(self.rough, lost_answer=0.15, late_effect=0.15, unlisted=0.4)
        return replace(
            self,
            name="harsh",
            storms_every_s=12,
            kills_every_s=5,
            dies_on_alert=0.3,
            hands_every_s=8,
            alerts_every_s=4,
            fair=replace(self.fair, stale=0.3),
            rough=rough,
        )

    def brief(self) -> "Scenario":
        """The beginning of it, and a short end."""
        return replace(self, name="brief", active_s=30.0, quiet_s=15.0)


def _accounts(dice: random.Random) -> tuple[AccountPlan, ...]:
    linear = _account(dice, "futures", MarketKind.LINEAR, ("BTCUSDT", "ETHUSDT"))
    spot = _account(dice, "coins", MarketKind.SPOT, ("BTCUSDT",))
    return dice.choice(((linear,), (spot,), (linear, spot), (linear, spot)))


def _account(
    dice: random.Random, name: str, market: MarketKind, symbols: tuple[str, ...]
) -> AccountPlan:
    spot = market is MarketKind.SPOT
    spec = AccountSpec(
        account_id=name,
        leverage=Decimal(1) if spot else dice.choice((Decimal(1), Decimal(3))),
        paper=PaperSpec(market=market, amend=not spot and dice.random() < 0.3),
        policy=PolicySpec(
            repeat_entry=dice.choice((RepeatEntry.IGNORE, RepeatEntry.IGNORE, RepeatEntry.ADD)),
            allow_remove=dice.random() < 0.3,
        ),
    )
    part = dice.random() < 0.4
    return AccountPlan(
        name=name,
        spec=spec,
        symbols=symbols,
        delay_s=dice.choice((0.0, 0.5, 1.5)),
        fill_max=Decimal("0.01") if part else None,
        child_waits=dice.random() < 0.2,
        own_coins=Decimal("0.01") if spot and dice.random() < 0.5 else Decimal(0),
    )
