"""A little of everything, as it comes in: what the console shows in tests and pictures."""

from __future__ import annotations

from typing import Any

from gateway.daemon import Daemon
from gateway.sandbox.platform import Cut, Fault
from tests.running import ACCOUNT, Client, handsets, subject_mail, template

ACCOUNTS: list[dict[str, Any]] = [
    {**ACCOUNT, "originators": ["My Bank", "Shop"]},
    {
        "login": "monitoring",
        "password": "zabbix-4711",
        "senders": ["*@noc.example"],
        "originators": ["Zabbix"],
        "language": "ru",
    },
    {
        "login": "ups-room-5",
        "networks": ["127.0.0.0/8"],
        "senders": ["*"],
        "originators": ["UPS"],
        "phone": "79161112233",
    },
]
"""Three accounts of different kinds."""


async def send_all(daemon: Daemon) -> None:
    """SMS that arrive, one that fails, one whose answer is lost, and mails that are refused."""
    client = await Client.connect(daemon)
    await client.say("EHLO mail.bank.example")
    service = "emailtosms@sms.example.com"
    await client.mail(template("Ваш заказ №17 готов, ждём вас до 20:00."), service)
    await client.mail(template("Код 4711. Никому его не говорите.", numbers="79102345678,79103456789"), service)
    zabbix = subject_mail("Zabbix;monitoring;zabbix-4711;", "PROBLEM: диск /var на db1 заполнен на 96 %").replace(
        b"alerts@bank.example", b"zabbix@noc.example"
    )
    await client.mail(zabbix, "79104567890@sms.example.com", sender="zabbix@noc.example")
    await client.mail(subject_mail("UPS;", "On battery"), "ups-room-5@sms.example.com", sender="ups@ups.example")
    await handsets(daemon, 5)
    daemon.platform.faults += [
        Fault(answer="Error_Destination_Address_Blocked", destination="79105550001"),
        Fault(cut=Cut.AFTER, destination="79105550002"),
    ]
    await client.mail(template("Платёж принят", numbers="79105550001"), service)
    await client.mail(template("Платёж отклонён", numbers="79105550002"), service)
    await client.mail(template(password="guess-1"), service)
    await client.mail(template(numbers="7910"), service)
    await client.say("MAIL FROM:<a@b.example>")
    await client.say("RCPT TO:<someone@elsewhere.example>")
    client.close()
