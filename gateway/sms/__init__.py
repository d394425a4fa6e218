"""What fits into an SMS: numbers, originators, alphabets, segments. Pure."""
