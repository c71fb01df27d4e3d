#include "stall.h"

#include "unit.h"

int
main (void)
{
  struct stall s;
  uint64_t t = 1000000;

  /* silence: a probe is due after a third, the end after all of it */
  stall_start (&s, 30000, t);
  for (int i = 1; i < 60; i++)
    CHECK_IS (stall_check (&s, 0, t + (uint64_t) i * 500), i < 20 ? MOVING : PROBE_DUE);
  CHECK_IS (stall_check (&s, 0, t + 30000), STALLED);

  /* one byte every 29 s is slow, not stalled */
  stall_start (&s, 30000, t);
  for (uint64_t i = 1; i < 1000; i++)
    CHECK (stall_check (&s, i / 58, t + i * 500) != STALLED);

  /* time in which nobody looked does not count: a suspended host, a stopped process */
  stall_start (&s, 30000, t);
  CHECK_IS (stall_check (&s, 0, t + 500), MOVING);
  CHECK_IS (stall_check (&s, 0, t + 3600000), MOVING);
  for (uint64_t i = 1; i < 59; i++)
    CHECK (stall_check (&s, 0, t + 3600000 + i * 500) != STALLED);
  CHECK_IS (stall_check (&s, 0, t + 3600000 + 59 * 500), STALLED);

  /* movement after a probe ends the matter */
  stall_start (&s, 3000, t);
  CHECK_IS (stall_check (&s, 0, t + 1000), PROBE_DUE);
  CHECK_IS (stall_check (&s, 20, t + 1500), MOVING);
  CHECK_IS (stall_check (&s, 20, t + 2400), MOVING);
  return done ("stall");
}
