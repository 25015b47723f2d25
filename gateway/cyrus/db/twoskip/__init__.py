"""The twoskip format (lib/cyrusdb_twoskip.c): its reader, its bytes, and the index of its keys."""
