#include "backoff.h"

#define GROWTH 1.6

static uint32_t
at_most (uint32_t a, uint32_t b)
{
  return a < b ? a : b;
}

void
backoff_reset (struct backoff *b)
{
  for (int kind = 0; kind < FAILURE_KINDS; kind++)
    b->next_ms[kind] = b->pace[kind].first_ms;
}

void
backoff_init (struct backoff *b, uint32_t unanswered_max_ms, uint32_t refused_max_ms, uint32_t error_max_ms)
{
  b->pace[UNANSWERED] = (struct pace) { at_most (100, unanswered_max_ms), unanswered_max_ms };
  b->pace[REFUSED] = (struct pace) { at_most (1000, refused_max_ms), refused_max_ms };
  b->pace[ERROR_REPLY] = (struct pace) { at_most (2000, error_max_ms), error_max_ms };
  backoff_reset (b);
}

uint32_t
backoff_next (struct backoff *b, enum failure kind, double dice)
{
  uint32_t now = b->next_ms[kind];
  double grown = now * GROWTH;

  b->next_ms[kind] = grown > b->pace[kind].max_ms ? b->pace[kind].max_ms : (uint32_t) grown;
  return (uint32_t) (now * (0.75 + dice / 2));
}

void
backoff_session_was_useful (struct backoff *b, enum failure why, uint64_t lived_ms)
{
  uint32_t kept = b->next_ms[ERROR_REPLY];

  backoff_reset (b);
  if (why == ERROR_REPLY && lived_ms <= b->pace[ERROR_REPLY].max_ms)
    b->next_ms[ERROR_REPLY] = kept;
}
