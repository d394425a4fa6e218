"""A provider that is none: TargetSMS's wire format in front of fake handsets. For the demo, the tests, and
anybody who wants a TargetSMS to write code against (``email2sms sandbox``)."""
