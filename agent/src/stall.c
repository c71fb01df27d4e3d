#include "stall.h"

#define BLINK_MS 2000   /* a longer gap between two looks means that we were not there */

void
stall_start (struct stall *s, uint64_t timeout_ms, uint64_t now_ms)
{
  *s = (struct stall) {
    .timeout_ms = timeout_ms, .probe_ms = timeout_ms / 3, .moved_ms = now_ms, .looked_ms = now_ms,
  };
}

enum stall_verdict
stall_check (struct stall *s, uint64_t bytes, uint64_t now_ms)
{
  uint64_t gap = now_ms - s->looked_ms, still;

  s->looked_ms = now_ms;
  if (gap > BLINK_MS)
    s->moved_ms += gap;
  if (bytes != s->bytes) {
    s->bytes = bytes;
    s->moved_ms = now_ms;
  }
  still = now_ms - s->moved_ms;
  return still >= s->timeout_ms ? STALLED : still >= s->probe_ms ? PROBE_DUE : MOVING;
}
