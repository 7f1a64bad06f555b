"""The bridged U-Net: two U-Nets in a row, what can be chosen of them, and the single U-Nets they are compared with."""
