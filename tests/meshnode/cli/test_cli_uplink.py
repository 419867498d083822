"""`meshnode uplink` and `budget`: in both languages, as JSON, and what every answer shows."""

from __future__ import annotations

import pytest

from meshnode.cli import uplink
from tests.meshnode.cli.people import SETTINGS, People

SATELLITE = "/dev/ttyUSB0 per=month bytes=20000 euros=30 step=50 price=0.06 sos=5000"


@pytest.mark.slow
def test_budgets_are_shown_also_where_there_is_none(squad: People) -> None:
    assert "No bearer has a budget" in squad.reads("bob", "budget")
    settings = squad.home("bob") / "meshnode.toml"
    lines = f'[budgets]\nbearers = ["{SATELLITE}", "wwan* per=day bytes=1000000"]\n'
    settings.write_text(SETTINGS + lines)
    shown = squad.reads("bob", "budget")
    assert "0.00 of 30.00 euros" in shown
    assert "reste pour SOS" in squad.reads("bob", "--lang", "fr", "budget")
    satellite, mobile = squad.json("bob", "budget")["bearers"]
    assert (satellite["left_bytes"], satellite["left_sos_bytes"]) == (15_000, 20_000)
    assert (mobile["bearer"], mobile["euros_max"]) == ("wwan*", None)
    settings.write_text(SETTINGS + '[budgets]\nbearers = ["wwan0 per=year bytes=1"]\n')
    assert "per=month" in squad.types("bob", "budget").err


@pytest.mark.slow
def test_a_device_alone_is_its_own_uplink(squad: People) -> None:
    assert "this device speaks to the gateway itself" in squad.reads("bob", "uplink")
    assert "parle lui-même à la passerelle" in squad.reads("bob", "--lang", "fr", "uplink")
    found = squad.json("bob", "uplink")
    assert (found["role"], found["uplink"], found["mates"]) == ("alone", None, [])


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("own", "This device speaks to the gateway for the squad, since "),
        ("mate", "anna speaks to the gateway for us, since "),
        ("vacant", "The squad is choosing"),
    ],
)
def test_each_answer_has_its_words(
    role: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    anna = {"name": "anna", "node": "x"}
    uplink._show_uplink(
        {
            "role": role,
            "uplink": None if role == "vacant" else anna,
            "since_ms": 0 if role == "vacant" else 1_600_000_000_000,
            "is_sos_pressing": role == "own",
            "has_gateway": role == "own",
            "score": 640,
            "battery_pct": None if role == "vacant" else 80.4,
            "is_charging": role == "mate",
            "generation": {"own": 4, "mate": 0, "vacant": 6}[role],
            "cost": "metered",
            "mates": [
                {**anna, "score": 700, "uplink": anna, "hops": 0, "is_near": True},
                {**anna, "name": "bob", "score": 0, "uplink": None, "hops": 0, "is_near": False},
            ],
        }
    )
    shown = capsys.readouterr().out
    assert expected in shown
    assert ("An SOS waits" in shown) is (role == "own")
    why = {
        "own": "640 (battery 80 %, 4G, metered way, gateway reached)",
        "mate": "640 (charging, no network, metered way, no gateway reached)",
        "vacant": "640 (LAN, metered way, no gateway reached)",
    }
    assert why[role] in shown
