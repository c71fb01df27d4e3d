#include "retain.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

#define LIMIT (1u << 20)

static char path[] = "/tmp/netdisk-unit-retain.XXXXXX", text[256];

static uint32_t
write_at (struct retain *r, uint64_t offset, uint32_t length, int fill)
{
  uint32_t slot = retain_reserve (r, CHANGE_WRITE, offset, length, 0);
  if (slot != NO_SLOT)
    memset (retain_data (r, slot), fill, length);
  return slot;
}

static uint32_t
write_and_ack (struct retain *r, uint64_t offset)
{
  uint32_t slot = write_at (r, offset, 4096, 'x');
  retain_acked (r, slot);
  return slot;
}

/* Offsets of what is kept, in order, in units of 4 KiB, as a string. */
static const char *
kept (const struct retain *r)
{
  static char list[1024];
  const struct retain_entry *e;
  size_t n = 0;

  list[0] = 0;
  RETAIN_FOREACH_KEPT (e, r)
    n += (size_t) snprintf (list + n, sizeof list - n, "%s%ju", n ? " " : "",
                            (uintmax_t) r->slot[retain_index (r, e)].offset / 4096);
  return list;
}

/* As if the process had been killed: the file stays. */
static void
abandon (struct retain *r)
{
  r->kept_count = 1;
  retain_close (r);
}

/* A FLUSH makes safe what was acknowledged before it was sent, and nothing else. */
static void
flush_covers (void)
{
  struct retain r;
  uint32_t a, b, c;
  uint64_t mark;

  CHECK (retain_open (&r, NULL, LIMIT, text, sizeof text));
  a = write_at (&r, 0, 4096, 'a');
  b = write_at (&r, 4096, 4096, 'b');
  c = write_at (&r, 8192, 4096, 'c');
  CHECK (strcmp (kept (&r), "") == 0);          /* not acknowledged: the kernel still has it */
  retain_acked (&r, b);
  mark = retain_mark (&r);                      /* the flush is sent here */
  retain_acked (&r, a);                         /* acknowledged while the flush was under way */
  CHECK (strcmp (kept (&r), "1 0") == 0);
  CHECK_IS (r.kept_bytes, 8192);
  retain_flushed (&r, mark);
  CHECK (strcmp (kept (&r), "0") == 0);
  retain_flushed (&r, mark);                    /* once more changes nothing */
  CHECK (strcmp (kept (&r), "0") == 0);
  retain_acked (&r, c);
  retain_flushed (&r, retain_mark (&r));
  CHECK (strcmp (kept (&r), "") == 0);
  CHECK_IS (retain_used (&r), 0);
  CHECK_IS (r.kept_bytes, 0);
  retain_close (&r);
}

/* A session's flush covers what that session acknowledged. What it did not is kept, and in the first order. */
static void
session_lost (void)
{
  struct retain r;
  uint32_t s[4];

  CHECK (retain_open (&r, NULL, LIMIT, text, sizeof text));
  for (unsigned i = 0; i < 4; i++) {
    s[i] = write_at (&r, i * 4096, 4096, 'x');
    retain_acked (&r, s[i]);
  }
  retain_session_lost (&r);
  retain_flushed (&r, retain_mark (&r));        /* nothing of it was acknowledged by the new session */
  CHECK (strcmp (kept (&r), "0 1 2 3") == 0);
  retain_acked (&r, s[2]);                      /* replayed, in another order */
  retain_acked (&r, s[0]);
  CHECK (strcmp (kept (&r), "0 1 2 3") == 0);
  retain_flushed (&r, retain_mark (&r));
  CHECK (strcmp (kept (&r), "1 3") == 0);
  retain_session_lost (&r);
  CHECK (strcmp (kept (&r), "1 3") == 0);
  retain_drop (&r, s[1]);
  CHECK (strcmp (kept (&r), "3") == 0);
  retain_close (&r);
}

/* The bound holds, and room comes back. */
static void
bounded (void)
{
  struct retain r;
  uint32_t n = 0, slot;

  CHECK (retain_open (&r, NULL, LIMIT, text, sizeof text));
  while ((slot = write_at (&r, n * 65536ull, 65536, 'x')) != NO_SLOT) {
    retain_acked (&r, slot);
    n++;
  }
  CHECK_IS (n, LIMIT / 65536);
  CHECK_IS (retain_used (&r), retain_limit (&r));
  CHECK (retain_reserve (&r, CHANGE_TRIM, 0, 4096, 0) != NO_SLOT);      /* needs no room for data */
  CHECK (retain_overlaps (&r, 65535, 1));
  CHECK (retain_overlaps (&r, 0, UINT64_MAX));
  CHECK (!retain_overlaps (&r, n * 65536ull, 4096));
  retain_flushed (&r, retain_mark (&r));
  CHECK (write_at (&r, 0, LIMIT, 'y') != NO_SLOT);
  retain_close (&r);

  CHECK (retain_open (&r, NULL, LIMIT, text, sizeof text));     /* slots have an end, too */
  for (n = 0; retain_reserve (&r, CHANGE_ZERO, n * 4096ull, 4096, 0) != NO_SLOT; n++)
    ;
  CHECK_IS (n, r.slots);
  retain_close (&r);
}

/* A process is killed between two instructions; the next one finds what was kept, in order, and nothing else. */
static void
outlives_its_process (void)
{
  struct retain r;
  const struct retain_entry *e;
  int status;
  pid_t child = fork ();

  if (child == 0) {
    uint32_t a, b;
    CHECK (retain_open (&r, path, LIMIT, text, sizeof text));
    write_at (&r, 10 * 4096, 4096, 'n');                        /* never acknowledged */
    a = write_at (&r, 4 * 4096, 8192, 'a');
    b = write_at (&r, 3 * 4096, 4096, 'b');
    retain_acked (&r, b);
    retain_acked (&r, a);
    retain_acked (&r, write_at (&r, 7 * 4096, 4096, 'c'));
    retain_acked (&r, retain_reserve (&r, CHANGE_ZERO, 8 * 4096, 1 << 20, 4));
    retain_drop (&r, b);                                        /* safe */
    CHECK (!retain_lost (&r));
    retain_give_up (&r, write_and_ack (&r, 9 * 4096));
    _exit (0);                                                  /* no retain_close */
  }
  CHECK (waitpid (child, &status, 0) == child && status == 0);
  CHECK (retain_open (&r, path, 4 * LIMIT, text, sizeof text)); /* another limit: what is kept goes first */
  CHECK_IS (retain_limit (&r), LIMIT);
  CHECK (strcmp (kept (&r), "4 7 8") == 0);
  CHECK_IS (r.kept_bytes, 8192 + 4096 + (1 << 20));
  CHECK_IS (retain_used (&r), 3 * 4096);
  CHECK (retain_lost (&r));
  e = TAILQ_FIRST (&r.kept);
  CHECK_IS (e->state, ENTRY_REPLAY);
  CHECK (((char *) retain_data (&r, retain_index (&r, e)))[8191] == 'a');
  e = TAILQ_LAST (&r.kept, retain_list);
  CHECK_IS (r.slot[retain_index (&r, e)].flags, 4);
  CHECK_IS (r.slot[retain_index (&r, e)].length, 1 << 20);

  {                                                             /* one process at a time */
    struct retain second;
    CHECK (!retain_open (&second, path, LIMIT, text, sizeof text));
    CHECK (strstr (text, "is in use") != NULL);
    retain_close (&second);
  }
  retain_acked (&r, write_at (&r, 20 * 4096, 4096, 'd'));       /* numbers go on, after those found */
  CHECK (strcmp (kept (&r), "4 7 8 20") == 0);
  while ((e = TAILQ_FIRST (&r.kept)))
    retain_drop (&r, retain_index (&r, e));
  retain_told (&r);
  retain_close (&r);
  CHECK (access (path, F_OK) == -1);                            /* nothing kept: no file */
}

static void
check_identity (struct retain *r, uint64_t limit)
{
  const struct identity *id = retain_identity (r);

  CHECK_IS (retain_limit (r), limit);
  CHECK_IS (r->kept_count, 0);
  CHECK (id->known && id->head_known);
  CHECK_IS (id->geometry.size, 12345 * 512);
  CHECK_IS (id->head[IDENTITY_BYTES - 1], 'h');
}

/* With nothing kept the file is made anew when its size is to change; the disk it is for is still the same. */
static void
made_anew (void)
{
  static const struct geometry g = { .size = 12345 * 512 };
  static uint8_t head[IDENTITY_BYTES];
  struct rlimit old, small;
  struct retain r;
  struct stat st;
  int status;
  pid_t child = fork ();

  memset (head, 'h', sizeof head);
  if (child == 0) {
    CHECK (retain_open (&r, path, LIMIT, text, sizeof text));
    identity_learn_geometry (retain_identity (&r), &g, IDENTITY_BYTES);
    identity_learn_head (retain_identity (&r), head);
    write_at (&r, 0, 4096, 'n');
    for (uint32_t i = 0; i < 64; i++)
      retain_acked (&r, write_at (&r, i * 4096, 4096, 0xff));   /* what lies where the slots of a larger one will be */
    retain_flushed (&r, retain_mark (&r));
    _exit (0);
  }
  CHECK (waitpid (child, &status, 0) == child && status == 0);
  CHECK (retain_open (&r, path, 16 * LIMIT, text, sizeof text));
  check_identity (&r, 16 * LIMIT);
  abandon (&r);

  CHECK (signal (SIGXFSZ, SIG_IGN) != SIG_ERR && getrlimit (RLIMIT_FSIZE, &old) == 0);
  small = (struct rlimit) { .rlim_cur = 2 * LIMIT, .rlim_max = old.rlim_max };
  CHECK (setrlimit (RLIMIT_FSIZE, &small) == 0);
  CHECK (!retain_open (&r, path, 8 * LIMIT, text, sizeof text)); /* no room, as in a full /run */
  CHECK (strstr (text, "Give a smaller retain=") != NULL);
  retain_close (&r);
  CHECK (stat (path, &st) == 0 && st.st_size < LIMIT);
  CHECK (setrlimit (RLIMIT_FSIZE, &old) == 0);
  CHECK (retain_open (&r, path, LIMIT, text, sizeof text));     /* smaller */
  check_identity (&r, LIMIT);
  abandon (&r);

  CHECK (retain_open (&r, path, 2 * LIMIT, text, sizeof text)); /* as many slots, but other pages */
  check_identity (&r, 2 * LIMIT);
  abandon (&r);
  CHECK (retain_open (&r, path, LIMIT, text, sizeof text));
  check_identity (&r, LIMIT);
  abandon (&r);

  CHECK (retain_open (&r, path, LIMIT, text, sizeof text));     /* the same size: taken up as it is */
  check_identity (&r, LIMIT);
  retain_close (&r);
  CHECK (access (path, F_OK) == -1);
  CHECK (retain_open (&r, path, LIMIT, text, sizeof text));     /* a clean end forgets it */
  CHECK_IS (retain_identity (&r)->known, 0);
  retain_close (&r);
}

static void
damaged_files (void)
{
  struct retain r;
  int fd = open (path, O_RDWR | O_CREAT, 0600);

  CHECK (write (fd, "something else, for certain", 27) == 27 && ftruncate (fd, 1 << 20) == 0);
  CHECK (!retain_open (&r, path, LIMIT, text, sizeof text));
  CHECK (strstr (text, "not a retain file") != NULL && strstr (text, "delete it") != NULL);
  retain_close (&r);
  CHECK (access (path, F_OK) == 0);                             /* not ours: not deleted */
  unlink (path);
  close (fd);

  CHECK (retain_open (&r, path, LIMIT, text, sizeof text));     /* two changes claim the same page */
  retain_acked (&r, write_at (&r, 0, 4096, 'a'));
  retain_acked (&r, write_at (&r, 4096, 4096, 'b'));
  for (uint32_t i = 0; i < r.slots; i++)
    if (r.slot[i].kept)
      r.slot[i].page = 0;
  r.kept_count = 1;                                             /* so that close leaves the file */
  close (r.fd);
  r.fd = -1;
  retain_close (&r);
  if (access (path, F_OK) == 0) {
    CHECK (!retain_open (&r, path, LIMIT, text, sizeof text));
    CHECK (strstr (text, "damaged") != NULL);
    retain_close (&r);
  }
  unlink (path);

  CHECK (!retain_open (&r, "/nowhere/at/all", LIMIT, text, sizeof text));
  CHECK (strstr (text, "No such file") != NULL);
  retain_close (&r);
}

int
main (void)
{
  close (mkstemp (path));
  unlink (path);
  flush_covers ();
  session_lost ();
  bounded ();
  outlives_its_process ();
  made_anew ();
  damaged_files ();
  return done ("retain");
}
