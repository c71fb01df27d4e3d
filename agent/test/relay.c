/* relay LISTEN UPSTREAM CONTROL DELAY_MS RATE_BYTES: a link that can fail, between two unix sockets, for the tests.
 *
 * DELAY_MS each way, RATE_BYTES a second each way (0: no limit). Datagrams to CONTROL:
 *   drop   all connections end; new ones are fine
 *   cut    all connections end; new ones end at once
 *   hole   nothing goes through any more, nothing ends, new connections are accepted: a black hole
 *   heal   as new; connections from before a hole end
 *   rate N a new rate
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PAIRS 64
#define CHUNK 16384
#define QUEUE_MAX ((size_t) 4 << 20)    /* what a long link and its buffers hold */

struct chunk { struct chunk *next; double due; size_t length, done; char data[CHUNK]; };
struct way { int from, to; struct chunk *head, **tail; size_t queued; double free_at; bool ended; };
struct pair { bool used; struct way way[2]; };

static struct pair pairs[PAIRS];
static double delay, rate;
static bool cut, hole;

static double
now (void)
{
  struct timespec t;
  clock_gettime (CLOCK_MONOTONIC, &t);
  return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static int
unix_socket (const char *path, int type, bool serve)
{
  struct sockaddr_un a = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, type | SOCK_CLOEXEC, 0);

  snprintf (a.sun_path, sizeof a.sun_path, "%s", path);
  if (serve)
    unlink (path);
  if (serve ? bind (fd, (void *) &a, sizeof a) == -1 || (type == SOCK_STREAM && listen (fd, 64) == -1)
      : connect (fd, (void *) &a, sizeof a) == -1) {
    close (fd);
    return -1;
  }
  return fd;
}

static void
end_pair (struct pair *p)
{
  for (int k = 0; k < 2; k++)
    for (struct chunk *c; (c = p->way[k].head); free (c))
      p->way[k].head = c->next;
  close (p->way[0].from);
  close (p->way[0].to);
  p->used = false;
}

static void
end_all (void)
{
  for (int i = 0; i < PAIRS; i++)
    if (pairs[i].used)
      end_pair (&pairs[i]);
}

static void
begin_pair (int listener, const char *upstream)
{
  int client = accept4 (listener, NULL, NULL, SOCK_CLOEXEC), server = -1, i = 0;

  while (i < PAIRS && pairs[i].used)
    i++;
  if (cut || i == PAIRS || (server = unix_socket (upstream, SOCK_STREAM, false)) == -1) {
    close (client);
    return;
  }
  fcntl (client, F_SETFL, O_NONBLOCK);
  fcntl (server, F_SETFL, O_NONBLOCK);
  pairs[i].used = true;
  pairs[i].way[0] = (struct way) { .from = client, .to = server, .tail = &pairs[i].way[0].head };
  pairs[i].way[1] = (struct way) { .from = server, .to = client, .tail = &pairs[i].way[1].head };
}

static void
obey (int control)
{
  char word[32] = "";

  if (recv (control, word, sizeof word - 1, 0) <= 0)
    return;
  if (strncmp (word, "rate ", 5) == 0)
    rate = atof (word + 5);
  else {
    if (strcmp (word, "hole") != 0 && (strcmp (word, "heal") != 0 || hole))
      end_all ();
    cut = strcmp (word, "cut") == 0;
    hole = strcmp (word, "hole") == 0;
  }
}

/* Takes in what came; false: the pair is over. */
static bool
take (struct pair *p, struct way *w, double t)
{
  struct chunk *c = malloc (sizeof *c);
  ssize_t n = c ? recv (w->from, c->data, CHUNK, 0) : -1;

  if (n <= 0) {
    free (c);
    w->ended |= n == 0 || errno != EAGAIN;
    if (w->ended && !w->head)
      end_pair (p);
    return p->used;
  }
  if (w->free_at < t)
    w->free_at = t;
  if (rate > 0)
    w->free_at += (double) n / rate;
  c->next = NULL;
  c->due = w->free_at + delay;
  c->length = (size_t) n;
  c->done = 0;
  *w->tail = c;
  w->tail = &c->next;
  w->queued += c->length;
  return true;
}

static bool
pass_on (struct pair *p, struct way *w)
{
  struct chunk *c = w->head;
  ssize_t n = send (w->to, c->data + c->done, c->length - c->done, MSG_NOSIGNAL);

  if (n < 0 && errno != EAGAIN) {
    end_pair (p);
    return false;
  }
  if (n > 0) {
    c->done += (size_t) n;
    w->queued -= (size_t) n;
  }
  if (c->done == c->length) {
    if (!(w->head = c->next))
      w->tail = &w->head;
    free (c);
  }
  if (!w->head && w->ended)
    end_pair (p);
  return p->used;
}

int
main (int argc, char **argv)
{
  int listener, control;

  if (argc != 6)
    return 2;
  listener = unix_socket (argv[1], SOCK_STREAM, true);
  control = unix_socket (argv[3], SOCK_DGRAM, true);
  delay = atof (argv[4]) / 1e3;
  rate = atof (argv[5]);
  if (listener == -1 || control == -1)
    return 1;
  for (;;) {
    struct pollfd fds[2 + PAIRS * 4];
    struct { struct pair *pair; struct way *way; bool in; } what[2 + PAIRS * 4];
    double t = now (), next = t + 1;
    struct timespec wait;
    nfds_t n = 2;

    fds[0] = (struct pollfd) { .fd = listener, .events = POLLIN };
    fds[1] = (struct pollfd) { .fd = control, .events = POLLIN };
    for (int i = 0; i < PAIRS && !hole; i++)
      for (int k = 0; k < 2 && pairs[i].used; k++) {
        struct way *w = &pairs[i].way[k];
        if (!w->ended && w->queued < QUEUE_MAX) {
          what[n].pair = &pairs[i], what[n].way = w, what[n].in = true;
          fds[n++] = (struct pollfd) { .fd = w->from, .events = POLLIN };
        }
        if (w->head && w->head->due <= t) {
          what[n].pair = &pairs[i], what[n].way = w, what[n].in = false;
          fds[n++] = (struct pollfd) { .fd = w->to, .events = POLLOUT };
        }
        else if (w->head && w->head->due < next)
          next = w->head->due;
      }
    wait.tv_sec = (time_t) (next - t);
    wait.tv_nsec = (long) ((next - t - (double) wait.tv_sec) * 1e9);
    if (ppoll (fds, n, &wait, NULL) <= 0)
      continue;
    if (fds[1].revents)
      obey (control);
    else if (fds[0].revents)
      begin_pair (listener, argv[2]);
    else
      for (nfds_t j = 2; j < n; j++)
        if (fds[j].revents && what[j].pair->used) {
          if (what[j].in)
            take (what[j].pair, what[j].way, now ());
          else if (what[j].way->head)
            pass_on (what[j].pair, what[j].way);
        }
  }
}
