"""Every torch name with an underscore that we rely on, by what it is for.

Such names change without notice. Where gradients depend on them, a torch outside the tested range,
or one that lacks a name, is refused with one sentence instead of failing somewhere inside, or
worse, giving wrong ones. What every engine needs is looked for when this is imported, what only
torch's own runtime needs at its doors (`versions.checked_torch`): the local engine with deferred
weight gradients does without.
"""

from .versions import ALWAYS, require

require(ALWAYS)
