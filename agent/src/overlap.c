#include "overlap.h"

#include <assert.h>

void
overlap_clear (struct overlap *o)
{
  o->count = 0;
}

bool
overlap_hits (const struct overlap *o, uint64_t offset, uint64_t length)
{
  for (unsigned i = 0; i < o->count; i++)
    if (length > 0 && ranges_overlap (o->range[i].offset, o->range[i].length, offset, length))
      return true;
  return false;
}

bool
overlap_add (struct overlap *o, uint64_t offset, uint64_t length)
{
  if (o->count == OVERLAP_MAX)
    return false;
  o->range[o->count++] = (struct range) { offset, length };
  return true;
}

void
overlap_remove (struct overlap *o, uint64_t offset, uint64_t length)
{
  for (unsigned i = 0; i < o->count; i++)
    if (o->range[i].offset == offset && o->range[i].length == length) {
      o->range[i] = o->range[--o->count];
      return;
    }
  assert (!"a range that was never added");
}
