"""`guardian up`: first start, what it prints, how it ends, and whom it keeps out."""

import json
import re
import signal
import socket
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tests.support.up import RunningUp, command, environment, run_guardian, running_up, start_up
from tests.support.wait import eventually

pytestmark = pytest.mark.xdist_group("cli-up")


def test_the_first_start_tells_all_that_is_needed_to_send_an_alert(running: RunningUp) -> None:
    printed = running.printed()
    assert str(running.home) in printed
    assert "paper money" in printed
    assert f"{running.receiver_url}/webhook" in printed
    assert "guardian demo" in printed
    assert '"Token": "' in printed


def test_the_printed_alert_is_taken_once_tradingview_has_filled_it_in(running: RunningUp) -> None:
    alert = filled_in(running.printed())
    answer = httpx.post(f"{running.receiver_url}/webhook", content=alert)
    assert answer.status_code == 200, answer.text
    trace_id = answer.json()["trace_id"]

    def events() -> list[str]:
        return [line for line in running.printed().splitlines() if trace_id in line]

    eventually(lambda: any("alert finished" in line for line in events()), within_s=20)
    told = "\n".join(events())
    for event in ("alert committed", "position opened", "stop-loss", "take-profit", "Protected"):
        assert event in told


def test_it_is_ready_in_time(running: RunningUp) -> None:
    """3 s on a machine of its own; this one may be busy."""
    [ready_s] = re.findall(r"is up \((\d+\.\d) s\)", running.printed())
    print(f"ready in {ready_s} s")
    assert float(ready_s) < 10


def test_a_second_one_on_the_same_home_is_refused_and_told_the_first_ones_pid(
    running: RunningUp,
) -> None:
    refused = run_guardian("up", "--home", running.home, "--port", "0", "--gateway-port", "0")
    assert refused.returncode == 2
    assert str(running.process.pid) in refused.stderr
    assert str(running.home) in refused.stderr
    assert running.process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_stop_signal_ends_it_cleanly_and_the_next_start_makes_no_token(
    tmp_path: Path, number: signal.Signals
) -> None:
    home = tmp_path / "home"
    first = start_up(home)
    first.process.send_signal(number)
    assert first.process.wait(30) == 0
    assert first.printed().endswith("stopped\n")
    assert not (home / "run.json").exists()
    with running_up(home) as second:
        assert '"Token"' not in second.printed()
        assert "guardian token create" in second.printed()


def test_a_killed_one_is_followed_by_the_next_at_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    start_up(home).kill()
    with running_up(home) as second:
        gateway_token = (home / "gateway-token").read_text().strip()
        answer = httpx.get(
            f"{second.gateway_url}/v1/accounts/paper/snapshot",
            headers={"Authorization": f"Bearer {gateway_token}"},
        )
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("option", ["--port", "--gateway-port"])
def test_a_port_that_is_taken_is_named(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ports = {"--port": "0", "--gateway-port": "0"} | {option: port}
        options = [word for pair in ports.items() for word in pair]
        refused = run_guardian("up", "--home", tmp_path / "home", *options)
    assert refused.returncode == 2
    assert f"127.0.0.1:{port} is in use" in refused.stderr


def test_a_home_that_others_may_enter_is_warned_of(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    with running_up(home) as started:
        assert f"chmod 700 {home}" in started.printed()


def test_a_home_of_its_own_making_lets_nobody_else_in(running: RunningUp) -> None:
    assert running.home.stat().st_mode & 0o777 == 0o700
    for name in ("gateway-token", "installation"):
        assert (running.home / name).stat().st_mode & 0o777 == 0o600


def test_a_home_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    refused = run_guardian("up", "--home", blocker / "home")
    assert refused.returncode == 2
    assert str(blocker / "home") in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_mistyped_setting_is_named(tmp_path: Path) -> None:
    refused = run_guardian("up", "--home", tmp_path / "home", GUARDIAN_RECIEVER_PORT="1")
    assert refused.returncode == 2
    assert "GUARDIAN_RECEIVER_PORT" in refused.stderr


def test_json_logs_replace_the_event_lines(tmp_path: Path) -> None:
    with running_up(tmp_path / "home", GUARDIAN_LOG_FORMAT="json") as started:
        alert = filled_in(started.printed())
        trace_id = httpx.post(f"{started.receiver_url}/webhook", content=alert).json()["trace_id"]

        def finished() -> list[dict[str, str]]:
            lines = [line for line in started.printed().splitlines() if line.startswith('{"time"')]
            rows = [json.loads(line) for line in lines]
            return [row for row in rows if row.get("point") == "T3.7"]

        assert eventually(finished, within_s=20)[0]["trace_id"] == trace_id
        assert "alert committed" not in started.printed()


def test_the_home_may_come_from_the_environment(tmp_path: Path) -> None:
    home = tmp_path / "elsewhere"
    upgraded = subprocess.run(
        command("db", "upgrade"),
        env=environment(GUARDIAN_HOME=str(home)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert upgraded.returncode == 0, upgraded.stderr
    assert (home / "guardian.db").is_file()


def filled_in(printed: str) -> str:
    """The alert that `guardian up` prints, as TradingView would send it."""
    alert = printed[printed.index('{"Action"') :]
    alert = alert[: alert.index("}\n") + 1]
    values = {
        "{{strategy.order.action}}": "buy",
        "{{ticker}}": "BTCUSDT.P",
        "{{exchange}}": "BINANCE",
        "{{interval}}": "15",
        "{{open}}": "42000",
        "{{high}}": "42100",
        "{{low}}": "41900",
        "{{close}}": "42050",
        "{{time}}": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        '{{plot("SL")}}': "41000",
        '{{plot("TP")}}': "45000",
    }
    for placeholder, value in values.items():
        assert placeholder in alert
        alert = alert.replace(placeholder, value)
    assert "{{" not in alert
    return alert
