#include <poll.h>

#include "status.h"
#include "stub.h"

#define FUA LIBNBD_CMD_FLAG_FUA
#define WAITER { .cond = PTHREAD_COND_INITIALIZER }

/* N acknowledged writes of 4 KiB from 1 MiB on; wire is empty afterwards. */
static void
keep (unsigned n)
{
  struct waiter w = WAITER;

  for (unsigned i = 0; i < n; i++)
    CHECK (ask_write (MIB + i * 4096, 4096, 0, NULL, &w));
  go ();
  for (unsigned i = 0; i < n; i++)
    reply (i, 0);
  CHECK_IS (w.left, 0);
  CHECK_IS (disk.retain.kept_count, n);
  wired = 0;
}

/* 5 acknowledged writes of 128 KiB, the first on the wire: of a MiB that is so much that a flush of our own is due. */
static void
keep_more_than_half (void)
{
  struct waiter w = WAITER;

  for (unsigned i = 0; i < 5; i++)
    CHECK (ask_write ((1 + i) * MIB, 128 << 10, 0, NULL, &w));
  go ();
  for (unsigned i = 0; i < 5; i++)
    reply (i, 0);
  CHECK_IS (w.left, 0);
}

/* One sync is done when it is answered. */
static void
alone (void)
{
  struct waiter f = WAITER;

  new_disk (MIB);
  keep (3);
  ask_flush (&f);
  go ();
  CHECK_IS (disk.sent_count, 1);
  reply (0, 0);
  CHECK_IS (f.left, 0);
  CHECK_IS (disk.retain.kept_count, 0);
  CHECK_IS (disk.sent_count, 0);
  CHECK (disk.session.useful);
}

/* Our own flush and the kernel's are under way together. One is told of the error, the other 0, and that comes first. */
static void
error_told_to_the_other (void)
{
  struct waiter f = WAITER;

  new_disk (MIB);
  keep_more_than_half ();
  ask_flush (&f);
  go ();
  CHECK_IS (wired, 7);
  CHECK (disk.own_flush_busy);
  reply (6, 0);
  CHECK_IS (f.left, 1);
  CHECK_IS (disk.retain.kept_count, 5);
  CHECK_IS (disk.sent_count, 2);
  reply (5, EIO);
  CHECK (disk.session.fault[0] != 0);
  CHECK_IS (disk.session.why, ERROR_REPLY);
  CHECK_IS (f.left, 1);
  CHECK (any_error_reply (&disk));

  end_session ();                       /* all of it is sent again, and then the kernel's flush */
  CHECK (!disk.own_flush_busy);
  CHECK_IS (disk.sent_count, 0);
  go ();
  CHECK_IS (wired, 5);
  for (unsigned i = 0; i < 5; i++)
    reply (i, 0);
  go ();
  for (unsigned i = 5; i < wired; i++) {
    CHECK_IS (wire[i].op, OP_FLUSH);
    reply (i, 0);
  }
  CHECK_IS (f.left, 0);
  CHECK_IS (f.error, 0);
  CHECK_IS (disk.retain.kept_count, 0);
}

/* What comes after the error proves nothing either: it is the one that was told 0. */
static void
answered_after_the_error (void)
{
  struct waiter f = WAITER, g = WAITER, w = WAITER;

  new_disk (MIB);
  keep (2);
  ask_flush (&f);
  ask_flush (&g);
  CHECK (ask_write (0, 4096, 0, NULL, &w));
  go ();
  reply (1, EIO);
  reply (0, 0);
  CHECK_IS (f.left, 1);
  CHECK_IS (disk.retain.kept_count, 2);
  reply (2, 0);                         /* a write is acknowledged, and kept, all the same */
  CHECK_IS (w.left, 0);
  CHECK_IS (disk.retain.kept_count, 3);
  end_session ();
  CHECK (TAILQ_FIRST (&disk.pending)->waiter == &f);      /* in the same order */
}

/* Whatever the fault is. */
static void
answered_after_a_fault (void)
{
  struct waiter f = WAITER, w = WAITER;

  new_disk (MIB);
  keep (2);
  CHECK (ask_write (0, 4096, 0, NULL, &w));
  ask_flush (&f);
  go ();
  reply (1, ENOSPC);
  reply (0, 0);
  CHECK_IS (f.left, 1);
  CHECK_IS (disk.retain.kept_count, 2);
  CHECK_IS (disk.sent_count, 2);
}

/* A lost connection answers all in its own way, before anybody has called it lost. */
static void
connection_lost (void)
{
  struct waiter f = WAITER, g = WAITER;

  new_disk (MIB);
  keep (2);
  ask_flush (&f);
  ask_flush (&g);
  go ();
  reply (1, 0);
  reply (0, ENOTCONN);
  CHECK_IS (disk.session.fault[0], 0);
  CHECK_IS (f.left + g.left, 2);
  end_session ();
  CHECK_IS (disk.retain.kept_count, 2);
  CHECK (!any_error_reply (&disk));
}

/* Each waits for those that were in flight when it was answered, for no later one: there may always be one. */
static void
no_starvation (void)
{
  struct waiter a = WAITER, b = WAITER, c = WAITER;

  new_disk (MIB);
  keep (1);
  ask_flush (&a);
  ask_flush (&b);
  go ();
  reply (0, 0);
  ask_flush (&c);
  go ();
  CHECK_IS (a.left, 1);
  reply (1, 0);                         /* enough for the first: that it was answered, not that it is done */
  CHECK_IS (a.left, 0);
  CHECK_IS (b.left, 1);
  CHECK_IS (disk.retain.kept_count, 0);
  reply (2, 0);
  CHECK_IS (b.left + c.left, 0);
  CHECK_IS (disk.sent_count, 0);
}

/* FUA is a sync, in both directions; until it is done nothing overlaps it. */
static void
fua (void)
{
  struct waiter f = WAITER, w = WAITER, v = WAITER;

  new_disk (MIB);
  keep (2);
  CHECK (ask_write (0, 4096, FUA, NULL, &w));
  ask_flush (&f);
  CHECK (ask_write (0, 4096, 0, NULL, &v));
  go ();
  CHECK_IS (wired, 2);
  CHECK_IS (wire[1].flags, FUA);
  reply (1, 0);
  go ();
  CHECK_IS (w.left, 1);
  CHECK_IS (wired, 2);
  reply (0, EIO);
  end_session ();
  go ();
  CHECK_IS (wired, 2);                  /* what is kept, and then all of it again */
  reply (0, 0);
  reply (1, 0);
  go ();
  CHECK_IS (wired, 4);
  CHECK_IS (wire[2].op, OP_FLUSH);
  CHECK_IS (wire[3].flags, FUA);
  reply (2, 0);                         /* now the flush comes first */
  CHECK_IS (disk.retain.kept_count, 2);
  reply (3, 0);
  CHECK_IS (f.left + w.left, 0);
  CHECK_IS (disk.retain.kept_count, 0);
  go ();
  CHECK_IS (wired, 5);
  reply (4, 0);
  CHECK_IS (v.left, 0);
  CHECK_IS (disk.retain.kept_count, 1);
}

/* A server that has one FLUSH at a time is believed at once; one that fails is not answered. */
static void
one_flush (void)
{
  struct waiter a = WAITER, b = WAITER, w = WAITER;

  new_disk (MIB);
  disk.options.one_flush = true;
  keep (2);
  ask_flush (&a);
  CHECK (ask_write (0, 4096, FUA, NULL, &w));
  ask_flush (&b);
  go ();
  CHECK_IS (wired, 3);
  reply (0, 0);
  CHECK_IS (a.left, 0);
  CHECK_IS (disk.retain.kept_count, 0);
  CHECK_IS (b.left + w.left, 2);
  reply (2, EIO);
  CHECK_IS (w.left, 1);
  CHECK_IS (b.left, 1);
  CHECK (disk.session.fault[0] != 0);
}

/* While libnbd can't send, changes wait where they can be overtaken by what somebody sleeps for. */
static void
overtakes (void)
{
  struct waiter w = WAITER, f = WAITER;

  new_disk (4 * MIB);
  congested = true;
  for (unsigned i = 0; i < 8; i++)
    CHECK (ask_write (i * MIB, 128 << 10, 0, NULL, &w));
  ask_flush (&f);
  go ();
  CHECK_IS (wired, 0);
  congested = false;
  go ();
  CHECK_IS (wired, 9);
  CHECK_IS (wire[0].op, OP_FLUSH);
  for (unsigned i = 1; i < 9; i++)
    CHECK_IS (wire[i].offset, (i - 1) * MIB);
  for (unsigned i = 0; i < 9; i++)
    reply (i, 0);
  CHECK_IS (w.left + f.left, 0);
  CHECK_IS (disk.retain.kept_count, 8); /* the flush spoke of none of them */
}

/* A flush of our own makes room: it waits for nobody. */
static void
makes_room_while_congested (void)
{
  new_disk (MIB);
  keep_more_than_half ();
  congested = true;
  go ();
  CHECK_IS (wired, 6);
  CHECK_IS (wire[5].op, OP_FLUSH);
  reply (5, 0);
  CHECK_IS (disk.retain.kept_count, 0);
  congested = false;
}

/* MIBS acknowledged writes of 1 MiB each from the FROMth MiB on. */
static void
keep_mib (unsigned from, unsigned mibs)
{
  struct waiter w = WAITER;

  for (unsigned i = 0; i < mibs; i++)
    CHECK (ask_write ((uint64_t) (from + i) * MIB, MIB, 0, NULL, &w));
  go ();
  CHECK (wired >= mibs);
  for (unsigned i = wired - mibs; i < wired; i++)
    reply (i, 0);
  CHECK_IS (w.left, 0);
}

static void
our_last_flush_was (uint64_t ms)
{
  disk.own_flush_sent_ms = now_ms () - ms;
}

/* Of a slow link about a second's writes are kept, whatever there is room for: a replay of more would last. */
static void
keeps_a_second (void)
{
  struct waiter w = WAITER;

  new_disk (64 * MIB);
  keep_mib (1, 7);
  our_last_flush_was (60000);
  go ();
  CHECK_IS (wired, 7);                  /* too little */
  keep_mib (8, 1);
  our_last_flush_was (500);
  go ();
  CHECK_IS (wired, 8);                  /* too soon */
  our_last_flush_was (1000);
  CHECK (ask_write (9 * MIB, MIB, 0, NULL, &w));
  go ();
  CHECK_IS (wired, 10);
  CHECK_IS (wire[8].op, OP_FLUSH);
  CHECK_IS (wire[9].op, OP_WRITE);      /* no write waits for it */
  CHECK (now_ms () - disk.own_flush_sent_ms < 500);
  reply (9, 0);
  CHECK_IS (w.left, 0);
  our_last_flush_was (60000);
  keep_mib (10, 8);
  go ();
  CHECK_IS (wired, 18);                 /* one at a time, however long it takes */
  reply (8, 0);
  CHECK_IS (disk.retain.kept_count, 9);
  our_last_flush_was (0);
  go ();
  CHECK_IS (wired, 18);
  our_last_flush_was (1000);
  go ();
  CHECK_IS (wired, 19);
  CHECK_IS (wire[18].op, OP_FLUSH);
}

/* Zeroes may be as much work for the server as data, and are as little safe. */
static void
zeroes_count (void)
{
  new_disk (64 * MIB);
  answer_at_once = true;
  our_last_flush_was (0);
  for (unsigned i = 0; i < 30; i++)
    CHECK_IS (disk_change (&disk, OP_ZERO, NULL, 32 * MIB, i * 32ull * MIB, 0), 0);
  CHECK_IS (wired, 30);
  our_last_flush_was (60000);
  answer_at_once = false;
  go ();
  CHECK_IS (wired, 31);
  CHECK_IS (wire[30].op, OP_FLUSH);
}

/* A fast link flushes for half of the area, as often as that comes, and so does a small area. */
static void
half_is_enough (void)
{
  new_disk (64 * MIB);
  our_last_flush_was (0);
  keep_mib (1, 32);
  go ();
  CHECK_IS (wired, 32);
  keep_mib (33, 1);                     /* what is reserved for it counts */
  CHECK_IS (wired, 34);
  CHECK_IS (wire[32].op, OP_FLUSH);
  new_disk (8 * MIB);
  our_last_flush_was (0);
  keep_mib (1, 5);
  go ();
  CHECK_IS (wired, 6);
  CHECK_IS (wire[5].op, OP_FLUSH);
}

/* A flush that its session did not live to see is forgotten, and its time is not: the next one comes after a second. */
static void
keeps_a_second_of_each_session (void)
{
  new_disk (64 * MIB);
  our_last_flush_was (1000);
  keep_mib (1, 8);
  go ();
  CHECK_IS (wire[8].op, OP_FLUSH);
  end_session ();
  answer_at_once = true;
  go ();                                /* the replay, with flushes of its own */
  answer_at_once = false;
  CHECK (replay_done (&disk.replay));
  CHECK (disk.retain.kept_count < 8);
  wired = 0;
  keep_mib (9, 8);
  our_last_flush_was (500);
  go ();
  CHECK_IS (wired, 8);
  our_last_flush_was (1000);
  go ();
  CHECK_IS (wired, 9);
  CHECK_IS (wire[8].op, OP_FLUSH);
  reply (8, 0);
  CHECK_IS (disk.retain.kept_count, 0);
}

/* A write from which FUA was taken syncs nothing. */
static void
weak_fua (void)
{
  struct waiter f = WAITER, w = WAITER;

  new_disk (MIB);
  keep (1);
  CHECK (ask_write (MIB, 4096, FUA, NULL, &w));
  ask_flush (&f);
  go ();
  CHECK_IS (wire[1].op, OP_WRITE);
  CHECK_IS (wire[1].flags, 0);
  reply (0, 0);
  CHECK_IS (f.left, 0);
  reply (1, 0);
  CHECK_IS (w.left, 0);
  CHECK (w.need_flush);
  CHECK_IS (disk.retain.kept_count, 1);
}

/* A replay's flush that is answered but not believed is no progress. */
static void
replays (void)
{
  struct waiter f = WAITER;

  new_disk (2 * MIB);
  disk.replay.window = 2 * 4096;
  keep (1);
  end_session ();
  CHECK (!disk.replay.flushed);
  ask_flush (&f);
  go ();
  reply (0, 0);                         /* replayed */
  disk.verb = VERB_STOP;                /* makes an own flush due */
  go ();
  CHECK_IS (wired, 3);
  reply (1, 0);
  CHECK (!disk.replay.flushed);
  CHECK_IS (disk.retain.kept_count, 1);
  reply (2, 0);
  CHECK (disk.replay.flushed);
  CHECK_IS (disk.retain.kept_count, 0);
  CHECK_IS (f.left, 0);
  CHECK (!disk.own_flush_busy);
}

static void
probe (void)
{
  pthread_mutex_lock (&disk.lock);
  send_probe (&disk);
  pthread_mutex_unlock (&disk.lock);
}

/* 0: the disk's first bytes are not known; else the first of them. */
static char
head (void)
{
  const struct identity *id = retain_identity (&disk.retain);
  return id->head_known ? (char) id->head[0] : 0;
}

/* Of a new disk, whose first bytes have then been changed to '1's; FLUSHED: and are safe. */
static void
change_head (bool flushed)
{
  struct waiter w = WAITER, f = WAITER;
  static char ones[4096];

  memset (ones, '1', sizeof ones);
  CHECK (ask_write (0, 4096, 0, ones, &w));
  go ();
  reply (wired - 1, 0);
  if (flushed) {
    ask_flush (&f);
    go ();
    reply (wired - 1, 0);
  }
  CHECK_IS (w.left + f.left, 0);
  CHECK_IS (head (), 0);
}

static void
learns_the_head (void)
{
  new_disk (MIB);
  CHECK_IS (head (), '0');
  change_head (true);
  probe ();
  memset (wire[wired - 1].to, '1', 4096);
  reply (wired - 1, 0);
  CHECK_IS (head (), '1');
  CHECK (!disk.probe_busy);
}

/* A probe that was answered with an error has read nothing; what lies in its buffer is old. */
static void
probe_fails (void)
{
  new_disk (MIB);
  change_head (true);
  probe ();
  reply (wired - 1, EIO);               /* a sign of life all the same */
  CHECK_IS (head (), 0);
  CHECK (!disk.probe_busy);
  CHECK_IS (disk.session.fault[0], 0);
  CHECK (!any_error_reply (&disk));
  probe ();
  reply (wired - 1, ENOTCONN);          /* libnbd's own */
  CHECK_IS (head (), 0);
  CHECK (disk.probe_busy);
  end_session ();
  CHECK (!disk.probe_busy);
  CHECK (!any_error_reply (&disk));
}

/* A probe beside a change of what it reads may read either, whichever is answered first, and what is safe by then. */
static void
probe_beside_change (void)
{
  struct waiter w = WAITER, f = WAITER;

  for (int order = 0; order < 2; order++) {
    new_disk (MIB);
    CHECK (ask_write (0, 4096, 0, NULL, &w));
    go ();
    probe ();
    if (order == 0)
      reply (1, 0);                     /* overtaken */
    reply (0, 0);
    ask_flush (&f);
    go ();
    reply (2, 0);
    CHECK_IS (disk.retain.kept_count, 0);
    if (order == 1)
      reply (1, 0);                     /* was carried out first */
    CHECK_IS (head (), 0);
    CHECK (!disk.probe_busy);
  }
  CHECK (ask_write (0, 4096, FUA, NULL, &w));   /* sent after the probe */
  probe ();
  go ();
  reply (4, 0);
  reply (3, 0);
  CHECK_IS (head (), 0);
}

/* What is read of the disk may be a change that the server still can lose. */
static void
head_not_safe (void)
{
  struct waiter w = WAITER;

  new_disk (MIB);
  CHECK (!head_in_doubt (&disk));
  change_head (false);
  CHECK (head_in_doubt (&disk));        /* kept */
  new_disk (MIB);
  CHECK (ask_write (MIB, 4096, 0, NULL, &w));
  go ();
  CHECK (!head_in_doubt (&disk));       /* elsewhere */
  CHECK (ask_write (0, 4096, 0, NULL, &w));
  go ();
  CHECK (head_in_doubt (&disk));        /* in flight */
  end_session ();
  CHECK_IS (disk.in_flight.count, 0);
  CHECK (head_in_doubt (&disk));        /* perhaps carried out, and to be sent again */
}

/* Long requests go in parts. */
static void
in_parts (void)
{
  static char data[600 << 10];
  uint64_t at = 4096;

  new_disk (4 * MIB);
  our_last_flush_was (0);
  answer_at_once = true;
  CHECK_IS (disk_change (&disk, OP_ZERO, NULL, 100 * MIB, at, LIBNBD_CMD_FLAG_NO_HOLE), 0);
  CHECK_IS (wired, 4);
  for (unsigned i = 0; i < wired; at += wire[i++].length) {
    CHECK_IS (wire[i].op, OP_ZERO);
    CHECK_IS (wire[i].offset, at);
    CHECK_IS (wire[i].flags, LIBNBD_CMD_FLAG_NO_HOLE);
    CHECK (wire[i].length <= 32 * MIB);         /* nbd-server zeroes no more of one */
  }
  CHECK_IS (at, 4096 + 100 * MIB);
  CHECK_IS (disk.retain.kept_count, 4);
  wired = 0;
  CHECK_IS (disk_change (&disk, OP_TRIM, NULL, 100 * MIB, 0, 0), 0);
  CHECK_IS (wired, 1);
  CHECK_IS (wire[0].length, 100 * MIB);
  wired = 0;
  CHECK_IS (disk_change (&disk, OP_WRITE, data, sizeof data, 0, 0), 0);
  CHECK_IS (disk_read (&disk, data, sizeof data, 0), 0);
  CHECK_IS (wired, 6);
  CHECK_IS (wire[2].length, 88 << 10);
  CHECK_IS (wire[5].offset, 512 << 10);
  CHECK_IS (disk_flush (&disk), 0);
  CHECK_IS (disk.retain.kept_count, 0);
  wired = 0;
  retain_identity (&disk.retain)->geometry.block_max = 64 << 10;        /* of what carries data, says the protocol */
  CHECK_IS (disk_change (&disk, OP_WRITE, data, 128 << 10, 0, 0), 0);
  CHECK_IS (disk_read (&disk, data, 128 << 10, 0), 0);
  CHECK_IS (disk_change (&disk, OP_ZERO, NULL, MIB, 0, 0), 0);
  CHECK_IS (wired, 5);
  CHECK_IS (wire[3].length, 64 << 10);
  CHECK_IS (disk_flush (&disk), 0);
  answer_at_once = false;
}

static void *
ask_status (void *text)
{
  status_json (&disk, text, STATUS_BYTES);
  return NULL;
}

/* The state changes while a status waits for the lock. */
static void
status_waits (void)
{
  char text[STATUS_BYTES];
  pthread_t asker;

  new_disk (MIB);
  disk.options.name = "disk";
  pthread_mutex_lock (&disk.lock);
  CHECK (pthread_create (&asker, NULL, ask_status, text) == 0);
  poll (NULL, 0, 100);
  disk.since_ms = now_ms ();
  pthread_mutex_unlock (&disk.lock);
  CHECK (pthread_join (asker, NULL) == 0);
  CHECK (strtod (strstr (text, "\"since\":") + 8, NULL) < 60);
}

int
main (void)
{
  alone ();
  error_told_to_the_other ();
  answered_after_the_error ();
  answered_after_a_fault ();
  connection_lost ();
  no_starvation ();
  fua ();
  one_flush ();
  overtakes ();
  makes_room_while_congested ();
  keeps_a_second ();
  half_is_enough ();
  zeroes_count ();
  keeps_a_second_of_each_session ();
  weak_fua ();
  replays ();
  learns_the_head ();
  probe_fails ();
  probe_beside_change ();
  head_not_safe ();
  in_parts ();
  status_waits ();
  return done ("send");
}
