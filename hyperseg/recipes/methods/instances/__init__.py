"""Methods that find objects one by one."""
