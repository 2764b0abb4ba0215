"""A stop-loss and a take-profit, as tests name them and as an alert carries them."""

from decimal import Decimal

from tests.e2e.venue_books import STOP_LOSS, TAKE_PROFIT


def levels(stop_loss: int, take_profit: int) -> dict[str, Decimal]:
    return {STOP_LOSS: Decimal(stop_loss), TAKE_PROFIT: Decimal(take_profit)}


def fields(of: dict[str, Decimal]) -> dict[str, str]:
    return {"PrixSL": str(of[STOP_LOSS]), "PrixTP": str(of[TAKE_PROFIT])}
