/* overlap: which changes are in flight.
 *
 * A server may carry out requests in any order. Two overlapping changes in flight together could therefore reach the disk
 * in either order, and the kernel's last write might lose. So never two at once; what overlaps waits. Pure.
 */
#ifndef NETDISK_OVERLAP_H
#define NETDISK_OVERLAP_H

#include <stdbool.h>
#include <stdint.h>

#define OVERLAP_MAX 1024        /* at least the requests in flight and those looked past together */

struct range { uint64_t offset, length; };

struct overlap {
  struct range range[OVERLAP_MAX];
  unsigned count;
};

static inline bool
ranges_overlap (uint64_t a, uint64_t a_length, uint64_t b, uint64_t b_length)
{
  return a < b + b_length && b < a + a_length;
}

void overlap_clear (struct overlap *o);

/* Is any byte of this range in the set? An empty range overlaps nothing. */
bool overlap_hits (const struct overlap *o, uint64_t offset, uint64_t length);

/* False: the set is full, nothing was added. */
bool overlap_add (struct overlap *o, uint64_t offset, uint64_t length);

/* Takes out a range that was added; it must be there. */
void overlap_remove (struct overlap *o, uint64_t offset, uint64_t length);

#endif
