"""What of a mail's text is worth an SMS: the new words of an answer, the facts of a monitoring mail, whole links."""
