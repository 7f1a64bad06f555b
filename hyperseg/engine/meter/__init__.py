"""What work has taken: seconds, peak memory and, where the machine tells it, energy."""

from hyperseg.engine.meter.energy import Counter, counters
from hyperseg.engine.meter.usage import Usage, metered
from hyperseg.engine.meter.waiting import quiet_clock

__all__ = ["Counter", "Usage", "counters", "metered", "quiet_clock"]
