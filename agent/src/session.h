/* session: connections to the server, from dialling to the end.
 *
 * All of it is the engine thread's. A session is all its connections: when one is lost, stalled or wrong, it is over.
 */
#ifndef NETDISK_SESSION_H
#define NETDISK_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include <libnbd.h>

#include "backoff.h"
#include "stall.h"
#include "transport.h"

#define MAX_CONNECTIONS 8
#define FAULT_BYTES (WORDS_BYTES + 32)  /* what was done, and the words */

struct disk;

struct session {
  struct nbd_handle *connection[MAX_CONNECTIONS];
  struct transport transport[MAX_CONNECTIONS];
  unsigned count, next;         /* next: round robin */
  bool closing;                 /* replies that come now are to be ignored */
  bool multi_conn;              /* this session's server says that a FLUSH on one connection covers the writes on all */
  bool useful;                  /* a request of the kernel or a flush was answered */
  uint64_t began_ms;
  struct stall stall;
  enum failure why;             /* of the fault */
  char fault[FAULT_BYTES];      /* "": all is well */
  int head_error;               /* what the server answered our read of the first bytes with; 0: it did not, or well */
};

/* Notes what ended the session; the first fault stays. */
void session_fault (struct session *s, enum failure why, const char *format, ...)
  __attribute__ ((format (printf, 3, 4)));

/* Connects, and checks that it is the disk we know. False: fault says why; session_close is due all the same. */
bool session_dial (struct disk *d);

/* Waits up to MS for something to happen and lets libnbd work. A lost connection becomes a fault. */
void session_poll (struct disk *d, int ms);

/* Hears what the commands say, and reaps those that were ended. Now and then; see transport_listen. */
void session_listen (struct session *s);

/* Bytes sent and received on all connections. */
uint64_t session_bytes (const struct session *s);

/* The connection for the next request. */
struct nbd_handle *session_connection (struct session *s);

/* Would it go out at once? Else libnbd is in the midst of another request or of a reply, and would put it in a queue. */
bool session_sends_at_once (const struct session *s);

/* Ends it at once: kills commands, waits for nothing. Never fails. */
void session_close (struct session *s);

#endif
