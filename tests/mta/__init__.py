"""The mail server beside the gateway: its parameters, tables and programs."""
