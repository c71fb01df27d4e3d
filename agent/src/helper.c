/* netdisk-helper: what a shell script cannot do for a disk: talk to the control socket, and to the kernel's nbd by netlink,
 * and connect over a link that comes and goes.
 *
 *   ask SOCKET WORD            sends WORD to a control socket and prints the answer; status 3 where nobody listens, 1 where
 *                              that cannot be said, or nobody answers in time
 *   keep DEVICE SECONDS        requests wait this long for a new connection when the present one dies
 *   dial HOST PORT             connects, and passes the connection to ssh (ProxyCommand with ProxyUseFdpass)
 *   reconnect DEVICE PID SOCKET
 *                              gives a device whose connection died a new one, once the plugin is ready; PID: what
 *                              /sys/block/DEVICE/pid has to say, or the device is another disk's by now
 *   resize DEVICE PID BYTES    gives the device another size under its users; its connection has to have that already
 *
 * nbd-client can neither keep nor reconnect: it has no switch for the dead-connection timeout, and its -persist loop
 * never reconnects in netlink mode.
 */
#include <errno.h>
#include <linux/nbd-netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <libnbd.h>

#include "control.h"
#include "dial.h"

#define READY_WITHIN_S 60       /* the plugin locks its memory before it listens */
#define DIAL_WITHIN_MS 10000    /* then ssh is started anew, which looks the host's name up again */
#define STATUS_WITHIN_S 3       /* whoever asks has more to do */
#define ANSWER_WITHIN_S (CONTROL_ANSWER_WITHIN_S + 2)
#define NOBODY_LISTENS 3        /* exit status */

static void
complain (const char *what, const char *why)
{
  fprintf (stderr, "netdisk-helper: %s: %s\n", what, why);
}

/* A process that hangs takes no connection: with its backlog full, connect waits, as read and write do, for PATIENCE_S. */
static int
connect_socket (const char *path, int patience_s)
{
  const struct timeval patience = { .tv_sec = patience_s };
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd;

  if (strlen (path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy (address.sun_path, path);
  fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt (fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  setsockopt (fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (fd != -1 && connect (fd, (const struct sockaddr *) &address, sizeof address) == -1) {
    int error = errno;
    close (fd);
    errno = error;
    return -1;
  }
  return fd;
}

static int
ask (const char *path, const char *word)
{
  char line[64], answer[4096];
  ssize_t n, all = 0;
  int fd = connect_socket (path, strcmp (word, "status") == 0 ? STATUS_WITHIN_S : ANSWER_WITHIN_S);

  if (fd == -1) {
    int error = errno;
    complain (path, strerror (error));
    return error == ENOENT || error == ECONNREFUSED ? NOBODY_LISTENS : EXIT_FAILURE;
  }
  n = snprintf (line, sizeof line, "%s\n", word);
  if (n >= (ssize_t) sizeof line || send (fd, line, (size_t) n, MSG_NOSIGNAL) != n) {
    complain (path, "the word could not be sent");
    return EXIT_FAILURE;
  }
  while ((n = read (fd, answer, sizeof answer)) > 0) {
    fwrite (answer, 1, (size_t) n, stdout);
    all += n;
  }
  close (fd);
  if (n == -1 || all == 0) {
    complain (path, n == -1 ? strerror (errno) : "no answer");
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}

/* The N of /dev/nbdN; -1: it is none. */
static int
index_of (const char *device)
{
  char *path = realpath (device, NULL), *end;
  long index = -1;

  if (path && strncmp (path, "/dev/nbd", 8) == 0 && path[8] != 0) {
    index = strtol (path + 8, &end, 10);
    if (*end || index < 0 || index > INT32_MAX)
      index = -1;
  }
  free (path);
  if (index == -1)
    complain (device, "is no nbd device");
  return (int) index;
}

/* NBD_CMD_RECONFIGURE of DEVICE, which is number INDEX. SECONDS: dead-connection timeout, 0: leave it. BYTES: the device's size, 0: leave it. FD: the new
 * connection, -1: none. False, with a complaint: it was not done. */
static bool
reconfigure (const char *device, int index, uint64_t seconds, uint64_t bytes, int fd)
{
  struct nl_sock *netlink = nl_socket_alloc ();
  struct nl_msg *message = nlmsg_alloc ();
  struct nlattr *sockets, *item;
  int family, error = -NLE_NOMEM;

  if (!netlink || !message)
    goto out;
  if ((error = genl_connect (netlink)) < 0 || (error = family = genl_ctrl_resolve (netlink, NBD_GENL_FAMILY_NAME)) < 0)
    goto out;
  error = -NLE_NOMEM;
  if (!genlmsg_put (message, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, 0, NBD_CMD_RECONFIGURE, 0) ||
      nla_put_u32 (message, NBD_ATTR_INDEX, (uint32_t) index) < 0)
    goto out;
  if (seconds > 0 && nla_put_u64 (message, NBD_ATTR_DEAD_CONN_TIMEOUT, seconds) < 0)
    goto out;
  if (bytes > 0 && nla_put_u64 (message, NBD_ATTR_SIZE_BYTES, bytes) < 0)
    goto out;
  if (fd != -1) {
    if (!(sockets = nla_nest_start (message, NBD_ATTR_SOCKETS)) || !(item = nla_nest_start (message, NBD_SOCK_ITEM)) ||
        nla_put_u32 (message, NBD_SOCK_FD, (uint32_t) fd) < 0)
      goto out;
    nla_nest_end (message, item);
    nla_nest_end (message, sockets);
  }
  error = nl_send_sync (netlink, message);
  message = NULL;               /* nl_send_sync has freed it */
out:
  nlmsg_free (message);
  nl_socket_free (netlink);
  if (error < 0)
    complain (device, nl_geterror (error));
  return error >= 0;
}

/* A positive number, or 0 with a complaint: TEXT is no number of WHAT. */
static uint64_t
number_of (const char *text, const char *what)
{
  char *end, complaint[64];
  unsigned long long number = strtoull (text, &end, 10);

  if (*text >= '0' && *text <= '9' && *end == 0 && number > 0)
    return number;
  snprintf (complaint, sizeof complaint, "is no number of %s", what);
  complain (text, complaint);
  return 0;
}

static int
keep (const char *device, const char *text)
{
  int index = index_of (device);
  uint64_t seconds = number_of (text, "seconds");

  return index != -1 && seconds > 0 && reconfigure (device, index, seconds, 0, -1) ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* A connection of its own with the handshake done, or -1. libnbd does the talking; closing its handle says no goodbye. */
static int
handshake (const char *socket)
{
  struct nbd_handle *nbd = nbd_create ();
  int fd = -1;

  /* the kernel knows simple replies only */
  if (nbd && nbd_set_request_structured_replies (nbd, false) == 0 && nbd_connect_unix (nbd, socket) == 0)
    fd = dup (nbd_aio_get_fd (nbd));
  nbd_close (nbd);
  return fd;
}

/* Was it PID that the device was attached with, and does that last? */
static bool
attached_by (int index, const char *pid)
{
  char path[64], found[32] = "";
  FILE *file;

  snprintf (path, sizeof path, "/sys/block/nbd%d/pid", index);
  file = fopen (path, "re");
  if (!file)
    return false;
  if (!fgets (found, sizeof found, file))
    found[0] = 0;
  fclose (file);
  found[strcspn (found, "\n")] = 0;
  return strcmp (found, pid) == 0;
}

/* The kernel says yes, too, where it has not noticed yet that the old connection is dead. Then it takes no new one, ours ends
 * with us, and the plugin has this run again. */
static int
reconnect (const char *device, const char *pid, const char *socket)
{
  int index = index_of (device), fd = -1;

  if (index == -1)
    return EXIT_FAILURE;
  for (int i = 0; fd == -1 && attached_by (index, pid) && i < READY_WITHIN_S * 5; i++) {
    if (i > 0)
      poll (NULL, 0, 200);
    fd = handshake (socket);
  }
  if (!attached_by (index, pid)) {      /* asked last: the handshake may have taken its time */
    printf ("%s is not attached any more\n", device);
    return EXIT_SUCCESS;
  }
  if (fd == -1) {
    complain (socket, nbd_get_error ());
    return EXIT_FAILURE;
  }
  if (!reconfigure (device, index, 0, 0, fd))
    return EXIT_FAILURE;
  printf ("%s is connected again\n", device);
  return EXIT_SUCCESS;
}

/* Linux may wait until nothing is on the way, and lets nobody connect the device meanwhile: not before it has a connection
 * that answers. */
static int
resize (const char *device, const char *pid, const char *text)
{
  int index = index_of (device);
  uint64_t bytes = number_of (text, "bytes");

  if (index == -1 || bytes == 0)
    return EXIT_FAILURE;
  if (!attached_by (index, pid)) {
    complain (device, "is not attached any more");
    return EXIT_FAILURE;
  }
  return reconfigure (device, index, 0, bytes, -1) ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int
dial_for_ssh (const char *host, const char *port)
{
  const char *why;
  int fd = dial (host, port, DIAL_WITHIN_MS, &why);

  if (fd == -1) {
    fprintf (stderr, "connect to host %s port %s: %s\n", host, port, why);
    return EXIT_FAILURE;
  }
  if (dial_pass (STDOUT_FILENO, fd) == -1) {
    complain ("standard output", "is not ssh's");
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}

int
main (int argc, char *argv[])
{
  if (argc == 4 && strcmp (argv[1], "dial") == 0)
    return dial_for_ssh (argv[2], argv[3]);
  if (argc == 4 && strcmp (argv[1], "ask") == 0)
    return ask (argv[2], argv[3]);
  if (argc == 4 && strcmp (argv[1], "keep") == 0)
    return keep (argv[2], argv[3]);
  if (argc == 5 && strcmp (argv[1], "reconnect") == 0)
    return reconnect (argv[2], argv[3], argv[4]);
  if (argc == 5 && strcmp (argv[1], "resize") == 0)
    return resize (argv[2], argv[3], argv[4]);
  fprintf (stderr, "usage: netdisk-helper ask SOCKET WORD | dial HOST PORT | keep DEVICE SECONDS | reconnect DEVICE PID SOCKET |\n"
           "       resize DEVICE PID BYTES\n");
  return 2;
}
