"""U-Nets of folders beside the planned one."""
