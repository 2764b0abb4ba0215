"""The words of an alert, as its stored row carries them from receiver to engine."""

from enum import StrEnum


class AlertAction(StrEnum):
    """What an alert asks for, as `webhook.action` stores it."""

    PING = "PING"
    BUY_MARKET = "BuyMarket"
    SELL_MARKET = "SellMarket"
    BUY_LIMIT = "BuyLimit"
    SELL_LIMIT = "SellLimit"
    MAJ = "MAJ"
    """Mise à jour: new levels for the stop-loss and take-profit."""
    CLOSE = "Close"

    @property
    def is_buy(self) -> bool:
        return self in (AlertAction.BUY_MARKET, AlertAction.BUY_LIMIT)

    @property
    def is_sell(self) -> bool:
        return self in (AlertAction.SELL_MARKET, AlertAction.SELL_LIMIT)

    @property
    def trades(self) -> bool:
        """Whether it may open, add to or reduce a position."""
        return self is not AlertAction.PING and self is not AlertAction.MAJ

    @property
    def is_limit(self) -> bool:
        return self in (AlertAction.BUY_LIMIT, AlertAction.SELL_LIMIT)


class WebhookStatus(StrEnum):
    """How far a stored alert has come, as `webhook.status` stores it."""

    RECEIVED = "received"
    PROCESSING = "processing"
    PROCESSED = "processed"
    ERROR = "error"


REMOVE = "REMOVE"
"""In `webhook.prix_sl` and `prix_tp`: take the leg away."""
