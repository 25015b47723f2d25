"""One gateway, every way to ask it, and the replies that SMTP clients see."""
