#include "overlap.h"

#include "unit.h"

int
main (void)
{
  static struct overlap o;

  overlap_clear (&o);
  CHECK (!overlap_hits (&o, 0, UINT64_MAX));
  CHECK (overlap_add (&o, 100, 10));
  CHECK (!overlap_hits (&o, 90, 10));           /* neighbours do not overlap */
  CHECK (!overlap_hits (&o, 110, 10));
  CHECK (overlap_hits (&o, 90, 11));
  CHECK (overlap_hits (&o, 109, 1));
  CHECK (overlap_hits (&o, 105, 1));            /* within */
  CHECK (overlap_hits (&o, 0, 1000));           /* around */
  CHECK (!overlap_hits (&o, 105, 0));           /* nothing overlaps nothing */

  CHECK (overlap_add (&o, 200, 10));
  overlap_remove (&o, 100, 10);
  CHECK (!overlap_hits (&o, 100, 10));
  CHECK (overlap_hits (&o, 200, 1));
  overlap_remove (&o, 200, 10);
  CHECK_IS (o.count, 0);

  CHECK (overlap_add (&o, UINT64_MAX - 4096, 4096));    /* the end of the largest disk there can be */
  CHECK (overlap_hits (&o, UINT64_MAX - 1, 1));
  CHECK (!overlap_hits (&o, 0, 4096));

  overlap_clear (&o);
  for (unsigned i = 0; i < OVERLAP_MAX; i++)
    CHECK (overlap_add (&o, i * 10, 10));
  CHECK (!overlap_add (&o, 1000000, 10));       /* full */
  CHECK (!overlap_hits (&o, 1000000, 10));
  return done ("overlap");
}
