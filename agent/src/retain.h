/* retain: the copy of every acknowledged change, until a FLUSH has made it safe.
 *
 * Life of a change: reserved (room taken, data copied in, not answered yet) → kept (acknowledged; the kernel has forgotten
 * it, so this copy is the only one if the server loses power) → free (a FLUSH completed on the session that had
 * acknowledged it). When a session is lost every kept change must be sent again, in the order of its first
 * acknowledgement.
 *
 * Everything lies in one mapped area, taken in full at the start: a file (in /run, so that it outlives this process and
 * not the host) or anonymous memory. What another process must know is in the file; lists and counters are in this
 * process. A process that is killed at any instruction leaves a file that retain_open takes up.
 *
 * Not thread safe: the caller holds its lock, except while it copies data into a reserved slot. No function here allocates
 * or blocks, but for retain_open and retain_close.
 */
#ifndef NETDISK_RETAIN_H
#define NETDISK_RETAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "identity.h"
#include "pages.h"

#define NO_SLOT UINT32_MAX

enum change { CHANGE_WRITE = 1, CHANGE_TRIM = 2, CHANGE_ZERO = 3 };

/* In the file: layout and meaning change only with RETAIN_VERSION. */
struct retain_slot {
  uint64_t seq;         /* order of first acknowledgement, from 1 */
  uint64_t offset;      /* bytes */
  uint32_t length;      /* bytes, > 0 */
  uint32_t page;        /* the data's first page; NO_PAGE for TRIM and ZERO */
  uint32_t flags;       /* LIBNBD_CMD_FLAG_* to send again, without FUA */
  uint8_t op;           /* enum change */
  uint8_t kept;         /* 1: acknowledged and not yet safe */
  uint8_t unused[2];
};

enum entry_state { ENTRY_FREE, ENTRY_RESERVED, ENTRY_ACKED, ENTRY_REPLAY };

struct retain_entry {
  TAILQ_ENTRY (retain_entry) kept;      /* by slot->seq */
  TAILQ_ENTRY (retain_entry) place;     /* ENTRY_FREE: free list; ENTRY_ACKED: by ack */
  enum entry_state state;
  uint64_t ack;                         /* order of acknowledgement in this session */
};
TAILQ_HEAD (retain_list, retain_entry);

struct retain_file;

struct retain {
  int fd;                       /* -1: anonymous */
  char *path;                   /* NULL: anonymous */
  size_t mapped;                /* bytes */
  struct retain_file *file;
  struct retain_slot *slot;
  char *data;
  uint32_t slots;
  struct retain_entry *entry;   /* one for each slot */
  struct pages pages;
  struct retain_list free, kept, acked;
  uint64_t seq, acks;
  uint64_t kept_bytes;          /* lengths of all kept changes: what is not safe, data or none */
  uint32_t kept_count;
};

/* LIMIT: bytes for data. PATH: the file, or NULL. A file that holds kept changes keeps its size whatever the limit says,
 * one that does not is made anew, with the identity it had. The kept changes found are ENTRY_REPLAY. False: *ERROR_TEXT
 * (of SIZE) says why and what to do. */
bool retain_open (struct retain *r, const char *path, uint64_t limit, char *error_text, size_t size);

/* Unmaps; deletes the file if nothing is kept in it. */
void retain_close (struct retain *r);

/* Room for a change, LENGTH > 0; NO_SLOT: wait for a flush. */
uint32_t retain_reserve (struct retain *r, enum change op, uint64_t offset, uint32_t length, uint32_t flags);

/* Where the data of a WRITE lies; NULL for TRIM and ZERO. */
void *retain_data (struct retain *r, uint32_t slot);

/* The server answered. To be called before the answer goes up. */
void retain_acked (struct retain *r, uint32_t slot);

/* No more need of it: safe by FUA, or never acknowledged, or nobody goes on with the disk. */
void retain_drop (struct retain *r, uint32_t slot);

/* Given up by the operator, who goes on with the disk: retain_lost says so from then on. */
void retain_give_up (struct retain *r, uint32_t slot);

/* To be taken when a FLUSH is sent, and given back when it has completed on the same session: every change acknowledged
 * before the FLUSH was sent is safe, and free. Changes acknowledged later are not. */
uint64_t retain_mark (const struct retain *r);
void retain_flushed (struct retain *r, uint64_t mark);

/* The session is over: nothing that it acknowledged is safe. All kept changes become ENTRY_REPLAY. */
void retain_session_lost (struct retain *r);

/* Does a kept change overlap this range? */
bool retain_overlaps (const struct retain *r, uint64_t offset, uint64_t length);

/* The slot of an entry, and kept changes in order. */
uint32_t retain_index (const struct retain *r, const struct retain_entry *e);
#define RETAIN_FOREACH_KEPT(e, r) TAILQ_FOREACH (e, &(r)->kept, kept)

/* Changes were given up and the kernel has not been told yet; survives this process. */
bool retain_lost (const struct retain *r);
void retain_told (struct retain *r);

/* What is known of the disk; survives this process. */
struct identity *retain_identity (struct retain *r);

/* Bytes of room taken and in all. */
uint64_t retain_used (const struct retain *r);
uint64_t retain_limit (const struct retain *r);

#endif
