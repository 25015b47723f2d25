"""What tests of several folders share, and no real program is started for; those are in `rigs`."""
