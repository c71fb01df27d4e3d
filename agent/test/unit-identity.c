#include "identity.h"

#include <string.h>

#include "unit.h"

int
main (void)
{
  struct geometry g = {
    .size = 1 << 30, .block_min = 512, .block_preferred = 4096, .block_max = 32 << 20,
    .can_flush = 1, .can_fua = 1, .can_trim = 1, .can_zero = 1,
  }, other;
  static struct identity id;
  static uint8_t head[IDENTITY_BYTES] = "LUKS", wrong[IDENTITY_BYTES] = "XFSB";
  char text[160];

  CHECK (identity_same_geometry (&id, &g, text, sizeof text));  /* nothing is known yet */
  CHECK (identity_same_head (&id, wrong));
  identity_learn_geometry (&id, &g, IDENTITY_BYTES);
  CHECK (identity_same_geometry (&id, &g, text, sizeof text));
  CHECK (identity_same_head (&id, wrong));                      /* the head is not known yet */
  identity_learn_head (&id, head);
  CHECK (identity_same_head (&id, head));
  CHECK (!identity_same_head (&id, wrong));

  other = g, other.size--;
  CHECK (!identity_same_geometry (&id, &other, text, sizeof text));
  CHECK (strcmp (text, "not the disk we know: size is 1073741823, was 1073741824") == 0);
  other = g, other.size++;                                      /* grown */
  CHECK (identity_same_geometry (&id, &other, text, sizeof text));
  other = g, other.read_only = 1;
  CHECK (!identity_same_geometry (&id, &other, text, sizeof text));
  other = g, other.block_min = 4096;
  CHECK (!identity_same_geometry (&id, &other, text, sizeof text));
  other = g, other.can_fua = 0;
  CHECK (!identity_same_geometry (&id, &other, text, sizeof text));
  other = g, other.block_preferred = 65536, other.can_multi_conn = 1;   /* harmless */
  CHECK (identity_same_geometry (&id, &other, text, sizeof text));

  other = g, other.size++;                                      /* taken over: now the old one is another disk's */
  identity_grow (&id, other.size);
  CHECK (identity_same_geometry (&id, &other, text, sizeof text));
  CHECK (!identity_same_geometry (&id, &g, text, sizeof text));

  /* what is about to be changed is no longer known */
  CHECK (identity_covers (&id, 0));
  CHECK (identity_covers (&id, 4095));
  CHECK (!identity_covers (&id, 4096));
  identity_forget_head (&id);
  CHECK (identity_same_head (&id, wrong));

  /* a disk smaller than the head, and no head at all */
  g.size = 512;
  memset (&id, 0, sizeof id);
  identity_learn_geometry (&id, &g, IDENTITY_BYTES);
  CHECK_IS (id.head_bytes, 512);
  memset (&id, 0, sizeof id);
  identity_learn_geometry (&id, &g, 0);
  CHECK (!identity_covers (&id, 0));
  return done ("identity");
}
