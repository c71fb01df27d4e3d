#include "dial.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"

static int resolver_ms;         /* how long it takes */

/* dial's, in the place of libc's. */
int
getaddrinfo (const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **addresses)
{
  static int (*libc) (const char *, const char *, const struct addrinfo *, struct addrinfo **);

  if (!libc)
    *(void **) &libc = dlsym (RTLD_NEXT, "getaddrinfo");
  poll (NULL, 0, resolver_ms);
  return libc (host, port, hints, addresses);
}

/* A listener on a free port of 127.0.0.1, with room for BACKLOG connections that nobody accepts. */
static int
listener (int backlog, char port[8])
{
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  socklen_t size = sizeof address;
  int fd = socket (AF_INET, SOCK_STREAM, 0);

  CHECK (bind (fd, (struct sockaddr *) &address, size) == 0 && listen (fd, backlog) == 0);
  CHECK (getsockname (fd, (struct sockaddr *) &address, &size) == 0);
  snprintf (port, 8, "%u", ntohs (address.sin_port));
  return fd;
}

static double
seconds (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static int
receive (int socket)
{
  char data, space[64];
  struct iovec iov = { .iov_base = &data, .iov_len = 1 };
  struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space };
  int fd = -1;

  if (recvmsg (socket, &message, 0) == 1 && CMSG_FIRSTHDR (&message))
    memcpy (&fd, CMSG_DATA (CMSG_FIRSTHDR (&message)), sizeof fd);
  return fd;
}

int
main (void)
{
  const char *why = "";
  char port[8];
  int pair[2], listening, fd, full, fillers[2];
  double begun;
  pid_t child;

  /* somebody listens, also behind a name with several addresses, the first of which refuses */
  listening = listener (8, port);
  CHECK ((fd = dial ("127.0.0.1", port, 2000, &why)) != -1);
  close (fd);
  CHECK ((fd = dial ("localhost", port, 2000, &why)) != -1);

  /* the resolver needs longer than the dial may */
  resolver_ms = 600;
  CHECK ((full = dial ("localhost", port, 300, &why)) != -1);
  close (full);
  resolver_ms = 0;

  /* what is passed is that connection */
  CHECK (socketpair (AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  CHECK_IS (dial_pass (pair[0], fd), 0);
  CHECK_IS (write (receive (pair[1]), "x", 1), 1);
  close (listening);

  /* nobody does: an answer, at once */
  begun = seconds ();
  CHECK_IS (dial ("127.0.0.1", port, 3000, &why), -1);
  CHECK (strcmp (why, "Connection refused") == 0 && seconds () - begun < 1);
  CHECK_IS (dial ("no-such-host.invalid", "22", 3000, &why), -1);
  CHECK (strlen (why) > 0);

  /* a full backlog drops SYNs as a cut link does; room is made after 3.2 s, when the first attempt's next SYN is 3.8 s away */
  full = listener (0, port);
  for (int i = 0; i < 2; i++)
    fillers[i] = dial ("127.0.0.1", port, 300, &why);
  CHECK (fillers[0] != -1);
  begun = seconds ();
  CHECK_IS (dial ("127.0.0.1", port, 1500, &why), -1);
  CHECK (strcmp (why, "Connection timed out") == 0 && seconds () - begun > 1.4);
  if ((child = fork ()) == 0) {
    poll (NULL, 0, 3200);
    while (accept (full, NULL, NULL) != -1)
      ;
    _exit (0);
  }
  begun = seconds ();
  CHECK ((fd = dial ("127.0.0.1", port, 10000, &why)) != -1);
  CHECK (seconds () - begun > 3 && seconds () - begun < 4.6);
  kill (child, SIGKILL);
  waitpid (child, NULL, 0);
  return done ("dial");
}
