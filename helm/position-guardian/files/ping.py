"""`helm test`: one PING alert to the receiver, as TradingView would send it.

200 says that the alert is committed. Without an account, 400 is right: the alert was stored, and
the receiver says that it cannot tell whose it is.
"""

import os
import sys

import httpx


def main() -> int:
    account = os.environ["ACCOUNT"]
    alert = {
        "Action": "PING",
        "Symbol": "BTCUSDT",
        "IndicateurName": "helm test",
        "Token": os.environ["TOKEN"],
    }
    if account:
        alert["UserExchangeID"] = account
    answer = httpx.post(os.environ["URL"], json=alert, timeout=10, trust_env=False)
    print(answer.status_code, answer.text)
    if answer.status_code == 200 or (answer.status_code == 400 and not account):
        return 0
    if answer.status_code == 403 and answer.json()["error"]["field"] == "source":
        print("receiver.sourceCheck is enforce, and this pod is not TradingView: that is right")
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
