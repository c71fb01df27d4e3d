/* stall: is this connection still moving?
 *
 * A slow link is not a stalled one, so nothing here measures how long a request takes. Any byte sent or received and any
 * reply is movement. When nothing has moved for a while, a probe (a small read) makes a live server answer; when nothing
 * has moved for the whole time-out, the session is given up. Time in which nobody looked (the host was suspended, the
 * process stopped or starved) counts for nobody. Pure: the caller has the clock.
 */
#ifndef NETDISK_STALL_H
#define NETDISK_STALL_H

#include <stdint.h>

enum stall_verdict { MOVING, PROBE_DUE, STALLED };

struct stall {
  uint64_t timeout_ms;  /* without movement: the session is dead */
  uint64_t probe_ms;    /* without movement: ask */
  uint64_t moved_ms;    /* when something last moved */
  uint64_t looked_ms;   /* when stall_check was last called */
  uint64_t bytes;       /* the connection's counter at that time */
};

/* A session begins, or was silent for a good reason until now. */
void stall_start (struct stall *s, uint64_t timeout_ms, uint64_t now_ms);

/* To be called at least once a second. BYTES: sent and received on the connection so far. */
enum stall_verdict stall_check (struct stall *s, uint64_t bytes, uint64_t now_ms);

#endif
