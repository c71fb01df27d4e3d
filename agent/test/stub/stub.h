/* stub: send.c and request.c without libnbd, engine and nbdkit. What they send lies in `wire` until a test answers it. */
#ifndef NETDISK_STUB_H
#define NETDISK_STUB_H

#include <errno.h>
#include <string.h>

#include "disk.h"
#include "send.h"
#include "unit.h"

#define MIB (1u << 20)
#define WIRE 1024

struct on_wire {
  enum op op;
  const void *from;             /* a write's data */
  void *to;                     /* a read's */
  uint64_t offset, length;
  uint32_t flags;
  nbd_completion_callback done;
};

static struct disk disk;
static struct on_wire wire[WIRE];
static unsigned wired;          /* how many were sent since the last new_disk or end_session */
static bool answer_at_once;     /* within the call that sends it, which libnbd may do */
static bool congested;          /* what is sent now would wait */

static inline void
reply (unsigned i, int error)
{
  wire[i].done.callback (wire[i].done.user_data, &error);
}

static inline int64_t
put (struct on_wire w)
{
  CHECK (wired < WIRE);
  wire[wired++] = w;
  if (answer_at_once)
    reply (wired - 1, 0);
  return wired;
}

int64_t
nbd_aio_pread (struct nbd_handle *h, void *buffer, size_t length, uint64_t offset, nbd_completion_callback done,
               uint32_t flags)
{
  (void) h;
  return put ((struct on_wire) { OP_READ, NULL, buffer, offset, length, flags, done });
}

int64_t
nbd_aio_pwrite (struct nbd_handle *h, const void *buffer, size_t length, uint64_t offset, nbd_completion_callback done,
                uint32_t flags)
{
  (void) h;
  return put ((struct on_wire) { OP_WRITE, buffer, NULL, offset, length, flags, done });
}

int64_t
nbd_aio_trim (struct nbd_handle *h, uint64_t length, uint64_t offset, nbd_completion_callback done, uint32_t flags)
{
  (void) h;
  return put ((struct on_wire) { OP_TRIM, NULL, NULL, offset, length, flags, done });
}

int64_t
nbd_aio_zero (struct nbd_handle *h, uint64_t length, uint64_t offset, nbd_completion_callback done, uint32_t flags)
{
  (void) h;
  return put ((struct on_wire) { OP_ZERO, NULL, NULL, offset, length, flags, done });
}

int64_t
nbd_aio_flush (struct nbd_handle *h, nbd_completion_callback done, uint32_t flags)
{
  (void) h;
  return put ((struct on_wire) { OP_FLUSH, NULL, NULL, 0, 0, flags, done });
}

const char *
nbd_get_error (void)
{
  return NULL;
}

struct nbd_handle *
session_connection (struct session *s)
{
  (void) s;
  return NULL;
}

bool
session_sends_at_once (const struct session *s)
{
  (void) s;
  return !congested;
}

static inline void
go (void)
{
  pthread_mutex_lock (&disk.lock);
  send_all (&disk);
  pthread_mutex_unlock (&disk.lock);
}

/* The engine is asked to look: with answer_at_once it does so here. Under the lock. */
void
disk_kick (struct disk *d)
{
  if (answer_at_once)
    send_all (d);
}

/* A disk of 1 GiB that is up, its first bytes known to be '0's. */
static inline void
new_disk (uint64_t retain)
{
  static const struct geometry g = { .size = 1024 * MIB, .can_flush = 1, .can_fua = 1, .can_trim = 1, .can_zero = 1 };
  struct identity *id;
  char text[256];

  if (disk.change)
    retain_close (&disk.retain);
  free (disk.change);
  free (disk.pool);
  disk = (struct disk) { .options = { .retain = retain, .depth = 128, .chunk = 256 << 10 }, .state = UP };
  wired = 0;
  pthread_mutex_init (&disk.lock, NULL);
  pthread_cond_init (&disk.room, NULL);
  TAILQ_INIT (&disk.pending);
  TAILQ_INIT (&disk.sent);
  TAILQ_INIT (&disk.pool_free);
  CHECK (retain_open (&disk.retain, NULL, retain, text, sizeof text));
  disk.change = calloc (disk.retain.slots, sizeof *disk.change);
  disk.pool = calloc (POOL, sizeof *disk.pool);
  CHECK (disk.change && disk.pool);
  for (int i = 0; i < POOL; i++)
    TAILQ_INSERT_TAIL (&disk.pool_free, &disk.pool[i], link);
  replay_init (&disk.replay, &disk.retain);
  replay_begin (&disk.replay);
  id = retain_identity (&disk.retain);
  identity_learn_geometry (id, &g, IDENTITY_BYTES);
  memset (disk.probe_buffer, '0', IDENTITY_BYTES);
  identity_learn_head (id, disk.probe_buffer);
}

/* The end of a session and the begin of the next, as the engine has it. */
static inline void
end_session (void)
{
  pthread_mutex_lock (&disk.lock);
  requeue_all (&disk);
  pthread_mutex_unlock (&disk.lock);
  disk.session.fault[0] = 0;
  wired = 0;
}

static inline void
ask (struct request *r, struct waiter *w)
{
  w->left++;
  r->waiter = w;
  TAILQ_INSERT_TAIL (&disk.pending, r, link);
}

/* The kernel asks; W is answered when w->left is 0. False: no room. */
static inline bool
ask_write (uint64_t offset, uint32_t length, uint32_t flags, const void *data, struct waiter *w)
{
  uint32_t slot = retain_reserve (&disk.retain, CHANGE_WRITE, offset, length, flags & ~LIBNBD_CMD_FLAG_FUA);
  struct request *r;

  if (slot == NO_SLOT)
    return false;
  r = &disk.change[slot];
  *r = (struct request) {
    .op = OP_WRITE, .buffer = retain_data (&disk.retain, slot), .length = length, .offset = offset, .flags = flags,
  };
  if (data)
    memcpy (r->buffer, data, length);
  ask (r, w);
  return true;
}

static inline void
ask_flush (struct waiter *w)
{
  struct request *r = TAILQ_FIRST (&disk.pool_free);

  TAILQ_REMOVE (&disk.pool_free, r, link);
  *r = (struct request) { .op = OP_FLUSH };
  ask (r, w);
}

#endif
