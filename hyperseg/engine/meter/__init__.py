"""What work has taken: seconds, peak memory and, where the machine tells it, energy."""

from hyperseg.engine.meter.energy import Counter, counters
from hyperseg.engine.meter.memory import held_bytes
from hyperseg.engine.meter.usage import Usage, metered

__all__ = ["Counter", "Usage", "counters", "held_bytes", "metered"]
