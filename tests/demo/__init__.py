"""`make demo`: the whole gateway on a small store in a temporary folder, asked through every interface.

    python -m tests.demo

It needs neither Cyrus nor a mail server, works as root and as anybody, and
leaves nothing behind.  On a terminal it stays up for more questions.
"""
