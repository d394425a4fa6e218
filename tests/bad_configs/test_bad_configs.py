"""Configurations that must not start: one line names file, line, key, value and fix; the exit code is 78."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from gateway.service.opening import open_store
from gateway.settings.faults import ConfigError
from gateway.settings.load import load
from tests.process import command

GOOD = """\
server: {hostname: sms.example.com}
listeners:
  - name: lan
    bind: "127.0.0.1:2525"
    trust: ["127.0.0.0/8"]
dialects:
  address: {domains: ["sms.example.com"]}
providers:
  main: {driver: sandbox}
routes:
  - {providers: [main]}
"""
ACCOUNTS = """\
accounts:
  - login: test_user
    password: "qwerty12"
    phone: "+79991234567"
    originators: ["My Bank"]
    enabled: no
"""
TARGETSMS = 'main: {driver: targetsms, url: "http://127.0.0.1/", user: u'


def write(folder: Path, gateway: str = GOOD, accounts: str = ACCOUNTS) -> Path:
    (folder / "accounts.yaml").write_text(accounts, "utf-8")
    path = folder / "gateway.yaml"
    path.write_text(gateway, "utf-8")
    return path


def test_values_stay_what_they_look_like(tmp_path: Path) -> None:
    account = load(write(tmp_path)).directory.accounts["test_user"]
    assert account.phone == "79991234567"
    assert account.enabled is False


@pytest.mark.parametrize("nothing", ["", "~", "null"])
def test_no_value_means_the_default(tmp_path: Path, nothing: str) -> None:
    changed = ACCOUNTS.replace('password: "qwerty12"', f"password: {nothing}")
    assert load(write(tmp_path, accounts=changed)).directory.accounts["test_user"].password is None


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("bind:", "bnid:", 4, "listeners[0].bnid: unknown key; did you mean 'bind'?"),
        ("server:", "sever:", 1, "sever: unknown key; did you mean 'server'?"),
        ("routes:", "dialects: {}\nroutes:", 10, "dialects: the key is here twice; first in line 6"),
        ('"127.0.0.1:2525"', '"127.0.0.1"', 4, 'listeners[0].bind: "127.0.0.1": give host:port'),
        ('["127.0.0.0/8"]', '["127.0.0.0/99"]', 5, 'listeners[0].trust[0]: "127.0.0.0/99": no network'),
        (
            '["127.0.0.0/8"]',
            "[]\n    tls: {certificate: c, key: k}\n    lenient: true",
            7,
            'listeners[0].lenient: "true" forgives',
        ),
        ('["127.0.0.0/8"]', '["10.0.0.0/8", "::/0"]\n    lenient: true', 5, 'trust[1]: "::/0" is everybody'),
        (
            '["127.0.0.0/8"]',
            '["127.0.0.0/8"]\n    tls: {certificate: c, key: k, min_version: TLSv1}',
            6,
            'listeners[0].tls.min_version: "TLSv1" is broken and for old devices; say lenient: true',
        ),
        ('["127.0.0.0/8"]', '"127.0.0.0/8"', 5, 'listeners[0].trust: "127.0.0.0/8": expected a valid tuple'),
        ("driver: sandbox", "driver: sandbx", 9, 'providers.main: "sandbx" is no driver; one of'),
        ("driver: sandbox", "rate: 5", 9, "providers.main: missing the key driver"),
        ("[main]", "[mian]", 11, 'routes[0].providers: "mian" is no provider; one of main'),
        ("[main]", "main", 11, 'routes[0].providers: "main": expected'),
        ("[main]", "[]", 11, "routes[0].providers: give at least one"),
        ("[main]", "[main, main]", 11, "routes[0].providers: a provider is here twice; give weights"),
        ("[main]", "{main: 0}", 11, 'routes[0].providers.main: "0": expected greater than or equal to 1'),
        ("[main]", "{main: some}", 11, 'routes[0].providers.main: "some": expected a valid integer'),
        ("[main]", "{mian: 1}", 11, 'routes[0].providers: "mian" is no provider; one of main'),
        ("[main]", "[main], prefix: +7", 11, 'routes[0].prefix: "+7": does not look right'),
        ("[main]", "[main], prefix: [7, 3a]", 11, 'routes[0].prefix[1]: "3a": does not look right'),
        ("[main]", "[main], country: Russia", 11, 'routes[0].country: "Russia": no country; give its two letters'),
        ("[main]", "[main], country: [ru, UK]", 11, 'routes[0].country[1]: "UK": no country; give its two letters'),
        ("[main]", "[main], hours: 8-22", 11, 'routes[0].hours: "8-22": give hours such as 08:00-22:00'),
        ("[main]", '[main], hours: "08:00-25:00"', 11, 'routes[0].hours: "08:00-25:00": give hours'),
        ("[main]", '[main], hours: "08:00-08:00"', 11, 'routes[0].hours: "08:00-08:00": begins when it ends'),
        (
            "[main]",
            '[main], hours: "08:00-22:00", timezone: Moscow',
            11,
            'routes[0].timezone: "Moscow": no time zone; give one such as Europe/Moscow',
        ),
        (
            "[main]",
            '[main], hours: "08:00-22:00", timezone: ../UTC',
            11,
            'routes[0].timezone: "../UTC": no time zone',
        ),
        ("[main]", "[main], timezone: Europe/Moscow", 11, "routes[0].timezone: is for hours, which this route"),
        (
            "[main]",
            "[main], order: random",
            11,
            "routes[0].order: \"random\": one of 'listed', 'weighted' or",
        ),
        ("[main]", "{main: 3}, order: cheapest", 11, 'routes[0].order: "cheapest" knows no weights; say weighted'),
        ("[main]}", "[main]}\n  - {providers: [main]}", 12, "routes[1]: never taken: routes[0] always goes before it"),
        ("sandbox}", "sandbox, prices: {7: cheap}}", 9, 'providers.main.prices.7: "cheap": expected a valid decimal'),
        ("sandbox}", "sandbox, prices: {7: -1}}", 9, 'providers.main.prices.7: "-1": expected greater than or equal'),
        ("sandbox}", "sandbox, prices: {+7: 1}}", 9, 'providers.main.prices: "+7" is no prefix; give the first digits'),
        ('trust: ["127.0.0.0/8"]', "verify: [spf]", 3, 'listeners[0]: "lan" can verify no sender; add trust'),
        (
            'trust: ["127.0.0.0/8"]',
            'trust: ["127.0.0.0/8"]\n    authentication_results: {authserv_id: mx, peers: [127.0.0.1]}',
            6,
            'listeners[0].authentication_results.peers: "127.0.0.1/32" is in trust, where every mail',
        ),
        (
            'trust: ["127.0.0.0/8"]',
            "authentication_results: {authserv_id: mx.example.com}",
            5,
            "listeners[0].authentication_results.peers: missing; add it",
        ),
        ("routes:", "dns: {nameservers: [ns.example.com]}\nroutes:", 10, "give an IP address, with a port"),
        ("routes:", "console: {url: sms.example.com}\nroutes:", 10, 'console.url: "sms.example.com": does not look'),
        ("routes:", "console: {proxies: [everywhere]}\nroutes:", 10, 'console.proxies[0]: "everywhere": no network'),
        ("routes:", "console: {proxy: {header: X-User}}\nroutes:", 10, "console.proxy.networks: missing; add it"),
        ("routes:", "console: {tls: {certificate: c, key: k}}\nroutes:", 10, "c does not exist; make it or mend"),
        (
            "routes:",
            "console: {oidc: {issuer: 'https://i', client_id: c, roles: {a: boss}}}\nroutes:",
            10,
            "console.oidc.roles.a: \"boss\": one of 'viewer', 'operator' or 'admin'",
        ),
        (
            "routes:",
            "console: {oidc: {issuer: 'https://i', client_id: c, roles: {a: admin}}}\nroutes:",
            10,
            "console.oidc: the provider must know where people come back to; add console.url",
        ),
        (
            "routes:",
            "console: {url: 'https://s', oidc: {issuer: 'http://i', client_id: c, roles: {a: admin}}}\nroutes:",
            10,
            'console.oidc.issuer: "http://i": who is on the way could be anybody; say https://',
        ),
        ('trust: ["127.0.0.0/8"]', "max_errors: 3", 3, 'listeners[0]: "lan" can verify no sender; add trust'),
        ('trust: ["127.0.0.0/8"]', "proxy_protocol: true", 3, 'listeners[0]: "lan" can verify no sender'),
        ("bind:", "proxy_protocol: true\n    bind:", 4, 'listeners[0].proxy_protocol: "true": from whom? Add proxies:'),
        ("bind:", "xclient: true\n    bind:", 4, 'listeners[0].xclient: "true": from whom? Add proxies:'),
        ("bind:", "xclient_login: true\n    bind:", 4, 'listeners[0].xclient_login: "true": needs xclient: true'),
        ("bind:", "proxies: [10.0.0.5]\n    bind:", 4, "listeners[0].proxies: what do they speak? Add proxy_protocol"),
        ("bind:", "proxies: [lb]\n    bind:", 4, 'listeners[0].proxies[0]: "lb": no network'),
        ("routes:", "defence: {attempts: 0}\nroutes:", 10, 'defence.attempts: "0": expected greater than or equal to'),
        ("routes:", "defence: {ban: long}\nroutes:", 10, 'defence.ban: "long": give a time such as'),
        ('trust: ["127.0.0.0/8"]', "max_errors: many", 5, 'listeners[0].max_errors: "many": expected a valid integer'),
        ('trust: ["127.0.0.0/8"]', "command_timeout: soon", 5, 'listeners[0].command_timeout: "soon": give a time'),
        ('trust: ["127.0.0.0/8"]', "tls: {certificate: a.crt, key: a.key}", 5, "a.crt does not exist; make it"),
        ('trust: ["127.0.0.0/8"]', 'trust: ["::1/128"]\n    on_refusal: reply', 6, '"reply" needs the section replies'),
        ('address: {domains: ["sms.example.com"]}', "address: {}", 7, "dialects.address.domains: missing; add it"),
        ('address: {domains: ["sms.example.com"]}', "", 6, "dialects: "),
        ('["sms.example.com"]}', '["sms.example.com"], charset: klingon}', 7, '"klingon" is no charset'),
        ("main: {driver: sandbox}", TARGETSMS + "}", 9, "providers.main: give either user and password, or token"),
        ("main: {driver: sandbox}", TARGETSMS + ', password: "${NO_SUCH}"}', 9, "no variable 'NO_SUCH'"),
        ("main: {driver: sandbox}", TARGETSMS + ", password_file: none}", 9, "password_file: "),
        ("routes:", "store: {url: mysql://x}\nroutes:", 10, 'store.url: "mysql://x": does not look right'),
        ("routes:", "accounts_file: other.yaml\nroutes:", 10, "other.yaml does not exist; make it or mend the path"),
        ("routes:", "limits: {spend_per_day: 5}\nroutes:", 10, "limits.spend_per_day: needs to know what an SMS costs"),
        ("routes:", "limits: {quiet: {hours: 22-8}}\nroutes:", 10, 'limits.quiet.hours: "22-8": give hours such as'),
        ("routes:", "destinations: {countries: Russia}\nroutes:", 10, 'destinations.countries: "Russia": no country'),
        ("routes:", "destinations: {types: premium}\nroutes:", 10, "destinations.types: \"premium\": one of 'mobile'"),
        ("server: {", "server: {{", 2, "not YAML"),
        (
            "sms.example.com}",
            "sms.example.com, workers: 99}",
            1,
            'server.workers: "99": expected less than or equal to 64',
        ),
        (
            "sms.example.com}",
            "sms.example.com, workers: 2}",
            9,
            'providers.main.driver: "sandbox" lives inside one process',
        ),
    ],
)
def test_gateway_yaml(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load(path)
    first = str(caught.value).splitlines()[0]
    assert first.startswith(f"{path}:{line}: "), first
    assert words in first


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("login:", "logn:", 2, "accounts[0].l"),
        ('"+79991234567"', "12", 4, 'accounts[0].phone: "12" is no phone number'),
        ('["My Bank"]', '["A much too long name"]', 5, "at most 11 letters and digits"),
        ("enabled: no", "enabled: perhaps", 6, 'accounts[0].enabled: "perhaps": expected a valid boolean'),
        ("enabled: no", "language: de", 6, "accounts[0].language: \"de\": one of 'en', 'ru' or 'uk'"),
        ("enabled: no", "password_hash: nonsense", 6, "accounts[0].password_hash: (hidden): does not look right"),
        ("enabled: no", "api_keys: [abc]", 6, "a key is shorter than 6 characters"),
        ("enabled: no", "limits: {spend_per_day: 5}", 6, "accounts[0].limits.spend_per_day: needs to know what an SMS"),
        ("enabled: no", "lists: {a: [77]}", 6, 'accounts[0].lists.a: "77" is no phone number'),
        (
            "enabled: no",
            "text: {cut_from: ['(a']}",
            6,
            'text.cut_from[0]: "(a": no regular expression of RE2: missing )',
        ),
        ("enabled: no", "text: {cut_from: ['a|']}", 6, 'text.cut_from[0]: "a|": is found in an empty line'),
        ("enabled: no", "text: {clean: [quote]}", 6, "accounts[0].text.clean[0]: \"quote\": one of 'quotes'"),
        ("enabled: no", "enabled: no\n  - login: test_user", 7, '"test_user" is the login of another account'),
    ],
)
def test_accounts_yaml(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in ACCOUNTS
    path = write(tmp_path, accounts=ACCOUNTS.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load(path)
    lines = str(caught.value).splitlines()
    assert any(at.startswith(f"{tmp_path / 'accounts.yaml'}:{line}: ") and words in at for at in lines), lines
    assert "qwerty12" not in str(caught.value)


def test_all_faults_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("bind:", "bnid:").replace("driver: sandbox", "driver: x"))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert len(str(caught.value).splitlines()) == 3  # unknown key, bind missing, no such driver


async def test_a_missing_file(tmp_path: Path) -> None:
    code, out, err = await command("serve", "--config", str(tmp_path / "none.yaml"))
    assert (code, out) == (78, "")
    assert err.startswith(f"{tmp_path}/none.yaml: No such file or directory; give the file with --config, or make one")


async def test_an_unknown_key_stops_the_start(tmp_path: Path) -> None:
    code, _, err = await command("serve", "--config", str(write(tmp_path, GOOD.replace("bind:", "bnid:"))))
    assert code == 78
    assert "Traceback" not in err


async def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        code, _, err = await command("serve", "--config", str(write(tmp_path, GOOD.replace("127.0.0.1:2525", where))))
    assert code == 78
    assert f'listeners[0].bind: "{where}": Address already in use; choose another, or stop what uses it' in err
    assert "Traceback" not in err


async def test_a_store_in_use(tmp_path: Path) -> None:
    from gateway.spool.store import Store

    path = write(tmp_path)
    store = await Store.open(load(path).store_url, exclusive=True)
    try:
        code, _, err = await command("serve", "--config", str(path))
    finally:
        await store.close()
    assert code == 78
    assert "another gateway serves from it; stop that one first" in err


async def test_check_config_says_that_all_is_well(tmp_path: Path) -> None:
    code, out, _ = await command("check-config", "--config", str(write(tmp_path)))
    assert code == 0
    assert "is right" in " ".join(out.split())


async def test_the_shipped_configuration_is_right() -> None:
    for name in ("gateway.yaml",):
        path = Path(__file__).parents[2] / "config" / name
        assert load(path).directory.knows("demo")


def test_the_reference_is_up_to_date() -> None:
    import json

    from gateway.settings import reference

    folder = Path(__file__).parents[2] / "config"
    assert (folder / "README.md").read_text("utf-8") == reference.markdown(), "run: make config"
    assert json.loads((folder / "gateway.schema.json").read_text("utf-8")) == reference.json_schema(), (
        "run: make config"
    )


async def test_a_database_that_does_not_want_us(tmp_path: Path, postgres_url: str) -> None:
    url = postgres_url.replace("/test_", "/no_test_")
    path = write(tmp_path, GOOD + f"\nstore: {{url: '{url}'}}\n")
    code, _, err = await command("serve", "--config", str(path))
    assert (code, "Traceback" in err) == (78, False)
    assert f'{path}: store.url: Error: database "no_' in err
    assert "does not exist; make it, or mend" in err


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_database_that_is_away_is_no_mistake(tmp_path: Path, workers: int) -> None:
    """systemd starts the gateway again, which it does not after 78."""
    url = "postgresql://email2sms:verysecret@127.0.0.1:1/email2sms"
    good = GOOD.replace("driver: sandbox", "driver: targetsms, url: 'http://127.0.0.1:1/', user: a, password: b")
    good = good.replace("sms.example.com}", f"sms.example.com, workers: {workers}}}")
    path = write(tmp_path, good + f"\nstore: {{url: '{url}'}}\n")
    code, _, err = await command("serve", "--config", str(path))
    assert (code, "Traceback" in err, "verysecret" in err) == (75, False, False)
    assert "store.url: ConnectionRefusedError" in err


def test_a_password_in_a_url_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, GOOD + "\nstore: {url: 'mysql://e:very@secret@db/e'}\n"))
    assert 'store.url: "mysql://e:***@db/e": does not look right' in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_check_config_shows_no_password(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "\nstore: {url: 'postgresql://e:very@secret@db.example.com/e'}\n")
    code, out, err = await command("check-config", "--config", str(path))
    assert code == 0
    assert "postgresql://e:***@db.example.com/e" in "".join(out.split())
    assert "secret" not in out + err


def test_checks_whose_libraries_are_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.settings.contradictions.find_spec", lambda name: None)
    with pytest.raises(ConfigError) as fault:
        load(write(tmp_path, GOOD.replace("trust:", "verify: [dkim]\n    trust:")))
    assert 'listeners[0].verify: needs more libraries; pip install "email2sms[mailauth]"' in str(fault.value)


def test_a_public_listener_that_examines_mails_may_start(tmp_path: Path) -> None:
    for how in ("verify: [dkim]", "authentication_results: {authserv_id: mx, peers: [192.0.2.1]}"):
        assert load(write(tmp_path, GOOD.replace('trust: ["127.0.0.0/8"]', how))).senders["lan"]


BEAT = 'heartbeat: {ops: {account: test_user, to: "79101234567", at: "09:00"}}\n'


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('at: "09:00"', 'at: "9:00"', 'heartbeat.ops.at: "9:00": give a time such as'),
        ('at: "09:00"', "at: 9:00", 'heartbeat.ops.at: "9:00": give a time such as'),
        ('to: "79101234567"', 'to: "12"', 'heartbeat.ops.to: "12" is no phone number'),
        ("test_user", "nobody", 'heartbeat.ops.account: "nobody" is no account; one of test_user'),
        ('at: "09:00"', 'at: "09:00", days: mon-fry', 'heartbeat.ops.days: "mon-fry": no days; give one of mon'),
        (
            'at: "09:00"',
            'at: "09:00", text: "{queu}"',
            'heartbeat.ops.text: "{queu}": only {time}, {date}, {queue} and {host}',
        ),
        (
            'at: "09:00"',
            'at: "09:00", originator: "a b c d e f g h"',
            'heartbeat.ops.originator: "a b c d e f g h": at most 11 letters',
        ),
    ],
)
def test_heartbeats(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(write(tmp_path, GOOD + BEAT.replace(old, new)))
    assert f"gateway.yaml:12: {words}" in str(error.value)


def test_a_heartbeat_needs_an_originator(tmp_path: Path) -> None:
    accounts = ACCOUNTS.replace('"My Bank"', '"My Bank", "Other"')
    with pytest.raises(ConfigError, match='originator: missing: "test_user" has not exactly one; add it'):
        load(write(tmp_path, GOOD + BEAT, accounts))


@pytest.mark.parametrize(
    ("storm", "words"),
    [
        ("{over: 0}", 'accounts[0].storm.over: "0": expected greater than or equal to 1'),
        ("{every: 7h}", 'accounts[0].storm.every: "7h": expected less than or equal to 21600'),
        ("{within: 0}", 'accounts[0].storm.within: "0": expected greater than 0'),
        ("{rate: 5}", "accounts[0].storm.rate: unknown key"),
    ],
)
def test_storms(tmp_path: Path, storm: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(write(tmp_path, accounts=f"{ACCOUNTS}    storm: {storm}\n"))
    assert f"accounts.yaml:7: {words}" in str(error.value)


A_KEY = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
ANOTHER_KEY = "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI="


@pytest.mark.parametrize("key", ["dG9vIHNob3J0", "***no base64***", A_KEY + "QUFB"])
def test_a_key_that_is_none(tmp_path: Path, key: str) -> None:
    (tmp_path / "key").write_text(key)
    for setting in (f"key: '{key}'", "key_file: key"):
        with pytest.raises(ConfigError) as caught:
            load(write(tmp_path, GOOD + f"\nstore: {{{setting}}}\n"))
        assert ": store" in str(caught.value)
        assert "the key is not 32 bytes in base64; make one by: openssl" in str(caught.value)
        assert key not in str(caught.value)


async def test_a_store_that_is_sealed_with_another_key(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + f"\nstore: {{key: {A_KEY}}}\n")
    await (await open_store(load(path), exclusive=False)).close()
    for setting, words in ((f"key: {ANOTHER_KEY}", "is sealed with another key"), ("", "is sealed, and no key is")):
        write(tmp_path, GOOD + f"\nstore: {{{setting}}}\n")
        with pytest.raises(ConfigError) as caught:
            await open_store(load(path), exclusive=False)
        assert f"{path}: store.key: the store {words}" in str(caught.value)
        assert "give the one" in str(caught.value)
    code, _, err = await command("serve", "--config", str(path))
    assert (code, "store.key" in err, "Traceback" in err) == (78, True, False)


async def test_a_key_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(ConfigError) as caught:
        await open_store(load(write(tmp_path, GOOD + f"\nstore: {{key: {A_KEY}}}\n")), exclusive=False)
    assert "pip install 'email2sms[encryption]'" in str(caught.value)
    assert A_KEY not in str(caught.value)
