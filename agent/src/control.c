#include "control.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "disk.h"
#include "status.h"

int
control_listen (const char *path, char *text, size_t size)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), other;
  mode_t mask;
  bool ok;

  if (strlen (path) >= sizeof address.sun_path) {
    snprintf (text, size, "control=%s is too long for a socket's path", path);
    return -1;
  }
  strcpy (address.sun_path, path);
  other = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect (other, (const struct sockaddr *) &address, sizeof address) == 0) {
    snprintf (text, size, "control=%s: another process answers there. Stop it first.", path);
    close (other);
    close (fd);
    return -1;
  }
  if (errno == ECONNREFUSED)
    unlink (path);              /* left by one that was killed */
  close (other);
  mask = umask (0177);
  ok = bind (fd, (const struct sockaddr *) &address, sizeof address) == 0 && listen (fd, 8) == 0;
  umask (mask);
  if (!ok) {
    snprintf (text, size, "control=%s: %s", path, strerror (errno));
    close (fd);
    return -1;
  }
  return fd;
}

static void
print_journal (struct disk *d)
{
  char line[sizeof d->journal[0]];
  unsigned dropped;

  for (;;) {
    pthread_mutex_lock (&d->lock);
    if (d->journal_count == 0) {
      dropped = d->journal_dropped;
      d->journal_dropped = 0;
      pthread_mutex_unlock (&d->lock);
      break;
    }
    memcpy (line, d->journal[d->journal_from], sizeof line);
    d->journal_from = (d->journal_from + 1) % JOURNAL_LINES;
    d->journal_count--;
    pthread_mutex_unlock (&d->lock);
    fprintf (stderr, "netdisk-session: %s: %s\n", d->options.name, line);
  }
  if (dropped > 0)
    fprintf (stderr, "netdisk-session: %s: %u changes of state more\n", d->options.name, dropped);
}

/* Hands a verb to the engine and waits for its answer. */
static bool
ask_engine (struct disk *d, enum verb verb, char *answer, size_t size)
{
  struct timespec until;
  int err = 0;

  clock_gettime (CLOCK_MONOTONIC, &until);
  until.tv_sec += CONTROL_ANSWER_WITHIN_S;
  pthread_mutex_lock (&d->lock);
  if (d->state == ENDED || d->verb != NO_VERB) {
    snprintf (answer, size, "%s", d->state == ENDED ? "the disk has ended" : "another command is under way");
    pthread_mutex_unlock (&d->lock);
    return false;
  }
  d->verb = verb;
  eventfd_write (d->kick_fd, 1);
  while (d->verb == verb && err == 0)
    err = pthread_cond_timedwait (&d->answered, &d->lock, &until);
  snprintf (answer, size, "%s", err ? "no answer in time; it will be done" : d->answer);
  pthread_mutex_unlock (&d->lock);
  return err == 0;
}

static void
serve (struct disk *d, int fd)
{
  static const struct { const char *word; enum verb verb; } verbs[] = {
    { "resume", VERB_RESUME }, { "fail", VERB_FAIL }, { "abort", VERB_ABORT },
  };
  const struct timeval patience = { .tv_sec = 2 };
  char word[16] = "", text[256] = "commands: status, resume, fail, abort", reply[STATUS_BYTES];
  size_t have = 0;
  ssize_t n;
  bool ok = false;

  setsockopt (fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt (fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  while (have < sizeof word - 1 && !strchr (word, '\n') && (n = read (fd, word + have, sizeof word - 1 - have)) > 0)
    have += (size_t) n;
  word[strcspn (word, "\r\n")] = 0;
  if (strcmp (word, "status") == 0)
    status_json (d, reply, sizeof reply);
  else {
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
      if (strcmp (word, verbs[i].word) == 0)
        ok = ask_engine (d, verbs[i].verb, text, sizeof text);
    answer_json (ok, text, reply, sizeof reply);
  }
  send (fd, reply, strlen (reply), MSG_NOSIGNAL);
}

void *
control_run (void *opaque)
{
  struct disk *d = opaque;
  eventfd_t count = 0;

  while (count < CLERK_STOP) {
    struct pollfd fds[] = { { .fd = d->clerk_fd, .events = POLLIN }, { .fd = d->control_fd, .events = POLLIN } };
    int client;

    if (poll (fds, 2, -1) == -1 && errno != EINTR)
      break;
    count = 0;
    if (fds[0].revents & POLLIN)
      eventfd_read (d->clerk_fd, &count);
    print_journal (d);
    if (fds[1].revents & POLLIN && (client = accept4 (d->control_fd, NULL, NULL, SOCK_CLOEXEC)) != -1) {
      serve (d, client);
      close (client);
    }
  }
  print_journal (d);
  return NULL;
}
