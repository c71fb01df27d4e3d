/* backoff: how long to wait before the next attempt.
 *
 * For ever, with jitter, each wait longer than the last up to a limit. Three kinds of failure, three paces: where nobody
 * answered, asking again costs nobody anything; where it was refused, asking often gets a client banned (fail2ban,
 * PerSourcePenalties); where the server answered a request with an error, asking replays data. A connection alone proves
 * nothing, so it resets nothing: only a session that was of use does. Pure: the caller has the clock and the dice.
 */
#ifndef NETDISK_BACKOFF_H
#define NETDISK_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

enum failure { UNANSWERED, REFUSED, ERROR_REPLY, FAILURE_KINDS };

struct pace { uint32_t first_ms, max_ms; };

struct backoff {
  struct pace pace[FAILURE_KINDS];
  uint32_t next_ms[FAILURE_KINDS];
};

/* unanswered_max_ms, refused_max_ms, error_max_ms: the limits, in FAILURE_KINDS order. */
void backoff_init (struct backoff *b, uint32_t unanswered_max_ms, uint32_t refused_max_ms, uint32_t error_max_ms);

/* The wait in ms after a failure. DICE is random in [0, 1): the wait is 0.75 to 1.25 of the nominal one. */
uint32_t backoff_next (struct backoff *b, enum failure kind, double dice);

/* A session ended that had answered requests of the kernel or completed a flush. WHY it ended: after an error reply that
 * pace is kept unless the session lived for longer than its limit, or a full disk would be replayed to in a tight loop. */
void backoff_session_was_useful (struct backoff *b, enum failure why, uint64_t lived_ms);

/* The operator asked for an attempt now: all paces begin anew. */
void backoff_reset (struct backoff *b);

#endif
