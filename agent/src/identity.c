#include "identity.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

bool
identity_same_geometry (const struct identity *id, const struct geometry *found, char *text, size_t size)
{
  const struct geometry *known = &id->geometry;
  const struct { const char *name; uint64_t known, found; bool may_grow; } facts[] = {
    { "size", known->size, found->size, true },      /* grown: served as it was known, see identity_grow */
    { "read-only", known->read_only, found->read_only, false },
    { "minimum block size", known->block_min, found->block_min, false },
    { "maximum block size", known->block_max, found->block_max, false },
    { "FLUSH", known->can_flush, found->can_flush, true },
    { "FUA", known->can_fua, found->can_fua, true },
    { "TRIM", known->can_trim, found->can_trim, true },
    { "WRITE_ZEROES", known->can_zero, found->can_zero, true },
  };

  if (!id->known)
    return true;
  for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++)
    if (facts[i].known != facts[i].found && !(facts[i].may_grow && facts[i].found > facts[i].known)) {
      snprintf (text, size, "not the disk we know: %s is %ju, was %ju", facts[i].name,
                (uintmax_t) facts[i].found, (uintmax_t) facts[i].known);
      return false;
    }
  return true;
}

bool
identity_same_head (const struct identity *id, const void *head)
{
  return !id->head_known || memcmp (id->head, head, id->head_bytes) == 0;
}

void
identity_learn_geometry (struct identity *id, const struct geometry *found, uint32_t head_bytes)
{
  id->geometry = *found;
  id->head_bytes = head_bytes < IDENTITY_BYTES ? head_bytes : IDENTITY_BYTES;
  if (id->head_bytes > found->size)
    id->head_bytes = (uint32_t) found->size;
  atomic_signal_fence (memory_order_release);   /* a process killed right here must not leave half an identity */
  id->known = 1;
}

void
identity_learn_head (struct identity *id, const void *head)
{
  id->head_known = 0;
  atomic_signal_fence (memory_order_release);
  memcpy (id->head, head, id->head_bytes);
  atomic_signal_fence (memory_order_release);
  id->head_known = 1;
}

void
identity_grow (struct identity *id, uint64_t size)
{
  id->geometry.size = size;
}

bool
identity_covers (const struct identity *id, uint64_t offset)
{
  return offset < id->head_bytes;
}

void
identity_forget_head (struct identity *id)
{
  id->head_known = 0;
}
