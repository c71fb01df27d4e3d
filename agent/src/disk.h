/* disk: one disk and all that is known of it; what the threads share.
 *
 * Threads: nbdkit's workers call disk_read, disk_change, disk_flush (request.c), queue a request and sleep until it is
 * answered. One engine thread (engine.c) owns the session and every libnbd handle. One clerk thread (control.c) answers
 * the control socket and writes the journal, so that neither can hold up the engine.
 * Everything below `lock` is protected by it; `session` and `backoff` belong to the engine thread alone.
 */
#ifndef NETDISK_DISK_H
#define NETDISK_DISK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "backoff.h"
#include "clock.h"
#include "overlap.h"
#include "replay.h"
#include "retain.h"
#include "session.h"

struct options {
  const char *name;             /* for the journal and the status */
  const char *socket;           /* either a unix socket, … */
  char **command;               /* … or a command, NULL-terminated */
  const char *export;           /* NBD export name */
  const char *retain_file;      /* NULL: anonymous memory */
  const char *control;          /* control socket; NULL: none */
  const char *on_disconnect;    /* see orphan.h; NULL: nothing */
  uint64_t retain;              /* bytes; 0: retain nothing (for tests: loses data) */
  uint32_t chunk;               /* bytes: requests are split to at most this */
  unsigned connections, depth;  /* depth: requests in flight at most */
  unsigned timeout_s;           /* without movement: the session is stalled */
  unsigned dial_timeout_s;
  unsigned max_wait_s, max_wait_refused_s, max_wait_error_s;    /* back-off limits */
  unsigned stop_timeout_s;      /* for the last flush when nbdkit ends */
  uint32_t identify;            /* how many first bytes are compared */
  uint64_t grow_to;             /* bytes: a known disk that is smaller takes this size if the server shows just that */
  bool lock_memory;
  bool one_flush;               /* the server's word for a sync is proof by itself; see finish_confirmed in send.c */
};

enum op { OP_READ, OP_WRITE, OP_TRIM, OP_ZERO, OP_FLUSH, OP_PROBE };

/* A worker that sleeps until its requests are answered; lies on its stack. */
struct waiter {
  pthread_cond_t cond;
  unsigned left;        /* requests not answered */
  int error;            /* errno to pass up, 0: none; only after `fail` or `abort` */
  bool need_flush;      /* a FUA write went without FUA (see send.c): flush before it is answered */
};

/* One request to the server. A change's lies beside its slot in `retain`, others come from a pool. */
struct request {
  TAILQ_ENTRY (request) link;   /* on pending, sent or the pool's free list */
  enum op op;
  uint32_t length, flags;       /* flags: LIBNBD_CMD_FLAG_* */
  uint64_t offset;
  void *buffer;
  struct waiter *waiter;        /* NULL: nobody waits (our own, or kept and being replayed) */
  struct disk *owner;           /* for the reply */
  bool weak_fua;                /* FUA was left out; see transmit_change in send.c */
  bool answered;                /* a sync: the server said that it is done, but that alone proves nothing; see send.c */
  uint64_t sync;                /* which sync it is, counted when it was sent; 0: none */
  uint64_t confirmed_by;        /* answered: the newest sync sent by then; all up to it must be answered, too. 0: none */

  int error_reply;              /* errno of the server's that parked us; 0: none */
  uint64_t mark;                /* OP_FLUSH: for retain_flushed; OP_PROBE: head_changes when it was sent; see send.c */
  uint64_t since_ms;            /* when it was queued */
};
TAILQ_HEAD (requests, request);

#define POOL 1024               /* reads and flushes at once */
#define JOURNAL_LINES 32
#define ANSWER_BYTES 256
#define JOURNAL_BYTES (FAULT_BYTES + ANSWER_BYTES + 32)         /* "parked: " and why; or what was done, too */

enum state { STARTING, UP, REPLAYING, PARKED, ENDED };

/* A control command on its way to the engine and its answer on the way back. */
enum verb { NO_VERB, VERB_RESUME, VERB_FAIL, VERB_ABORT, VERB_STOP };

struct disk {
  struct options options;
  struct session session;       /* the engine's, … */
  struct backoff backoff;       /* … and so is this */

  pthread_mutex_t lock;
  pthread_cond_t room;          /* room was made; or the state is ENDED */
  pthread_cond_t known;         /* the export is known, and as large as it will be; or the state is ENDED */
  bool growing;                 /* grow_to is more than we know, and no session has shown yet whether the server has it */
  int kick_fd;                  /* eventfd that wakes the engine */
  bool engine_asleep;

  struct retain retain;
  struct replay replay;
  struct overlap in_flight;     /* changes sent and not answered */
  struct request *change;       /* one for each retain slot */
  struct request *pool;
  struct requests pending, sent, pool_free;
  struct request own_flush, probe;      /* of our own, at most one each */
  bool own_flush_busy, probe_busy, own_flush_error_reply;
  uint64_t own_flush_sent_ms;   /* when the last one was sent, in whatever session */
  uint8_t probe_buffer[IDENTITY_BYTES];
  uint64_t head_changes;        /* changes of the first bytes that were ever sent */
  unsigned sent_count;
  uint64_t syncs;               /* FLUSHes and changes with FUA that were ever sent */
  uint64_t ticket_next, ticket_served;  /* for room, in order of arrival */
  unsigned room_waiters;

  /* what the status shows */
  enum state state;
  enum failure why;             /* while PARKED */
  int head_error;               /* while PARKED: the session's that has ended, or could not begin */
  char reason[FAULT_BYTES];     /* while PARKED: why; else of the last time */
  uint64_t since_ms;            /* of this state */
  uint64_t next_dial_ms;        /* while PARKED: when we dial next, 0: now */
  uint64_t sessions, dials, faults, lost_bytes, read_bytes, written_bytes;
  uint64_t longest_park_ms;
  unsigned connections_up;

  /* the clerk's */
  pthread_cond_t answered;
  enum verb verb;
  char answer[ANSWER_BYTES];
  char journal[JOURNAL_LINES][JOURNAL_BYTES];
  unsigned journal_from, journal_count, journal_dropped;
  int clerk_fd;                 /* eventfd that wakes the clerk */
  int control_fd;               /* listening; -1: none */
  pthread_t engine, clerk;
  bool engine_runs, clerk_runs;
};

/* Allocates all there will be, opens the retain file. False: TEXT says why. No thread runs yet. */
bool disk_init (struct disk *d, const struct options *o, char *text, size_t size);
bool disk_start (struct disk *d, char *text, size_t size);

/* Flushes if a session is up (within stop_timeout_s), ends threads and session, frees. No request may be waiting. */
void disk_stop (struct disk *d);

/* Blocks until the export is known (at once if the retain file knows it, and it is not to grow). False: aborted. */
bool disk_wait_known (struct disk *d);

/* The way of a request. They block for as long as it takes; 0, or an errno that somebody chose by `fail` or `abort`, or
 * EINVAL for a request that the export's block size forbids. FLAGS: LIBNBD_CMD_FLAG_*. */
int disk_read (struct disk *d, void *buffer, uint32_t length, uint64_t offset);
int disk_change (struct disk *d, enum op op, const void *data, uint32_t length, uint64_t offset, uint32_t flags);
int disk_flush (struct disk *d);

/* Under the lock. */
void disk_set_state (struct disk *d, enum state s, const char *why);
/* A line for the journal; the clerk writes it, for a full pipe must not hold up the engine. */
void disk_journal (struct disk *d, const char *text);
void disk_answer (struct request *r, int error);
void disk_free_request (struct disk *d, struct request *r);
void disk_made_room (struct disk *d);
void disk_kick (struct disk *d);
bool is_change (const struct request *r);

#endif
