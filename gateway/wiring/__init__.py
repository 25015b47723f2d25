"""From the settings to the parts that serve: stores, engines, the mail server, judges."""
