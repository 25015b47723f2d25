"""`smmapd-gateway` and its subcommands."""
