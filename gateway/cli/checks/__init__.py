"""What `check-config` looks at beyond the files of settings; one module a part of the world."""
