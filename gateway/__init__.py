"""email2sms: anything that can send an email can send an SMS."""

__version__ = "0.1.0"
