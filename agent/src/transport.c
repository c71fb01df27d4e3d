#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define SSH_OWN_FAILURE 255     /* ssh's exit status when it was not the remote command that failed */
#define MAX_ENDED 64
#define READS_AT_ONCE 16

/* Killed but perhaps not gone: a process in D state must not hold us up. */
static pid_t ended[MAX_ENDED];
static unsigned n_ended;

void
transport_init (struct transport *t)
{
  *t = (struct transport) { .words_fd = -1, .exit_status = -1 };
}

int
transport_spawn (pid_t *pid, char *const argv[], int in, int out, int words)
{
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attr;
  sigset_t none, all;
  int err;

  sigemptyset (&none);
  sigfillset (&all);
  posix_spawn_file_actions_init (&files);
  posix_spawn_file_actions_adddup2 (&files, in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2 (&files, out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2 (&files, words, STDERR_FILENO);
  posix_spawnattr_init (&attr);
  posix_spawnattr_setpgroup (&attr, 0);
  posix_spawnattr_setsigmask (&attr, &none);
  posix_spawnattr_setsigdefault (&attr, &all);
  posix_spawnattr_setflags (&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  err = posix_spawnp (pid, argv[0], &files, &attr, argv, environ);
  posix_spawnattr_destroy (&attr);
  posix_spawn_file_actions_destroy (&files);
  return err;
}

int
transport_command (struct transport *t, char *const argv[])
{
  int stdio[2] = { -1, -1 }, words[2] = { -1, -1 }, err;

  transport_init (t);
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stdio) == -1 || pipe2 (words, O_CLOEXEC) == -1)
    err = errno;
  else
    err = transport_spawn (&t->pid, argv, stdio[1], stdio[1], words[1]);
  if (stdio[1] != -1)
    close (stdio[1]);
  if (words[1] != -1)
    close (words[1]);
  if (err == 0) {
    t->words_fd = words[0];
    fcntl (words[0], F_SETFL, O_NONBLOCK);
    return stdio[0];
  }
  t->pid = 0;
  if (stdio[0] != -1)
    close (stdio[0]);
  if (words[0] != -1)
    close (words[0]);
  errno = err;
  return -1;
}

int
transport_socket (const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd, err;

  if (strlen (path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy (address.sun_path, path);
  /* non-blocking: a full backlog is "nobody answers", not a reason to hang */
  fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd != -1 && connect (fd, (const struct sockaddr *) &address, sizeof address) == -1) {
    err = errno;
    close (fd);
    errno = err;
    return -1;
  }
  return fd;
}

/* ssh's own words after those of its ProxyCommand, which say why. */
static bool
says_nothing (const char *line)
{
  return strncmp (line, "mm_receive_fd: ", 15) == 0 || strncmp (line, "proxy dialer did not", 20) == 0;
}

/* Keeps the last line that says something, printable. */
static void
hear (struct transport *t, char *text, size_t length)
{
  char *line, *rest = text;

  text[length] = 0;
  while ((line = strsep (&rest, "\r\n")))
    if (line[0] != 0 && !says_nothing (line)) {
      snprintf (t->words, sizeof t->words, "%s", line);
      for (char *c = t->words; *c; c++)
        if ((unsigned char) *c < ' ' || *c == 0x7f)
          *c = '?';
    }
}

void
transport_listen (struct transport *t)
{
  char text[4096];
  ssize_t n;
  int status;

  for (int i = 0; i < READS_AT_ONCE && t->words_fd != -1 && (n = read (t->words_fd, text, sizeof text - 1)) > 0; i++)
    hear (t, text, (size_t) n);
  if (t->pid != 0 && waitpid (t->pid, &status, WNOHANG) == t->pid) {
    t->pid = 0;
    t->exit_status = status;
  }
}

void
transport_last_words (struct transport *t)
{
  transport_listen (t);
  for (int i = 0; i < 20 && t->pid != 0; i++) {
    poll (NULL, 0, 10);
    transport_listen (t);
  }
  transport_listen (t);
}

void
transport_end (struct transport *t)
{
  if (t->pid != 0) {
    kill (-t->pid, SIGKILL);
    if (n_ended == MAX_ENDED)           /* so many that do not die: forget the oldest, it stays a zombie */
      memmove (ended, ended + 1, --n_ended * sizeof ended[0]);
    ended[n_ended++] = t->pid;
  }
  if (t->words_fd != -1)
    close (t->words_fd);
  transport_init (t);
  transport_reap ();
}

void
transport_reap (void)
{
  for (unsigned i = 0; i < n_ended;)
    if (waitpid (ended[i], NULL, WNOHANG) != 0)
      ended[i] = ended[--n_ended];
    else
      i++;
}

enum failure
transport_judge (const char *words, int status)
{
  static const char *const refusals[] = {
    "Permission denied", "Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED", "kex_exchange",
    "Connection closed", "Connection reset", "Too many authentication failures", "Not allowed", "Disconnected from",
  };

  for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
    if (strstr (words, refusals[i]))
      return REFUSED;
  /* not ssh's own failure: the program on the server ended, so somebody was there and did not want us */
  if (status != -1 && WIFEXITED (status) && WEXITSTATUS (status) != SSH_OWN_FAILURE)
    return REFUSED;
  return UNANSWERED;
}
