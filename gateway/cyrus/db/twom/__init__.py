"""The twom format of Cyrus 3.14 (lib/twom.c): its reader and its bytes."""
