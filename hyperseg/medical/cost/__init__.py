"""What a planned network costs whatever the machine: multiply-adds and memory, by arithmetic."""
