"""Who may send what, where to, and when again. Pure: time and chance come in as parameters."""
