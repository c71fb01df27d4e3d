#include "transport.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#define EXIT(n) ((n) << 8)

static int
pid_is_gone (pid_t pid)
{
  for (int i = 0; i < 100; i++) {
    transport_reap ();
    if (kill (pid, 0) == -1)
      return 1;
    poll (NULL, 0, 20);
  }
  return 0;
}

int
main (void)
{
  char *says[] = { "/bin/sh", "-c", "printf 'two\\007\\n\\n' >&2; echo 'proxy dialer did not pass back a connection' >&2; exit 3", NULL };
  char *refuses[] = { "/bin/sh", "-c", "printf 'netdisk-serve: photos: %0250d netdisk abort photos\n' 0 >&2; exit 1", NULL };
  char *lives[] = { "/bin/sh", "-c", "sleep 60 & wait", NULL };
  char *talks[] = { "/bin/sh", "-c", "exec yes >&2", NULL };
  char *missing[] = { "/nowhere/ssh", NULL };
  char buffer[8] = "";
  struct transport t;
  pid_t pid;
  int fd;

  /* what ssh says, as OpenSSH 9.2 and 10.0 say it */
  CHECK_IS (transport_judge ("ssh: connect to host server port 22: Connection timed out", EXIT (255)), UNANSWERED);
  CHECK_IS (transport_judge ("ssh: connect to host server port 22: No route to host", EXIT (255)), UNANSWERED);
  CHECK_IS (transport_judge ("ssh: connect to host server port 22: Connection refused", EXIT (255)), UNANSWERED);
  CHECK_IS (transport_judge ("ssh: Could not resolve hostname server: Name or service not known", EXIT (255)), UNANSWERED);
  CHECK_IS (transport_judge ("root@server: Permission denied (publickey).", EXIT (255)), REFUSED);
  CHECK_IS (transport_judge ("Host key verification failed.", EXIT (255)), REFUSED);
  CHECK_IS (transport_judge ("kex_exchange_identification: Connection closed by remote host", EXIT (255)), REFUSED);
  CHECK_IS (transport_judge ("Connection reset by 10.77.0.1 port 22", EXIT (255)), REFUSED);
  CHECK_IS (transport_judge ("netdisk-serve: photos is leased to client2 since yesterday", EXIT (75)), REFUSED);
  CHECK_IS (transport_judge ("", EXIT (255)), UNANSWERED);
  CHECK_IS (transport_judge ("", SIGKILL), UNANSWERED);
  CHECK_IS (transport_judge ("", -1), UNANSWERED);

  fd = transport_command (&t, says);
  CHECK (fd != -1);
  transport_last_words (&t);
  CHECK (strcmp (t.words, "two?") == 0);        /* the last line that says something, printable */
  CHECK_IS (t.pid, 0);
  CHECK_IS (t.exit_status, EXIT (3));
  transport_end (&t);
  close (fd);

  fd = transport_command (&t, refuses);         /* the cure is at the end */
  CHECK (fd != -1);
  transport_last_words (&t);
  CHECK (strstr (t.words, "netdisk abort photos") != NULL);
  transport_end (&t);
  close (fd);

  fd = transport_command (&t, lives);           /* a child of its own: the group dies, not only the shell */
  CHECK (fd != -1);
  CHECK (write (fd, "hello", 5) == 5);
  pid = t.pid;
  CHECK (pid > 0 && getpgid (pid) == pid);
  transport_end (&t);
  CHECK (pid_is_gone (pid));
  CHECK (read (fd, buffer, sizeof buffer) >= -1);
  close (fd);

  fd = transport_command (&t, talks);           /* and never stops: nobody is held up by that */
  CHECK (fd != -1);
  alarm (10);
  for (int i = 0; i < 10; i++)
    transport_listen (&t);
  transport_last_words (&t);
  alarm (0);
  transport_end (&t);
  close (fd);

  CHECK_IS (transport_command (&t, missing), -1);
  CHECK_IS (transport_socket ("/nowhere/socket"), -1);
  return done ("transport");
}
