#include "backoff.h"

#include "unit.h"

/* The nominal wait: the dice in the middle. */
static uint32_t
next (struct backoff *b, enum failure kind)
{
  return backoff_next (b, kind, 0.5);
}

int
main (void)
{
  struct backoff b;
  uint32_t last = 0;

  backoff_init (&b, 5000, 60000, 60000);
  CHECK_IS (next (&b, UNANSWERED), 100);        /* a lost connection is dialled again almost at once */
  CHECK_IS (next (&b, REFUSED), 1000);          /* each kind has a pace of its own */
  CHECK_IS (next (&b, ERROR_REPLY), 2000);
  for (int i = 0; i < 30; i++) {
    uint32_t wait = next (&b, UNANSWERED);
    CHECK (wait >= last);
    CHECK (wait <= 5000);
    last = wait;
  }
  CHECK_IS (last, 5000);                        /* for ever, and never longer */
  CHECK_IS (next (&b, REFUSED), 1600);

  /* jitter: 0.75 to 1.25 */
  CHECK_IS (backoff_next (&b, UNANSWERED, 0.0), 3750);
  CHECK (backoff_next (&b, UNANSWERED, 0.999) <= 6250);

  /* nothing but a useful session resets */
  backoff_session_was_useful (&b, UNANSWERED, 1);
  CHECK_IS (next (&b, UNANSWERED), 100);
  CHECK_IS (next (&b, REFUSED), 1000);

  /* a full disk answers reads, so the session was useful; the pace is kept all the same */
  last = 0;
  for (int i = 0; i < 20; i++) {
    uint32_t wait = next (&b, ERROR_REPLY);
    CHECK (wait >= last);
    last = wait;
    backoff_session_was_useful (&b, ERROR_REPLY, 500);
  }
  CHECK_IS (last, 60000);
  backoff_session_was_useful (&b, ERROR_REPLY, 60001);  /* it went well for long: another fault */
  CHECK_IS (next (&b, ERROR_REPLY), 2000);

  backoff_init (&b, 50, 50, 50);                /* limits below the first wait win */
  CHECK_IS (next (&b, UNANSWERED), 50);
  CHECK_IS (next (&b, REFUSED), 50);
  return done ("backoff");
}
