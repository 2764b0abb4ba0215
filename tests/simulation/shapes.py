"""Shapes of a run by name: what each of them has so much of that its kind of harm shows soon.

The tailored ones are short and have one account whose traits are fixed, so that the dice decide
when things happen, not whether they can.
"""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from guardian_core.accounts import AccountSpec, PaperSpec, PolicySpec
from guardian_core.domain.money import MarketKind
from guardian_core.domain.plan import RepeatEntry
from tests.simulation.scenario import AccountPlan, Scenario
from tests.simulation.weather import Odds

LAG_S = 1.5
"""The visibility delay of a venue whose listings lag."""
ONE_OF_EACH = {"receiver": 1, "engine": 2, "gateway": 2, "operator": 2}


def _futures(delay_s: float = 0.0, fill_max: Decimal | None = None) -> AccountPlan:
    """The venue can hold an old leg beside its successor, and amends nothing."""
    return AccountPlan(
        name="futures",
        spec=AccountSpec(
            account_id="futures",
            leverage=Decimal(3),
            paper=PaperSpec(market=MarketKind.LINEAR, amend=False),
            policy=PolicySpec(repeat_entry=RepeatEntry.IGNORE, allow_remove=False),
        ),
        symbols=("BTCUSDT", "ETHUSDT"),
        delay_s=delay_s,
        fill_max=fill_max,
        child_waits=False,
        own_coins=Decimal(0),
    )


def _coins() -> AccountPlan:
    """Spot, where the user holds coins of his own besides."""
    return AccountPlan(
        name="coins",
        spec=AccountSpec(
            account_id="coins",
            leverage=Decimal(1),
            paper=PaperSpec(market=MarketKind.SPOT, amend=False),
            policy=PolicySpec(repeat_entry=RepeatEntry.IGNORE, allow_remove=False),
        ),
        symbols=("BTCUSDT",),
        delay_s=0.0,
        fill_max=None,
        child_waits=False,
        own_coins=Decimal("0.01"),
    )


def _calm(seed: int, name: str, account: AccountPlan) -> Scenario:
    """Short, and nothing goes wrong in it: what each shape adds its own trouble to."""
    return replace(
        Scenario.of(seed),
        name=name,
        accounts=(account,),
        replicas=ONE_OF_EACH,
        active_s=30.0,
        quiet_s=15.0,
        fair=Odds(latency_s=0.03),
        rough=Odds(latency_s=0.06),
        storms_every_s=0,
        kills_every_s=0,
        dies_on_alert=0,
        hands_every_s=60,
        alerts_every_s=4,
    )


def updates(seed: int) -> Scenario:
    """Levels that move all the time."""
    return replace(_calm(seed, "updates", _futures()), wishes=(90, 4, 2, 2, 2), alerts_every_s=3)


def unsure(seed: int) -> Scenario:
    """Most writes are answered by an error that says nothing, some of them before they happen;
    orders often cannot be listed, and what is listed or looked up is mostly of a second ago."""
    fair = Odds(latency_s=0.03, lost_answer=0.5, late_effect=0.2, unlisted=0.3, stale=0.9)
    return replace(_calm(seed, "unsure", _futures(LAG_S)), fair=fair, wishes=(40, 40, 10, 10, 0))


def part_exits(seed: int) -> Scenario:
    """Exits that fill in pieces, on a venue whose position report lags."""
    account = _futures(LAG_S, fill_max=Decimal("0.01"))
    fair = Odds(latency_s=0.03, stale=0.9)
    return replace(_calm(seed, "part_exits", account), fair=fair, wishes=(10, 80, 5, 5, 0))


def deaths(seed: int) -> Scenario:
    """The only engine dies over nearly every alert, and most of them are entries: levels are
    reached all the time."""
    shape = _calm(seed, "deaths", _futures())
    return replace(
        shape,
        replicas=ONE_OF_EACH | {"engine": 1},
        dies_on_alert=0.9,
        dying=("engine",),
        dies_within=12,
        quiet_s=40.0,
        jumps=0.25,
        alerts_every_s=3,
        wishes=(10, 60, 20, 10, 0),
    )


def hands(seed: int) -> Scenario:
    """Orders vanish all the time, and alerts are rare: only the guardian can notice."""
    shape = _calm(seed, "hands", _futures())
    return replace(shape, active_s=45.0, hands_every_s=1, alerts_every_s=30)


def jumps(seed: int) -> Scenario:
    """A market that reaches levels all the time, on a venue whose listings lag."""
    fair = Odds(latency_s=0.03, stale=0.5)
    return replace(_calm(seed, "jumps", _futures(LAG_S)), fair=fair, jumps=0.25)


def own_coins(seed: int) -> Scenario:
    """Spot, beside the user's own coins."""
    return replace(_calm(seed, "own_coins", _coins()), jumps=0.1)


def sent_again(seed: int) -> Scenario:
    """Most alerts come twice."""
    return replace(
        _calm(seed, "sent_again", _futures()), sent_twice=0.7, wishes=(20, 60, 10, 10, 0)
    )


def database_away(seed: int) -> Scenario:
    """The database is away every now and then."""
    shape = _calm(seed, "database_away", _futures())
    return replace(shape, storms_every_s=3, storms_on=("database",), alerts_every_s=2)


TAILORED: dict[str, Callable[[int], Scenario]] = {
    shape.__name__: shape
    for shape in (
        updates,
        unsure,
        part_exits,
        deaths,
        hands,
        jumps,
        own_coins,
        sent_again,
        database_away,
    )
}
SHAPES: dict[str, Callable[[int], Scenario]] = {
    "plain": Scenario.of,
    "harsh": lambda seed: Scenario.of(seed).harsh(),
    "brief": lambda seed: Scenario.of(seed).brief(),
    **TAILORED,
}
