"""Random changes of a store's files, and answers that must be those of a program that was just started."""
