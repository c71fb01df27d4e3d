/* replay: sends what is kept again, to a server that may have lost it.
 *
 * In the order of first acknowledgement, with a small window, and a FLUSH each time a window's worth has been
 * acknowledged: what a FLUSH made safe is never sent again, so a link that never lives long enough for all of it gets
 * through all the same. A session that dies before its first FLUSH halves the window, each FLUSH doubles it.
 *
 * Pure, on top of retain; the caller sends and holds the lock.
 */
#ifndef NETDISK_REPLAY_H
#define NETDISK_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "retain.h"

#define REPLAY_WINDOW_MAX (2u << 20)
#define REPLAY_WINDOW_MIN (128u << 10)

struct replay {
  struct retain *retain;
  struct retain_entry *next;    /* the next to send; NULL: all are sent */
  uint32_t in_flight;           /* changes sent and not answered */
  uint64_t in_flight_bytes;
  uint64_t unflushed_bytes;     /* answered, no FLUSH sent since */
  uint32_t window;              /* bytes */
  bool flushed;                 /* this session has completed a FLUSH */
  uint64_t total_bytes;         /* sent again, ever */
};

void replay_init (struct replay *p, struct retain *r);

/* A new session: everything kept is to be sent again. Call retain_session_lost first. */
void replay_begin (struct replay *p);

/* The next change to send, or NO_SLOT: the window is full, or all are sent. replay_sent when it went out. */
uint32_t replay_next (const struct replay *p);
void replay_sent (struct replay *p, uint32_t slot);

/* The server answered it. The caller calls retain_acked. */
void replay_answered (struct replay *p, uint32_t slot);

/* The operator gave this change up; call before retain_drop. Only while no session is up. */
void replay_forget (struct replay *p, uint32_t slot);

/* Is it time for a FLUSH? replay_flush_sent, and replay_flushed when it completed. */
bool replay_flush_due (const struct replay *p);
void replay_flush_sent (struct replay *p);
void replay_flushed (struct replay *p);

/* Is everything sent and answered? Only then may new requests go out: until then reads could see old data. */
bool replay_done (const struct replay *p);

#endif
