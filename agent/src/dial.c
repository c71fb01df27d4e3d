#include "dial.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

#define EVERY_MS 1000
#define MAX_PENDING 8           /* the oldest makes room: none waits for longer than this many seconds */

struct dialling {
  struct pollfd pending[MAX_PENDING];
  unsigned count;
  int error;                    /* the latest that an attempt ended with */
};

static void
forget (struct dialling *d, unsigned i)
{
  close (d->pending[i].fd);
  d->count--;
  memmove (d->pending + i, d->pending + i + 1, (d->count - i) * sizeof d->pending[0]);
}

/* One that is connected at once is found by poll, too: it is writable. */
static void
begin (struct dialling *d, const struct addrinfo *to)
{
  int fd = socket (to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  if (fd == -1 || (connect (fd, to->ai_addr, to->ai_addrlen) == -1 && errno != EINPROGRESS)) {
    d->error = errno;
    if (fd != -1)
      close (fd);
    return;
  }
  if (d->count == MAX_PENDING)
    forget (d, 0);
  d->pending[d->count++] = (struct pollfd) { .fd = fd, .events = POLLOUT };
}

/* Waits until an attempt has ended, MS at most. Returns its number where it is connected; -1: none is. */
static int
answered (struct dialling *d, int ms)
{
  if (poll (d->pending, d->count, ms) <= 0)
    return -1;
  for (unsigned i = 0; i < d->count; i++) {
    int error = 0;
    socklen_t size = sizeof error;

    if (d->pending[i].revents == 0)
      continue;
    if (getsockopt (d->pending[i].fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0)
      return (int) i;
    d->error = error;
    forget (d, i--);
  }
  return -1;
}

/* Keeps one attempt, blocking as ssh expects it, and ends the others. */
static int
take (struct dialling *d, int chosen)
{
  int fd = -1;

  while (d->count > 0) {
    d->count--;
    if ((int) d->count == chosen)
      fd = d->pending[d->count].fd;
    else
      close (d->pending[d->count].fd);
  }
  if (fd != -1)
    fcntl (fd, F_SETFL, fcntl (fd, F_GETFL) & ~O_NONBLOCK);
  return fd;
}

int
dial (const char *host, const char *port, int ms, const char **why)
{
  const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
  struct addrinfo *addresses, *next;
  struct dialling d = { .error = ETIMEDOUT };
  uint64_t due = 0, end;        /* due: the next attempt */
  int chosen = -1, error = getaddrinfo (host, port, &hints, &addresses);

  if (error != 0) {
    *why = gai_strerror (error);
    return -1;
  }
  next = addresses;
  end = now_ms () + (uint64_t) ms;      /* a resolver that is slow, over the same link, takes none of it */
  while (chosen == -1 && now_ms () < end) {
    if (d.count == 0 || now_ms () >= due) {
      if (!next && d.count == 0)
        break;                  /* every address has answered, with an error */
      if (!next)
        next = addresses;
      begin (&d, next);
      next = next->ai_next;
      due = now_ms () + EVERY_MS;
    }
    if (d.count > 0) {
      uint64_t until = due < end ? due : end, now = now_ms ();
      chosen = answered (&d, until > now ? (int) (until - now) : 0);
    }
  }
  *why = strerror (now_ms () < end ? d.error : ETIMEDOUT);
  freeaddrinfo (addresses);
  return take (&d, chosen);
}

int
dial_pass (int socket, int fd)
{
  char nothing = 0;
  struct iovec data = { .iov_base = &nothing, .iov_len = 1 };
  union { struct cmsghdr header; char space[CMSG_SPACE (sizeof fd)]; } control = { 0 };
  struct msghdr message = {
    .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space,
  };

  control.header = (struct cmsghdr) { .cmsg_len = CMSG_LEN (sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
  memcpy (CMSG_DATA (&control.header), &fd, sizeof fd);
  return sendmsg (socket, &message, MSG_NOSIGNAL) == 1 ? 0 : -1;
}
