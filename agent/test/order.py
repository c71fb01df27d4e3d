"""What a disk may hold after writes of which some were in flight together.

The plugin never has two overlapping changes on the way at once, in a replay neither, so each is carried out as a whole, and
one that was submitted after another had been answered comes after it. Of two in flight together NBD promises no order, and
nbdkit's threads give them to the plugin in any.
"""

from dataclasses import dataclass

BLOCK = 4096
NEVER = float("inf")


@dataclass
class Write:
    """Whole blocks; the times are any that grow."""
    first: int
    data: bytes
    submitted: float
    answered: float = NEVER

    def blocks(self):
        return {self.first + i: self.data[i * BLOCK:(i + 1) * BLOCK] for i in range(len(self.data) // BLOCK)}


def possible(before, writes, after):
    """May AFTER be what has become of BEFORE? Looks for the writes in their order, the last one first: that may be any which
    was not answered before another was submitted, and of which all is there that no later one has covered."""
    left, open_blocks = list(writes), {i: after[i * BLOCK:(i + 1) * BLOCK] for i in range(len(after) // BLOCK)}
    while left:
        newest = max(write.submitted for write in left)
        last = next((write for write in left if write.answered > newest and
                     all(open_blocks.get(block, data) == data for block, data in write.blocks().items())), None)
        if not last:
            return False
        left.remove(last)
        for block in last.blocks():
            open_blocks.pop(block, None)
    return all(before[i * BLOCK:(i + 1) * BLOCK] == data for i, data in open_blocks.items())
