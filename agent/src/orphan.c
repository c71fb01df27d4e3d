#include "orphan.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "transport.h"

void
orphan_init (struct orphan *o, const char *command)
{
  pthread_condattr_t clock;

  *o = (struct orphan) { .command = command, .pause_ms = 1000 };
  pthread_mutex_init (&o->lock, NULL);
  pthread_condattr_init (&clock);
  pthread_condattr_setclock (&clock, CLOCK_MONOTONIC);
  pthread_cond_init (&o->changed, &clock);
  pthread_condattr_destroy (&clock);
}

/* Under the lock. Sleeps for the pause; false: it is no longer wanted. */
static bool
still_due_after_pause (struct orphan *o)
{
  struct timespec until;

  clock_gettime (CLOCK_MONOTONIC, &until);
  until.tv_sec += o->pause_ms / 1000;
  until.tv_nsec += o->pause_ms % 1000 * 1000000L;
  if (until.tv_nsec >= 1000000000L) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000L;
  }
  while (!o->ending && o->due)
    if (pthread_cond_timedwait (&o->changed, &o->lock, &until) == ETIMEDOUT)
      return true;
  return false;
}

/* Under the lock, let go while the command runs. */
static void
run_command (struct orphan *o)
{
  char *argv[] = { (char *) "sh", (char *) "-c", (char *) o->command, NULL };
  int null = open ("/dev/null", O_RDONLY | O_CLOEXEC), status = -1, error;
  pid_t child;

  error = null == -1 ? errno : transport_spawn (&child, argv, null, STDERR_FILENO, STDERR_FILENO);
  if (null != -1)
    close (null);
  if (error != 0) {
    fprintf (stderr, "netdisk-session: %s: %s\n", o->command, strerror (error));
    return;
  }
  o->child = child;
  o->due = false;               /* what closes from now on is news */
  pthread_mutex_unlock (&o->lock);
  while (waitpid (child, &status, 0) == -1 && errno == EINTR)
    ;
  pthread_mutex_lock (&o->lock);
  o->child = 0;
  if (status != 0 && o->open == 0)
    o->due = true;
}

static void *
orphan_run (void *opaque)
{
  struct orphan *o = opaque;

  pthread_mutex_lock (&o->lock);
  while (!o->ending)
    if (!o->due)
      pthread_cond_wait (&o->changed, &o->lock);
    else if (still_due_after_pause (o))
      run_command (o);
  pthread_mutex_unlock (&o->lock);
  return NULL;
}

bool
orphan_start (struct orphan *o, char *text, size_t size)
{
  int error = o->command ? pthread_create (&o->thread, NULL, orphan_run, o) : 0;

  o->runs = o->command && error == 0;
  if (error != 0)
    snprintf (text, size, "no new thread: %s", strerror (error));
  return error == 0;
}

void
orphan_opened (struct orphan *o)
{
  pthread_mutex_lock (&o->lock);
  o->open++;
  o->due = false;
  pthread_cond_broadcast (&o->changed);
  pthread_mutex_unlock (&o->lock);
}

void
orphan_closed (struct orphan *o)
{
  pthread_mutex_lock (&o->lock);
  if (--o->open == 0)
    o->due = true;
  pthread_cond_broadcast (&o->changed);
  pthread_mutex_unlock (&o->lock);
}

void
orphan_stop (struct orphan *o)
{
  if (!o->runs)
    return;
  pthread_mutex_lock (&o->lock);
  o->ending = true;
  if (o->child != 0)
    kill (-o->child, SIGKILL);
  pthread_cond_broadcast (&o->changed);
  pthread_mutex_unlock (&o->lock);
  pthread_join (o->thread, NULL);
  o->runs = false;
}
