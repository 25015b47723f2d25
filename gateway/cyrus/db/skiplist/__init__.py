"""The skiplist format (lib/cyrusdb_skiplist.c): its reader, its bytes, and its log."""
