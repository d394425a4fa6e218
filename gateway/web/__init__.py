"""Doors on HTTP."""
