"""``email2sms account``, ``list`` and ``stop-list``, on the store of a gateway that does not run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from gateway.cli.app import app
from gateway.settings.faults import ConfigError
from tests.running import subject_mail, write_config

A, B = "79031112233", "79032223344"


class Shell:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_config(folder)

    def run(self, *words: str, typed: str | None = None) -> Result:
        config = ["--config", str(self.folder / "gateway.yaml")]
        return CliRunner().invoke(app, [*words, *config], input=typed)

    def __call__(self, *words: str, typed: str | None = None, code: int = 0) -> str:
        result = self.run(*words, typed=typed)
        if isinstance(result.exception, ConfigError):  # ``gateway.cli.main`` prints it
            assert code == 78
            return str(result.exception)
        assert result.exit_code == code, (words, result.output, result.exception)
        return result.output

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json"))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_an_account_from_its_birth_to_its_end(shell: Shell) -> None:
    said = shell("account", "add", "shop", "senders=['*@shop.example']", "limits.per_day=500", "--password")
    assert "added shop, password" in said
    assert "there is one already" in shell("account", "add", "shop", code=65)
    assert "there is one already" in shell("account", "add", "test_user", code=65)
    assert 'language: "de": one of' in shell("account", "add", "new", "language=de", code=65)
    assert "unknown key; did you mean 'senders'?" in shell("account", "set", "shop", "sendres=x", code=65)
    shell("account", "set", "shop", "limits.per_day=", "limits.per_hour=50", "language=uk")
    shown = shell.json("account", "show", "shop")
    assert shown["settings"] == {"senders": ["*@shop.example"], "limits": {"per_hour": "50"}, "language": "uk"}
    assert (shown["password"], shown["provisioned"], shown["used"]["per_hour"]) == (True, False, {"used": 0, "of": 50})
    shell("account", "disable", "shop")
    assert {one["login"]: one["enabled"] for one in shell.json("account", "list")} == {"shop": False, "test_user": True}
    assert "in the accounts file" in shell("account", "disable", "test_user", code=77)
    shell("account", "passwd", "shop", typed="new-secret\n")
    shell("account", "remove", "shop", "--yes")
    assert "no shop" in shell("account", "show", "shop", code=64)
    audit = [(look["what"], look["subject"]) for look in shell.json("audit")]
    assert audit[:2] == [("account.remove", "shop"), ("account.password", "shop")]
    assert "new-secret" not in (shell.folder / "var" / "gateway.db").read_bytes().decode("latin-1")


def test_keys(shell: Shell) -> None:
    shell("account", "add", "shop", "senders=['*']", "originators=[Shop]")
    key = shell.json("account", "key", "add", "shop", "till 3")
    assert key["key"].startswith(key["prefix"])
    assert len(key["prefix"]) == 6
    stored = (shell.folder / "var" / "gateway.db").read_bytes()
    assert key["key"].encode() not in stored
    mail = shell.folder / "mail.eml"
    mail.write_bytes(subject_mail(f"Shop;{key['key']};"))
    explained = ("parse", str(mail), "--to", f"{A}@sms.example.com")
    assert shell.json(*explained)["account"] == "shop"
    shell("account", "key", "disable", "shop", str(key["id"]))
    assert json.loads(shell.run(*explained, "--json").output)["verdict"] == "AUTH"
    assert [one["active"] for one in shell.json("account", "key", "list", "shop")] == [False]
    shell("account", "key", "revoke", "shop", str(key["id"]))
    assert shell.json("account", "key", "list", "shop") == []


SHOP: dict[str, Any] = {
    "login": "shop",
    "password": "secret12",
    "api_keys": ["0123456789abcdef"],
    "senders": ["*@shop.example"],
    "originators": ["Shop"],
    "webhook": {"url": "https://shop.example/sms", "secret": "0123456789abcdef"},
    "lists": {"1": [A, B]},
    "stop_list": ["79991112233"],
}


def applied(shell: Shell, *accounts: dict[str, Any], code: int = 0, dry: bool = False) -> Any:
    (shell.folder / "more.yaml").write_text(yaml.safe_dump({"accounts": list(accounts)}), "utf-8")
    words = ["account", "apply", str(shell.folder / "more.yaml"), "--json", *(["--dry-run"] if dry else [])]
    said = shell(*words, code=code)
    return said if code else {one["login"]: (one["what"], one["details"]) for one in json.loads(said)}


def test_apply_says_what_changes_and_changes_nothing_twice(shell: Shell) -> None:
    whole = ["password", "api_keys: 1 more", "lists.1: 2 more, 0 less", "stop_list: 1 more"]
    assert applied(shell, SHOP, dry=True) == {"shop": ("add", whole)}
    assert [one["login"] for one in shell.json("account", "list")] == ["test_user"]
    assert applied(shell, SHOP) == {"shop": ("add", whole)}
    assert applied(shell, SHOP) == {"shop": ("none", [])}
    same = {**SHOP, "password": "other123", "language": "ru", "lists": {"1": [B]}, "stop_list": [], "enabled": False}
    change = ["enabled", "language", "password", "lists.1: 0 more, 1 less"]
    assert applied(shell, same, {"login": "new"}) == {"shop": ("change", change), "new": ("add", [])}
    assert applied(shell, same, {"login": "new"}) == {"shop": ("none", []), "new": ("none", [])}
    assert shell.json("stop-list", "list", "--account", "shop", "--numbers")["numbers"] == ["79991112233"]
    assert "0123456789abcdef" not in shell("account", "show", "shop", "--json")


def test_apply_is_all_or_nothing(shell: Shell) -> None:
    broken = applied(shell, {"login": "a"}, {"login": "b", "phone": "12"}, code=78)
    assert "more.yaml:4: accounts[1].phone" in broken
    theirs = {"login": "b", "api_keys": ["0a1b2c"]}  # of test_user
    assert "an API key of b is one of test_user" in applied(shell, {"login": "a"}, theirs, code=65)
    ours = [{"login": login, "incoming": {"numbers": ["1234"]}} for login in "cd"]
    applied(shell, ours[0])
    assert '"1234" is of account c' in applied(shell, {"login": "a"}, ours[1], code=65)
    assert [one["login"] for one in shell.json("account", "list")] == ["c", "test_user"]


def test_lists(shell: Shell) -> None:
    table = shell.folder / "staff.csv"
    table.write_bytes(f"Имя;Телефон\nИван;+7 (903) 111-22-33\nОльга;{B}\nПётр;7903\nЯна;{B}\n".encode("cp1251"))
    mine = ("--account", "test_user")
    assert shell.json("list", "import", "staff", str(table), *mine, "--dry-run")["list"] is None
    said = shell("list", "import", "staff", str(table), *mine)
    assert "windows-1251, separated by ;, column Телефон" in said
    assert "2 numbers, 1 repeated, 1 refused" in said
    assert "line 4: 7903: number *** " in said
    assert shell("list", "export", "staff", *mine) == f"{A}\n{B}\n"
    assert "1 added, 3 in staff" in shell("list", "add", "staff", "8 903 333-44-55", "--country", "ru", *mine)
    assert shell.json("list", "show", "staff", *mine)["numbers"] == ["7903***2233", "7903***3344", "7903***4455"]
    assert "2 removed" in shell("list", "remove", "staff", A, B, *mine)
    assert [(one["name"], one["count"], one["provisioned"]) for one in shell.json("list", "list")] == [
        ("12345", 2, True),
        ("staff", 1, False),
    ]
    assert "in the accounts file" in shell("list", "add", "12345", A, *mine, code=77)
    assert "no name for a list" in shell("list", "add", "a;b", A, *mine, code=64)
    assert "no nobody" in shell("list", "add", "x", A, "--account", "nobody", code=64)
    assert "call me: " in shell("list", "add", "x", "call me", *mine, code=65)
    shell("list", "drop", "staff", *mine, "--yes")
    assert "no test_user/staff" in shell("list", "show", "staff", *mine, code=64)


def test_the_stop_list(shell: Shell) -> None:
    assert "1 added, 1 on the stop-list of all accounts" in shell("stop-list", "add", A)
    assert "BANNED" in shell("send", "--account", "test_user", "--from", "My Bank", "--to", A, "x", code=65)
    assert "queued" in shell("send", "--account", "test_user", "--from", "My Bank", "--to", B, "x")
    assert shell.json("stop-list", "list")["numbers"] == ["7903***2233"]
    assert shell("stop-list", "export") == f"{A}\n"
    assert shell("stop-list", "export", "--account", "test_user") == "79161234567\n"  # of the accounts file
    assert "1 removed" in shell("stop-list", "remove", A)
    assert "queued" in shell("send", "--account", "test_user", "--from", "My Bank", "--to", A, "x")


def test_other_verbs_know_accounts_of_the_store(shell: Shell) -> None:
    shell("account", "add", "shop", "originators=[Shop]", "text.transliterate=always")
    assert shell.json("check-config")["accounts"] == ["shop", "test_user"]
    assert "Privet" in shell("segments", "Привет", "--account", "shop")
    assert shell("route", A, "--account", "shop")
    assert "shop" in shell("hold", "--account", "shop")
    assert "queued" in shell("send", "--account", "shop", "--from", "Shop", "--to", A, "x")
