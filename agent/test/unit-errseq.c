/* A server on Linux whose backing loses data now and then: random writes, FUAs and FLUSHes, carried out and answered in
 * any order. fsync writes back what is dirty, of all writes, and drops what it can't write; of those under way together
 * only one is told (errseq). A session ends at such an error, and sometimes the server's power with it. What must hold:
 * what the kernel was told to be safe is on the medium, at that moment. */
#include "stub.h"

#define FUA LIBNBD_CMD_FLAG_FUA
#define BLOCKS 64
#define BLOCK 4096
#define MAX_FLUSHES 3
#define ROUNDS 40
#define STEPS 4000

enum step { SENT, WRITTEN, SYNCED, DONE, ANSWERED };

struct doing { enum step step; int error; };

static unsigned short dice[3];
static struct doing doing[WIRE];
static uint64_t cache[BLOCKS], medium[BLOCKS];  /* which version of each block */
static bool dirty[BLOCKS], untold;              /* untold: the descriptor's error that nobody was told of */
static uint64_t newest[BLOCKS], acked[BLOCKS];  /* as the kernel has it */
static struct { struct waiter w; bool busy, fua; uint64_t version; } writer[BLOCKS];
static struct { struct waiter w; bool busy; uint64_t covers[BLOCKS]; } flusher[MAX_FLUSHES];
static double bad;                              /* how likely a sync loses something */
static unsigned lies;                           /* syncs that were told 0 although one beside them lost data */

static bool
chance (double p)
{
  return erand48 (dice) < p;
}

static unsigned
pick (unsigned n)
{
  return (unsigned) (erand48 (dice) * n);
}

static void
write_back (void)
{
  bool fails = chance (bad);

  for (unsigned b = 0; b < BLOCKS; b++)
    if (dirty[b]) {
      dirty[b] = false;
      if (fails && chance (0.5))
        untold = true;                          /* clean, and not on the medium: so is Linux */
      else
        medium[b] = cache[b];
    }
}

/* One request on the server gets on a bit. */
static void
get_on (unsigned i)
{
  struct on_wire *w = &wire[i];
  struct doing *x = &doing[i];
  uint64_t b = w->offset / BLOCK;

  switch (x->step) {
  case SENT:
    if (w->op == OP_WRITE) {
      memcpy (&cache[b], w->from, sizeof cache[b]);
      dirty[b] = true;
    }
    x->step = w->op == OP_FLUSH || (w->flags & FUA) ? WRITTEN : DONE;
    break;
  case WRITTEN:
    write_back ();
    x->step = SYNCED;
    break;
  case SYNCED:
    x->error = untold ? EIO : 0;
    untold = false;
    for (unsigned j = 0; j < wired && x->error; j++)
      lies += j != i && doing[j].step == SYNCED;
    x->step = DONE;
    break;
  case DONE:
    x->step = ANSWERED;
    reply (i, x->error);
    break;
  case ANSWERED:
    break;
  }
}

/* The kernel has been told that these versions are safe. */
static void
must_be_safe (uint64_t block, uint64_t version)
{
  if (medium[block] < version)
    fprintf (stderr, "block %ju: the medium has version %ju, not %ju\n", (uintmax_t) block, (uintmax_t) medium[block],
             (uintmax_t) version);
  CHECK (medium[block] >= version);
}

static void
take_answers (void)
{
  for (unsigned b = 0; b < BLOCKS; b++)
    if (writer[b].busy && writer[b].w.left == 0) {
      writer[b].busy = false;
      CHECK_IS (writer[b].w.error, 0);
      acked[b] = writer[b].version;
      if (writer[b].fua && !writer[b].w.need_flush)
        must_be_safe (b, writer[b].version);
    }
  for (unsigned f = 0; f < MAX_FLUSHES; f++)
    if (flusher[f].busy && flusher[f].w.left == 0) {
      flusher[f].busy = false;
      CHECK_IS (flusher[f].w.error, 0);
      for (unsigned b = 0; b < BLOCKS; b++)
        must_be_safe (b, flusher[f].covers[b]);
    }
}

static void
write_something (void)
{
  static uint8_t data[BLOCK];
  unsigned b = pick (BLOCKS);
  uint64_t version = newest[b] + 1;

  if (writer[b].busy)
    return;
  memcpy (data, &version, sizeof version);
  writer[b].w = (struct waiter) { .cond = PTHREAD_COND_INITIALIZER };
  writer[b].fua = chance (0.1);
  if (!ask_write ((uint64_t) b * BLOCK, BLOCK, writer[b].fua ? FUA : 0, data, &writer[b].w))
    return;
  writer[b].busy = true;
  writer[b].version = newest[b] = version;
}

static void
flush (void)
{
  for (unsigned f = 0; f < MAX_FLUSHES; f++)
    if (!flusher[f].busy) {
      flusher[f].w = (struct waiter) { .cond = PTHREAD_COND_INITIALIZER };
      flusher[f].busy = true;
      memcpy (flusher[f].covers, acked, sizeof acked);
      ask_flush (&flusher[f].w);
      return;
    }
}

static void
new_session (void)
{
  end_session ();
  memset (doing, 0, sizeof doing);
  untold = false;                               /* the server opened the backing anew */
  if (chance (0.5)) {
    memcpy (cache, medium, sizeof cache);
    memset (dirty, 0, sizeof dirty);
  }
}

static void
one_step (void)
{
  unsigned left = wired;

  go ();
  if (disk.session.fault[0] != 0 || wired > WIRE - 256)
    new_session ();
  else
    for (unsigned tries = 0; tries < 8 && left > 0; tries++)
      get_on (pick (wired));
  take_answers ();
}

static void
one_round (unsigned seed)
{
  bool busy = true;

  memset (cache, 0, sizeof cache);
  memset (medium, 0, sizeof medium);
  memset (dirty, 0, sizeof dirty);
  memset (newest, 0, sizeof newest);
  memset (acked, 0, sizeof acked);
  memset (doing, 0, sizeof doing);
  untold = false;
  dice[0] = (unsigned short) seed;
  new_disk (seed % 2 ? MIB : BLOCKS * BLOCK / 2);       /* little room: flushes of our own, too */
  bad = 0.1;
  for (unsigned i = 0; i < STEPS; i++) {
    write_something ();
    if (chance (0.1))
      flush ();
    one_step ();
  }
  bad = 0;
  for (unsigned i = 0; busy; i++) {
    CHECK (i < 100000);                                 /* nothing waits for ever */
    one_step ();
    busy = disk.sent_count > 0 || !TAILQ_EMPTY (&disk.pending);
  }
  flush ();
  while (flusher[0].busy || flusher[1].busy || flusher[2].busy)
    one_step ();
  for (unsigned b = 0; b < BLOCKS; b++)
    CHECK_IS (medium[b], newest[b]);
  CHECK_IS (disk.retain.kept_count, 0);
}

int
main (void)
{
  for (unsigned i = 1; i <= ROUNDS; i++)
    one_round (i);
  CHECK (lies > 50);                                    /* or this shows nothing */
  return done ("errseq");
}
