"""What a person or a program may do with the gateway. The doors (smtp, cli, web) and the relay stand on it."""
