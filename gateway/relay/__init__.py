"""The loops that never end: one for each provider, one for reply mails, one for what grows old."""
