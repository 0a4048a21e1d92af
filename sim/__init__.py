"""The laboratory for pipeline-parallel schedules."""
from .cluster import Cluster, Link, nodes
from .costs import Costs, costs_from_json, costs_to_json
from .ir import Op, Schedule, Value, from_json, reads, to_json, writes
from .families import FAMILIES
