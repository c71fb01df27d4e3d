#include "replay.h"

#include <assert.h>

/* What a change counts for: one without data costs the server something, too. */
static uint32_t
weight (const struct replay *p, uint32_t slot)
{
  const struct retain_slot *s = &p->retain->slot[slot];
  return s->op == CHANGE_WRITE ? s->length : PAGE_BYTES;
}

void
replay_init (struct replay *p, struct retain *r)
{
  *p = (struct replay) { .retain = r, .window = REPLAY_WINDOW_MAX, .flushed = true };
}

void
replay_begin (struct replay *p)
{
  if (!p->flushed && p->window > REPLAY_WINDOW_MIN)
    p->window /= 2;
  p->next = TAILQ_FIRST (&p->retain->kept);
  p->in_flight = 0;
  p->in_flight_bytes = p->unflushed_bytes = 0;
  p->flushed = p->next == NULL;
}

uint32_t
replay_next (const struct replay *p)
{
  if (!p->next || p->in_flight_bytes + p->unflushed_bytes >= p->window)
    return NO_SLOT;
  return retain_index (p->retain, p->next);
}

void
replay_sent (struct replay *p, uint32_t slot)
{
  assert (p->next && retain_index (p->retain, p->next) == slot);
  p->next = TAILQ_NEXT (p->next, kept);
  p->in_flight++;
  p->in_flight_bytes += weight (p, slot);
  p->total_bytes += p->retain->slot[slot].op == CHANGE_WRITE ? p->retain->slot[slot].length : 0;
}

void
replay_answered (struct replay *p, uint32_t slot)
{
  assert (p->in_flight > 0);
  p->in_flight--;
  p->in_flight_bytes -= weight (p, slot);
  p->unflushed_bytes += weight (p, slot);
}

void
replay_forget (struct replay *p, uint32_t slot)
{
  if (p->next && retain_index (p->retain, p->next) == slot)
    p->next = TAILQ_NEXT (p->next, kept);
}

bool
replay_flush_due (const struct replay *p)
{
  return !replay_done (p) && p->unflushed_bytes > 0 && p->unflushed_bytes >= p->window / 2;
}

void
replay_flush_sent (struct replay *p)
{
  p->unflushed_bytes = 0;
}

void
replay_flushed (struct replay *p)
{
  p->flushed = true;
  if (p->window < REPLAY_WINDOW_MAX)
    p->window *= 2;
}

bool
replay_done (const struct replay *p)
{
  return !p->next && p->in_flight == 0;
}
