"""The `runtara` and `runtara-ctl` commands."""
