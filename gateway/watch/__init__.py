"""How the gateway is seen: the log."""
