#include "engine.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "disk.h"
#include "send.h"

#define TICK_MS 500             /* how often the clock of a silent session is looked at */
#define LEARN_MS 5000           /* how often the disk's first bytes are asked for while they are unknown */

/* Under the lock: may the engine go on? */
static bool
ending (const struct disk *d)
{
  return d->verb == VERB_ABORT || d->verb == VERB_STOP;
}

static void
answer_verb (struct disk *d)
{
  d->verb = NO_VERB;
  pthread_cond_broadcast (&d->answered);
}

/* What was passed up as an error, or not written: how many, and the data of reads and writes among them. */
struct given_up { unsigned count; uint64_t bytes; };

/* Gives up a kept change: the kernel believes that it is written, so its next flush must fail, if there is to be one. */
static void
give_up (struct disk *d, uint32_t slot)
{
  d->lost_bytes += d->retain.slot[slot].op == CHANGE_WRITE ? d->retain.slot[slot].length : 0;
  d->change[slot].error_reply = 0;
  replay_forget (&d->replay, slot);
  if (ending (d))
    retain_drop (&d->retain, slot);
  else
    retain_give_up (&d->retain, slot);
}

static struct given_up
give_up_kept (struct disk *d, bool all)
{
  struct given_up n = { .bytes = d->lost_bytes };
  struct retain_entry *e, *next;

  for (e = TAILQ_FIRST (&d->retain.kept); e; e = next) {
    uint32_t slot = retain_index (&d->retain, e);
    next = TAILQ_NEXT (e, kept);
    if (all || d->change[slot].error_reply) {
      give_up (d, slot);
      n.count++;
    }
  }
  if (n.count > 0)
    disk_made_room (d);
  n.bytes = d->lost_bytes - n.bytes;
  return n;
}

/* Answers the kernel's requests with the server's error replies to them, or all of them with ERROR. No session is up. */
static struct given_up
fail_pending (struct disk *d, int error)
{
  struct given_up n = { 0 };
  struct request *r, *next;

  for (r = TAILQ_FIRST (&d->pending); r; r = next) {
    next = TAILQ_NEXT (r, link);
    if (!error && !r->error_reply)
      continue;
    TAILQ_REMOVE (&d->pending, r, link);
    disk_answer (r, error ? error : r->error_reply);
    if (is_change (r))
      retain_drop (&d->retain, (uint32_t) (r - d->change));
    disk_free_request (d, r);
    n.count++;
    n.bytes += r->op == OP_READ || r->op == OP_WRITE ? r->length : 0;
  }
  disk_made_room (d);
  return n;
}

static void
nothing_to_fail (struct disk *d)
{
  const char *name = d->options.name;

  if (d->state == PARKED && d->why == REFUSED)
    snprintf (d->answer, sizeof d->answer, "nothing to fail: the server refuses the session, and has refused no request. Once "
              "that is cured: netdisk resume %s. What waits fails by netdisk abort %s, which gives the disk up.", name, name);
  else
    snprintf (d->answer, sizeof d->answer, "nothing to fail: the server has refused no request. An outage is waited out; "
              "netdisk abort %s gives the disk up.", name);
}

/* Where the server can't read the first bytes, no session comes as far as a request, so all that waits is failed: else nothing
 * but `abort` would be left. What is kept stays, except what was itself answered with an error. */
static void
fail_error_replies (struct disk *d)
{
  struct given_up failed, lost;
  char text[JOURNAL_BYTES];

  if (d->state != PARKED || (!any_error_reply (d) && (d->head_error == 0 || TAILQ_EMPTY (&d->pending)))) {
    nothing_to_fail (d);
    return;
  }
  failed = fail_pending (d, d->head_error);
  lost = give_up_kept (d, d->own_flush_error_reply);
  d->own_flush_error_reply = false;
  replay_begin (&d->replay);
  snprintf (d->answer, sizeof d->answer, "failed %u requests (%ju bytes), gave up %u acknowledged changes (%ju bytes)%s",
            failed.count, (uintmax_t) failed.bytes, lost.count, (uintmax_t) lost.bytes,
            lost.count ? "; the next flush fails" : "");
  snprintf (text, sizeof text, "fail, by hand: %s. Parked: %s", d->answer, d->reason);
  disk_journal (d, text);
}

/* Under the lock. What may be done between two sessions and within one. ABORT and STOP are the loops' own business. */
static void
handle_verb (struct disk *d, bool between)
{
  if (d->verb == NO_VERB || ending (d))
    return;
  if (d->verb == VERB_FAIL && between)
    fail_error_replies (d);
  else if (d->verb == VERB_FAIL)
    snprintf (d->answer, sizeof d->answer, "nothing to fail: a session is up");
  else
    snprintf (d->answer, sizeof d->answer, "%s", d->state == UP ? "not parked" : "dialling now");
  backoff_reset (&d->backoff);
  d->next_dial_ms = 0;
  answer_verb (d);
}

bool
engine_heed (struct disk *d)
{
  bool over;

  pthread_mutex_lock (&d->lock);
  handle_verb (d, true);
  over = ending (d);
  pthread_mutex_unlock (&d->lock);
  return over;
}

static bool
time_to_look (uint64_t *looked)
{
  uint64_t now = now_ms ();

  if (now - *looked < TICK_MS / 2)
    return false;
  *looked = now;
  return true;
}

/* Under the lock. The clock of the session, and probes. BYTES: session_bytes. */
static void
look_after (struct disk *d, uint64_t bytes, uint64_t now, uint64_t *learned)
{
  struct session *s = &d->session;
  const struct identity *id = retain_identity (&d->retain);

  switch (stall_check (&s->stall, bytes, now)) {
  case MOVING:
    if (id->head_bytes > 0 && !id->head_known && now - *learned > LEARN_MS) {
      *learned = now;
      send_probe (d);
    }
    break;
  case PROBE_DUE:
    send_probe (d);
    break;
  case STALLED:
    session_fault (s, UNANSWERED, "stalled: nothing came or went for %u s", d->options.timeout_s);
  }
}

static void
show_state (struct disk *d)
{
  bool done = replay_done (&d->replay);

  if (d->state == UP || (d->state == REPLAYING && !done))
    return;
  if (d->state == PARKED && any_error_reply (d))
    return;                     /* still parked, until what was answered with an error has succeeded */
  disk_set_state (d, done ? UP : REPLAYING, "");
}

/* Within the lock, let go while waiting. Until the session has a fault or the engine has to end. */
static void
run_session (struct disk *d)
{
  struct session *s = &d->session;
  uint64_t looked = 0, learned = now_ms (), stop_by = 0, bytes;
  bool look;

  d->connections_up = s->count;
  while (s->fault[0] == 0 && d->verb != VERB_ABORT) {
    handle_verb (d, false);
    show_state (d);
    if (d->verb == VERB_STOP) {
      if (stop_by == 0)
        stop_by = now_ms () + d->options.stop_timeout_s * 1000u;
      if ((d->retain.kept_count == 0 && d->sent_count == 0) || now_ms () >= stop_by)
        break;
    }
    send_all (d);
    if (s->fault[0] != 0)
      break;
    d->engine_asleep = true;
    pthread_mutex_unlock (&d->lock);
    session_poll (d, TICK_MS);
    bytes = session_bytes (s);  /* not under our lock: libnbd has locks of its own, and calls us while it holds them */
    look = time_to_look (&looked);
    if (look)
      session_listen (s);
    pthread_mutex_lock (&d->lock);
    d->engine_asleep = false;
    if (look)
      look_after (d, bytes, looked, &learned);
  }
  d->connections_up = 0;
}

/* Says goodbye, so that the server need not find out. */
static void
hang_up (struct disk *d)
{
  struct session *s = &d->session;

  for (unsigned i = 0; i < s->count; i++)
    nbd_aio_disconnect (s->connection[i], 0);
  for (int i = 0; i < 5 && s->fault[0] == 0; i++)
    session_poll (d, 100);
}

/* Under the lock, let go while waiting: until it is time to dial. */
static void
wait_parked (struct disk *d)
{
  while (!ending (d)) {
    struct pollfd wake = { .fd = d->kick_fd, .events = POLLIN };
    uint64_t now = now_ms ();
    eventfd_t count;

    handle_verb (d, true);
    if (d->next_dial_ms <= now)
      break;
    pthread_mutex_unlock (&d->lock);
    poll (&wake, 1, (int) (d->next_dial_ms - now));
    if (wake.revents & POLLIN)
      eventfd_read (d->kick_fd, &count);
    transport_reap ();
    pthread_mutex_lock (&d->lock);
  }
  d->next_dial_ms = 0;
}

/* Under the lock: nobody will ever dial again. */
static void
end (struct disk *d)
{
  struct given_up lost, failed;

  if (d->verb == VERB_ABORT) {
    lost = give_up_kept (d, true);
    disk_set_state (d, ENDED, "aborted");
    failed = fail_pending (d, ESHUTDOWN);
    snprintf (d->answer, sizeof d->answer, "aborted: gave up %u acknowledged changes (%ju bytes) and %u waiting requests",
              lost.count, (uintmax_t) lost.bytes, failed.count);
  }
  else {
    disk_set_state (d, ENDED, d->retain.kept_count ?
                    "stopped with unflushed writes, kept in the retain file if there is one" : "stopped");
    fail_pending (d, ESHUTDOWN);
  }
  pthread_cond_broadcast (&d->room);
  pthread_cond_broadcast (&d->known);
  answer_verb (d);
}

void *
engine_run (void *opaque)
{
  struct disk *d = opaque;
  struct session *s = &d->session;
  unsigned short dice[3] = { (unsigned short) now_ms (), (unsigned short) (now_ms () >> 16), (unsigned short) getpid () };

  backoff_init (&d->backoff, d->options.max_wait_s * 1000u, d->options.max_wait_refused_s * 1000u,
                d->options.max_wait_error_s * 1000u);
  pthread_mutex_lock (&d->lock);
  while (!ending (d)) {
    bool dialled;
    d->dials++;
    pthread_mutex_unlock (&d->lock);
    dialled = session_dial (d);
    pthread_mutex_lock (&d->lock);
    if (dialled) {
      d->sessions++;
      run_session (d);
    }
    pthread_mutex_unlock (&d->lock);
    if (s->fault[0] == 0 && s->count > 0)
      hang_up (d);
    session_close (s);
    pthread_mutex_lock (&d->lock);
    requeue_all (d);
    if (ending (d))
      break;
    if (s->useful)
      backoff_session_was_useful (&d->backoff, s->why, now_ms () - s->began_ms);
    d->faults++;
    d->why = s->why;
    d->head_error = s->head_error;
    disk_set_state (d, PARKED, s->fault);
    d->next_dial_ms = now_ms () + backoff_next (&d->backoff, s->why, erand48 (dice));
    wait_parked (d);
  }
  end (d);
  pthread_mutex_unlock (&d->lock);
  return NULL;
}
