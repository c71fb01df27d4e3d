#include "send.h"

#include <errno.h>
#include <string.h>

#define NOTHING_READ UINT64_MAX         /* a probe's mark: what it read is not to be learned */
#define LOOK_PAST 16    /* requests that wait for an overlapping one and are overtaken by others */
#define MUCH_KEPT (8u << 20)            /* bytes: see kept_for_long */
#define OFTEN_MS 1000

static const char *
op_name (enum op op)
{
  static const char *const names[] = { "read", "write", "trim", "zero", "flush", "probe" };
  return names[op];
}

static uint32_t
slot_of (const struct disk *d, const struct request *r)
{
  return (uint32_t) (r - d->change);
}

/* The server answered it with an error. It stays where it is: the end of the session lines it up again. */
static void
note_error_reply (struct disk *d, struct request *r, int error)
{
  if (error == ENOTCONN)                /* libnbd's own, for all that was in flight; session_poll says why */
    return;
  if (error == ESHUTDOWN) {             /* the server is going away: a fault of the link, as it were */
    session_fault (&d->session, UNANSWERED, "the server is shutting down");
    return;
  }
  pthread_mutex_lock (&d->lock);
  r->error_reply = error;
  if (r == &d->own_flush)
    d->own_flush_error_reply = true;
  pthread_mutex_unlock (&d->lock);
  if (is_change (r) || r->op == OP_READ)
    session_fault (&d->session, ERROR_REPLY, "the server answered %s of %u bytes at %ju with: %s", op_name (r->op),
                   r->length, (uintmax_t) r->offset, strerror (error));
  else
    session_fault (&d->session, ERROR_REPLY, "the server answered %s with: %s", op_name (r->op), strerror (error));
}

/* A change was answered: it is kept, unless it was sent with FUA and so is safe already. */
static void
change_done (struct disk *d, struct request *r)
{
  uint32_t slot = slot_of (d, r);
  bool replayed = d->retain.slot[slot].kept;

  overlap_remove (&d->in_flight, r->offset, r->length);
  if (replayed)
    replay_answered (&d->replay, slot);
  else
    d->written_bytes += r->op == OP_WRITE ? r->length : 0;
  if (d->options.retain == 0 || (!replayed && (r->flags & LIBNBD_CMD_FLAG_FUA) && !r->weak_fua)) {
    retain_drop (&d->retain, slot);
    disk_made_room (d);
  }
  else
    retain_acked (&d->retain, slot);    /* before the answer: a killed process must not forget it */
  disk_answer (r, 0);
}

static void
flush_done (struct disk *d, struct request *r)
{
  retain_flushed (&d->retain, r->mark);
  d->own_flush_error_reply = false;
  if (!replay_done (&d->replay) || !d->replay.flushed)
    replay_flushed (&d->replay);
  disk_made_room (d);
  disk_answer (r, 0);
  disk_free_request (d, r);
}

bool
head_in_doubt (struct disk *d)
{
  uint32_t bytes = retain_identity (&d->retain)->head_bytes;
  const struct request *r;

  TAILQ_FOREACH (r, &d->pending, link)
    if (is_change (r) && ranges_overlap (r->offset, r->length, 0, bytes))
      return true;
  return overlap_hits (&d->in_flight, 0, bytes) || retain_overlaps (&d->retain, 0, bytes);
}

/* What was read is the disk's first bytes for certain only if no change to them has been sent in the meantime. */
static void
probe_done (struct disk *d, struct request *r)
{
  struct identity *id = retain_identity (&d->retain);

  if (id->head_bytes > 0 && !id->head_known && r->mark == d->head_changes && r->length == id->head_bytes)
    identity_learn_head (id, d->probe_buffer);
  disk_free_request (d, r);
}

/* A request is done. */
static void
finish (struct disk *d, struct request *r)
{
  d->session.useful |= r->waiter != NULL || r->op == OP_FLUSH;
  r->error_reply = 0;
  TAILQ_REMOVE (&d->sent, r, link);
  d->sent_count--;
  if (is_change (r))
    change_done (d, r);
  else if (r->op == OP_FLUSH)
    flush_done (d, r);
  else if (r->op == OP_PROBE)
    probe_done (d, r);
  else {
    d->read_bytes += r->length;
    disk_answer (r, 0);
    disk_free_request (d, r);
  }
}

/* Syncs (FLUSH, and a change with FUA) end in fsync on the server, all of them on one descriptor. Of those under way
 * together Linux tells only one that data could not be written; the others are told 0, and may be answered first. So what
 * a sync answers is believed once all that were in flight at that moment have been answered well, too. One sent later
 * can't have taken its error, so the wait has an end; and a sync that is alone is done at once.
 * With several connections this is for all of them together: some servers have one descriptor for all. Where each has its
 * own, each is told of every error, and to wait costs a moment and nothing else. With one_flush the server itself sees to it
 * that no two are under way together. */
static void
finish_confirmed (struct disk *d)
{
  uint64_t unanswered = UINT64_MAX;     /* the oldest */
  struct request *r, *next;

  TAILQ_FOREACH (r, &d->sent, link)
    if (r->sync != 0 && !r->answered && r->sync < unanswered)
      unanswered = r->sync;
  for (r = TAILQ_FIRST (&d->sent); r; r = next) {
    next = TAILQ_NEXT (r, link);
    if (r->answered && r->confirmed_by < unanswered)
      finish (d, r);
  }
}

/* A reply. libnbd calls this in the engine thread, without our lock. */
static int
on_reply (void *opaque, int *error)
{
  struct request *r = opaque;
  struct disk *d = r->owner;

  if (d->session.closing)
    return 1;
  if (*error && (r->op != OP_PROBE || *error == ENOTCONN)) {
    note_error_reply (d, r, *error);
    return 1;
  }
  if (*error)                           /* to a probe, any reply at all is a sign of life; but nothing was read */
    r->mark = NOTHING_READ;
  pthread_mutex_lock (&d->lock);
  if (r->sync == 0)
    finish (d, r);
  else if (d->session.fault[0] == 0) {  /* after a fault nothing is called safe: all that is kept is sent again */
    r->answered = true;
    r->confirmed_by = d->options.one_flush ? 0 : d->syncs;
    finish_confirmed (d);
  }
  pthread_mutex_unlock (&d->lock);
  return 1;
}

/* Hands one request to libnbd. The caller has taken it off its list. */
static void
transmit (struct disk *d, struct request *r, uint32_t flags)
{
  struct nbd_handle *h = session_connection (&d->session);
  nbd_completion_callback callback = { .callback = on_reply, .user_data = r };
  int64_t cookie = -1;

  r->owner = d;
  r->sync = r->op == OP_FLUSH || (flags & LIBNBD_CMD_FLAG_FUA) ? ++d->syncs : 0;
  r->answered = false;
  TAILQ_INSERT_TAIL (&d->sent, r, link);
  d->sent_count++;
  pthread_mutex_unlock (&d->lock);      /* replies may come in here */
  switch (r->op) {
  case OP_READ:
  case OP_PROBE:
    cookie = nbd_aio_pread (h, r->buffer, r->length, r->offset, callback, 0);
    break;
  case OP_WRITE:
    cookie = nbd_aio_pwrite (h, r->buffer, r->length, r->offset, callback, flags);
    break;
  case OP_TRIM:
    cookie = nbd_aio_trim (h, r->length, r->offset, callback, flags);
    break;
  case OP_ZERO:
    cookie = nbd_aio_zero (h, r->length, r->offset, callback, flags);
    break;
  case OP_FLUSH:
    cookie = nbd_aio_flush (h, callback, 0);
    break;
  }
  pthread_mutex_lock (&d->lock);
  if (cookie == -1)
    session_fault (&d->session, UNANSWERED, "sending: %s", nbd_get_error () ? nbd_get_error () : "?");
}

static void
transmit_change (struct disk *d, struct request *r)
{
  struct identity *id = retain_identity (&d->retain);
  uint32_t flags = r->flags;

  if (identity_covers (id, r->offset)) {
    identity_forget_head (id);
    d->head_changes++;
  }
  /* A FUA write is safe once answered, and not kept. But an older kept change of the same place would be replayed over
   * it after a crash of the server. Then FUA is left out, it is kept like any other, and a flush follows. */
  r->weak_fua = r->waiter && (flags & LIBNBD_CMD_FLAG_FUA) && retain_overlaps (&d->retain, r->offset, r->length);
  if (r->weak_fua)
    flags &= ~LIBNBD_CMD_FLAG_FUA;
  overlap_add (&d->in_flight, r->offset, r->length);    /* never full: depth is less than OVERLAP_MAX */
  transmit (d, r, flags);
}

static void
send_flush (struct disk *d, struct request *r)
{
  r->mark = retain_mark (&d->retain);
  if (!replay_done (&d->replay))
    replay_flush_sent (&d->replay);
  transmit (d, r, 0);
}

/* After an outage nothing new goes out before the replay is over, so what is kept is what everybody will wait for: the
 * changes of about a second, if the link takes longer than that for so many. A faster one comes to half of the area before,
 * and flushes no more often than for that. Looked at when something was acknowledged, and at the engine's own ticks: nothing
 * else makes it due. */
static bool
kept_for_long (const struct disk *d)
{
  return d->retain.kept_bytes >= MUCH_KEPT && now_ms () - d->own_flush_sent_ms >= OFTEN_MS;
}

/* Is a flush of our own due: to make room in time, to keep the next replay short, or to get on with this one? */
static bool
own_flush_due (const struct disk *d)
{
  const struct retain *r = &d->retain;

  if (d->own_flush_busy || TAILQ_EMPTY (&r->acked))
    return false;
  if (!replay_done (&d->replay))
    return replay_flush_due (&d->replay);
  return d->room_waiters > 0 || d->verb == VERB_STOP || retain_used (r) > retain_limit (r) / 2 ||
    r->kept_count > r->slots / 2 || kept_for_long (d);
}

/* The next request of the kernel's that may go: no change that overlaps one in flight, nor one before it. Reads and flushes
 * overtake changes: they are small on the way there, somebody sleeps until they are answered, and neither says anything of
 * a change that is not answered yet. */
static struct request *
next_pending (struct disk *d)
{
  struct { uint64_t offset; uint32_t length; } waits[LOOK_PAST];
  unsigned waiting = 0;
  struct request *r;

  TAILQ_FOREACH (r, &d->pending, link)
    if (!is_change (r))
      return r;
  TAILQ_FOREACH (r, &d->pending, link) {
    bool blocked = overlap_hits (&d->in_flight, r->offset, r->length);
    for (unsigned i = 0; i < waiting && !blocked; i++)
      blocked = ranges_overlap (waits[i].offset, waits[i].length, r->offset, r->length);
    if (!blocked)
      return r;
    if (waiting == LOOK_PAST)
      return NULL;
    waits[waiting].offset = r->offset;
    waits[waiting++].length = r->length;
  }
  return NULL;
}

static bool
send_replay (struct disk *d)
{
  uint32_t slot = replay_next (&d->replay);
  const struct retain_slot *s;
  struct request *r;

  if (slot == NO_SLOT)
    return false;
  s = &d->retain.slot[slot];
  if (overlap_hits (&d->in_flight, s->offset, s->length))
    return false;
  r = &d->change[slot];
  *r = (struct request) {
    .op = s->op == CHANGE_WRITE ? OP_WRITE : s->op == CHANGE_TRIM ? OP_TRIM : OP_ZERO,
    .buffer = retain_data (&d->retain, slot), .length = s->length, .offset = s->offset, .flags = s->flags,
    .since_ms = now_ms (), .error_reply = r->error_reply,
  };
  replay_sent (&d->replay, slot);
  transmit_change (d, r);
  return true;
}

static bool
send_pending (struct disk *d)
{
  struct request *r = next_pending (d);

  if (!r)
    return false;
  TAILQ_REMOVE (&d->pending, r, link);
  if (is_change (r))
    transmit_change (d, r);
  else if (r->op == OP_FLUSH)
    send_flush (d, r);
  else
    transmit (d, r, 0);
  return true;
}

void
send_all (struct disk *d)
{
  while (d->session.fault[0] == 0 && d->sent_count < d->options.depth) {
    if (own_flush_due (d)) {
      d->own_flush = (struct request) { .op = OP_FLUSH };
      d->own_flush_sent_ms = now_ms ();
      d->own_flush_busy = true;
      send_flush (d, &d->own_flush);
    }
    /* libnbd sends in the order in which it was given them: what it can't send yet stays here, where it can be overtaken. */
    if (!session_sends_at_once (&d->session))
      break;
    if (!(replay_done (&d->replay) ? send_pending (d) : send_replay (d)))
      break;
  }
}

void
send_probe (struct disk *d)
{
  const struct identity *id = retain_identity (&d->retain);
  uint32_t length = id->head_bytes ? id->head_bytes : id->geometry.block_min > 512 ? id->geometry.block_min : 512;

  if (d->probe_busy || d->session.fault[0] != 0)
    return;
  if (length > IDENTITY_BYTES || length > id->geometry.size)
    length = (uint32_t) (id->geometry.size < IDENTITY_BYTES ? id->geometry.size : IDENTITY_BYTES);
  d->probe_busy = true;
  d->probe = (struct request) {
    .op = OP_PROBE, .buffer = d->probe_buffer, .length = length, .since_ms = now_ms (),
    .mark = head_in_doubt (d) ? NOTHING_READ : d->head_changes,
  };
  transmit (d, &d->probe, 0);
}

bool
any_error_reply (const struct disk *d)
{
  const struct retain_entry *e;
  const struct request *r;

  if (d->own_flush_error_reply)
    return true;
  TAILQ_FOREACH (r, &d->pending, link)
    if (r->error_reply)
      return true;
  TAILQ_FOREACH (r, &d->sent, link)
    if (r->error_reply)
      return true;
  RETAIN_FOREACH_KEPT (e, &d->retain)
    if (d->change[retain_index (&d->retain, e)].error_reply)
      return true;
  return false;
}

void
requeue_all (struct disk *d)
{
  struct requests again = TAILQ_HEAD_INITIALIZER (again);
  struct request *r;

  while ((r = TAILQ_FIRST (&d->sent))) {
    TAILQ_REMOVE (&d->sent, r, link);
    if (r == &d->own_flush || r == &d->probe)
      disk_free_request (d, r);         /* asked for again when needed */
    else if (!is_change (r) || !d->retain.slot[slot_of (d, r)].kept)
      TAILQ_INSERT_TAIL (&again, r, link);
  }                                     /* the rest is kept: the replay has it */
  TAILQ_CONCAT (&again, &d->pending, link);
  TAILQ_CONCAT (&d->pending, &again, link);
  d->sent_count = 0;
  overlap_clear (&d->in_flight);
  retain_session_lost (&d->retain);
  replay_begin (&d->replay);
}
