"""A Postfix of its own, on the loopback: what its tests and the benchmarks share."""

from __future__ import annotations

import asyncio
import os
import pwd
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mta.bank.example
alias_maps =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relay_domains = sms.example.com
smtpd_relay_restrictions = permit_mynetworks, reject
maillog_file_prefixes = {folder}
maillog_file = {folder}/queue/postfix.log
"""
_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


@asynccontextmanager
async def instance(folder: Path, port: int, main: str, master: str, folders: Sequence[str] = ()) -> AsyncIterator[None]:
    """Running, with these lines more in main.cf and master.cf; ``folders`` are Postfix's own, too."""
    owner, conf = pwd.getpwnam("postfix"), folder / "conf"
    for name in ("conf", "queue", "data", *folders):
        (folder / name).mkdir()
    for name in ("data", *folders):
        os.chown(folder / name, owner.pw_uid, owner.pw_gid)
    (conf / "main.cf").write_text(_MAIN.format(folder=folder) + main)
    (conf / "master.cf").write_text(_MASTER.format(port=port) + master)
    run = ["postfix", "-c", str(conf)]
    started = await asyncio.to_thread(subprocess.run, [*run, "start"], capture_output=True, check=False)
    try:
        assert started.returncode == 0, started.stderr.decode() + started.stdout.decode()
        yield
    finally:
        await asyncio.to_thread(subprocess.run, [*run, "stop"], capture_output=True, check=False)
