#include "replay.h"

#include "unit.h"

#define LIMIT (16u << 20)
#define PIECE (64u << 10)

static char text[256];

static void
fill (struct retain *r, unsigned pieces)
{
  for (unsigned i = 0; i < pieces; i++)
    retain_acked (r, retain_reserve (r, CHANGE_WRITE, (uint64_t) i * PIECE, PIECE, 0));
}

static void
new_session (struct retain *r, struct replay *p)
{
  retain_session_lost (r);
  replay_begin (p);
}

/* Everything once, in order, within the window, with flushes on the way. */
static void
all_in_order (void)
{
  struct retain r;
  struct replay p;
  uint64_t expected = 0, flushes = 0;
  uint32_t slot;

  CHECK (retain_open (&r, NULL, LIMIT, text, sizeof text));
  replay_init (&p, &r);
  fill (&r, 160);                       /* 10 MiB */
  new_session (&r, &p);
  CHECK (!replay_done (&p));
  while (!replay_done (&p)) {
    uint32_t sent[64], n = 0;
    uint64_t mark;
    while ((slot = replay_next (&p)) != NO_SLOT) {
      CHECK_IS (r.slot[slot].offset, expected);
      expected += PIECE;
      replay_sent (&p, slot);
      sent[n++] = slot;
      CHECK (p.in_flight_bytes <= REPLAY_WINDOW_MAX);
    }
    CHECK (n > 0 || replay_flush_due (&p));     /* never stuck */
    for (uint32_t i = n; i-- > 0;) {            /* answered in reverse */
      replay_answered (&p, sent[i]);
      retain_acked (&r, sent[i]);
    }
    if (replay_flush_due (&p)) {
      mark = retain_mark (&r);
      replay_flush_sent (&p);
      retain_flushed (&r, mark);
      replay_flushed (&p);
      flushes++;
    }
  }
  CHECK_IS (expected, 160 * PIECE);
  CHECK (flushes >= 4);
  CHECK_IS (p.total_bytes, 160 * PIECE);
  retain_close (&r);
}

/* A link that lives for only so many bytes: every session gets less done than the whole, and yet it ends. */
static void
short_lived_links (void)
{
  struct retain r;
  struct replay p;
  unsigned sessions = 0;

  CHECK (retain_open (&r, NULL, LIMIT, text, sizeof text));
  replay_init (&p, &r);
  fill (&r, 160);
  while (r.kept_count > 0) {
    uint64_t life = 5 * PIECE;          /* less than half a window */
    uint32_t slot;
    new_session (&r, &p);
    CHECK (++sessions < 200);
    while (life > 0) {
      slot = replay_next (&p);
      if (slot != NO_SLOT) {
        replay_sent (&p, slot);
        replay_answered (&p, slot);
        retain_acked (&r, slot);
        life -= PIECE;
      }
      if (replay_flush_due (&p) && life > 0) {
        uint64_t mark = retain_mark (&r);
        replay_flush_sent (&p);
        retain_flushed (&r, mark);
        replay_flushed (&p);
      }
      else if (slot == NO_SLOT)
        break;
    }
    if (replay_done (&p))
      retain_flushed (&r, retain_mark (&r));
  }
  CHECK (sessions > 20);
  CHECK (p.window < REPLAY_WINDOW_MAX);
  retain_close (&r);
}

static void
edges (void)
{
  struct retain r;
  struct replay p;
  uint32_t slot;

  CHECK (retain_open (&r, NULL, LIMIT, text, sizeof text));
  replay_init (&p, &r);
  new_session (&r, &p);
  CHECK (replay_done (&p));                     /* nothing to do */
  CHECK_IS (replay_next (&p), NO_SLOT);
  CHECK (!replay_flush_due (&p));

  retain_acked (&r, retain_reserve (&r, CHANGE_WRITE, 0, 4 << 20, 0));
  new_session (&r, &p);
  slot = replay_next (&p);                      /* larger than the window goes alone */
  CHECK (slot != NO_SLOT);
  replay_forget (&p, slot);                     /* the operator gave it up */
  retain_drop (&r, slot);
  CHECK (replay_done (&p));
  retain_close (&r);
}

int
main (void)
{
  all_in_order ();
  short_lived_links ();
  edges ();
  return done ("replay");
}
