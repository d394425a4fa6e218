"""``python -m gateway`` is the ``email2sms`` command."""

from gateway.cli import main

main()
