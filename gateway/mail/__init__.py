"""Bytes of a mail → text as people wrote it, with every decision noted. Pure."""
