"""The doors for mail: SMTP and LMTP on TCP and Unix sockets. Nothing is parsed or decided here."""
