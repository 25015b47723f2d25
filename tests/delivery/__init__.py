"""Delivery as the oracle: what we said of a recipient, held against a mail that Cyrus delivered."""
