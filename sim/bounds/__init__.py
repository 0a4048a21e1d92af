"""What no order of the passes can beat, each bound with its proof; no solver.

| bound | argument |
|---|---|
| `bottleneck.bottleneck` | the work of one device, between the way to it and the way from it |
| `limited_memory.few_live` | memory holds few microbatches: idle before B comes and after F |
| `limited_memory.late_weights` | memory cannot put off all W until after the last B |
| `limited_memory.full_memory` | memory x time of all microbatches, over the limit |
| `first_backward.first_backwards` | how long all devices of a straight pipeline wait for B |
| `least_memory.least_bytes` | the memory of one microbatch at a time |
| `lower_bound.steady_interval` | work, and memory x time, of one microbatch in an endless order |
| `lever_area.span_with_levers` | work against memory x time where R, O and L may be added |
| `lever_memory.memory_bounds` | the arguments about memory with levers, pulled or free to be |

`lever_bound.bound_with_levers` takes the best for any choice of levers, `lower_bound.lower_bound`
the best of those that apply. What they argue about: `workload` (passes, times, what they wait
for), `chains` (before and after a pass), `memory` (of a device), `lever_units` (what a lever does).
"""
