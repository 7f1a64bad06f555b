"""Maps of objects, a number for each: written, read, and told from masks that have no numbers."""

from hyperseg.io.instances.boxes import Instance, instances_of, read_instance_boxes, write_instance_boxes
from hyperseg.io.instances.labels import check_instance_labels, read_instance_labels
from hyperseg.io.instances.maps import read_instances, write_instances

__all__ = [
    "Instance", "check_instance_labels", "instances_of", "read_instance_boxes", "read_instance_labels",
    "read_instances", "write_instance_boxes", "write_instances",
]  # fmt: skip
