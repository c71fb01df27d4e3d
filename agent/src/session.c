#include "session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "disk.h"
#include "engine.h"
#include "send.h"

static const char *
libnbd_error (void)
{
  const char *text = nbd_get_error ();
  return text ? text : "closed by the server";
}

/* What kind of failure is the end of a connection? A command knows whether it was the link or the server; without one, who
 * spoke NBD with us and then hung up did not want us. */
static enum failure
judge (const struct session *s, const struct transport *t, bool answered)
{
  bool command = t->pid != 0 || t->exit_status != -1;

  if (s->began_ms != 0)
    return UNANSWERED;          /* an established session was cut: that is no refusal */
  return command ? transport_judge (t->words, t->exit_status) : answered ? REFUSED : UNANSWERED;
}

/* A connection ended by itself. Its command's last words tell more than libnbd, which only saw the end of a stream. */
static void
connection_lost (struct session *s, unsigned i, const char *doing, const char *cause)
{
  struct transport *t = &s->transport[i];

  transport_last_words (t);
  session_fault (s, judge (s, t, nbd_stats_bytes_received (s->connection[i]) > 0), "%s: %s", doing,
                 t->words[0] ? t->words : cause);
}

void
session_poll (struct disk *d, int ms)
{
  struct session *s = &d->session;
  struct pollfd fds[MAX_CONNECTIONS + 1];
  unsigned i, way;
  eventfd_t count;

  for (i = 0; i < s->count; i++) {
    way = nbd_aio_get_direction (s->connection[i]);
    fds[i] = (struct pollfd) {
      .fd = nbd_aio_get_fd (s->connection[i]),
      .events = (short) ((way & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
                         (way & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0)),
    };
  }
  fds[i] = (struct pollfd) { .fd = d->kick_fd, .events = POLLIN };
  if (poll (fds, s->count + 1, ms) == -1)
    return;
  if (fds[i].revents & POLLIN)
    eventfd_read (d->kick_fd, &count);
  for (i = 0; i < s->count; i++) {
    int result = 0;
    way = nbd_aio_get_direction (s->connection[i]);     /* may have changed since: ask again */
    if ((way & LIBNBD_AIO_DIRECTION_READ) && (fds[i].revents & (POLLIN | POLLHUP | POLLERR)))
      result = nbd_aio_notify_read (s->connection[i]);
    else if ((way & LIBNBD_AIO_DIRECTION_WRITE) && (fds[i].revents & (POLLOUT | POLLHUP | POLLERR)))
      result = nbd_aio_notify_write (s->connection[i]);
    if (nbd_aio_is_dead (s->connection[i]) || nbd_aio_is_closed (s->connection[i]))     /* an old error says nothing */
      connection_lost (s, i, s->began_ms ? "connection lost" : "no session",
                       result == -1 ? libnbd_error () : "closed by the server");
  }
}

void
session_listen (struct session *s)
{
  for (unsigned i = 0; i < s->count; i++)
    transport_listen (&s->transport[i]);
  transport_reap ();
}

uint64_t
session_bytes (const struct session *s)
{
  uint64_t bytes = 0;

  for (unsigned i = 0; i < s->count; i++)
    bytes += nbd_stats_bytes_sent (s->connection[i]) + nbd_stats_bytes_received (s->connection[i]);
  return bytes;
}

struct nbd_handle *
session_connection (struct session *s)
{
  return s->connection[s->next++ % s->count];
}

bool
session_sends_at_once (const struct session *s)
{
  return !nbd_aio_is_processing (s->connection[s->next % s->count]);
}

/* Begins one more connection; the handshake goes on in session_poll. */
static bool
connect_one (struct disk *d)
{
  struct session *s = &d->session;
  struct transport *t = &s->transport[s->count];
  struct nbd_handle *h = nbd_create ();
  int fd;

  transport_init (t);
  if (!h) {
    session_fault (s, UNANSWERED, "libnbd: %s", libnbd_error ());
    return false;
  }
  s->connection[s->count++] = h;
  nbd_set_export_name (h, d->options.export);
  nbd_set_full_info (h, true);
  nbd_set_pread_initialize (h, false);
  nbd_set_request_structured_replies (h, false);        /* of these libnbd takes a short one for success */
  fd = d->options.command ? transport_command (t, d->options.command) : transport_socket (d->options.socket);
  if (fd == -1) {
    session_fault (s, UNANSWERED, "%s: %s", d->options.command ? d->options.command[0] : d->options.socket,
                   strerror (errno));
    return false;
  }
  if (nbd_aio_connect_socket (h, fd) == -1) {           /* it reads already: the command may have spoken and gone */
    connection_lost (s, s->count - 1, "no session", libnbd_error ());
    return false;
  }
  return true;
}

static bool
all_ready (const struct session *s)
{
  for (unsigned i = 0; i < s->count; i++)
    if (!nbd_aio_is_ready (s->connection[i]))
      return false;
  return true;
}

/* Lets the handshakes go on until all are done. */
static bool
wait_ready (struct disk *d, uint64_t deadline)
{
  struct session *s = &d->session;

  while (s->fault[0] == 0 && !all_ready (s)) {
    session_poll (d, 100);
    session_listen (s);
    if (now_ms () > deadline)
      session_fault (s, UNANSWERED, "no session: no answer within %u s", d->options.dial_timeout_s);
    if (engine_heed (d))
      session_fault (s, UNANSWERED, "no session: interrupted");
  }
  return s->fault[0] == 0;
}

static uint8_t
ability (int answer)
{
  return answer == 1;
}

static uint32_t
block_size (struct nbd_handle *h, int type)
{
  int64_t bytes = nbd_get_block_size (h, type);
  return bytes > 0 && bytes <= UINT32_MAX ? (uint32_t) bytes : 0;
}

static void
read_geometry (struct nbd_handle *h, struct geometry *g)
{
  *g = (struct geometry) {
    .size = (uint64_t) nbd_get_size (h),
    .block_min = block_size (h, LIBNBD_SIZE_MINIMUM),
    .block_preferred = block_size (h, LIBNBD_SIZE_PREFERRED),
    .block_max = block_size (h, LIBNBD_SIZE_MAXIMUM),
    .read_only = ability (nbd_is_read_only (h)),
    .can_flush = ability (nbd_can_flush (h)),
    .can_fua = ability (nbd_can_fua (h)),
    .can_trim = ability (nbd_can_trim (h)),
    .can_zero = ability (nbd_can_zero (h)),
    .can_multi_conn = ability (nbd_can_multi_conn (h)),
  };
}

static int
note_reply (void *opaque, int *error)
{
  *(int *) opaque = *error ? *error : -1;
  return 1;
}

/* The first bytes of this connection's disk into probe_buffer; waits. */
static bool
read_head (struct disk *d, struct nbd_handle *h, uint32_t bytes, uint64_t deadline)
{
  struct session *s = &d->session;
  int reply = 0;
  nbd_completion_callback callback = { .callback = note_reply, .user_data = &reply };

  if (nbd_aio_pread (h, d->probe_buffer, bytes, 0, callback, 0) == -1)
    session_fault (s, ERROR_REPLY, "reading the first bytes: %s", libnbd_error ());
  while (reply == 0 && s->fault[0] == 0) {
    session_poll (d, 100);
    if (now_ms () > deadline)
      session_fault (s, UNANSWERED, "reading the first bytes: no answer within %u s", d->options.dial_timeout_s);
    if (engine_heed (d))
      session_fault (s, UNANSWERED, "no session: interrupted");
  }
  if (reply == ENOTCONN)        /* libnbd's own, within the call itself: as of any request, session_poll says why */
    session_poll (d, 0);
  if (reply == ESHUTDOWN && s->fault[0] == 0)   /* as of any request: a fault of the link, and none for `fail` */
    session_fault (s, UNANSWERED, "the server is shutting down");
  if (reply > 0 && s->fault[0] == 0) {  /* else it is libnbd's own word of a lost connection */
    s->head_error = reply;
    session_fault (s, ERROR_REPLY, "reading the first bytes: %s", strerror (reply));
  }
  if (reply == 0) {             /* the callback must not write to our stack any more */
    s->closing = true;
    session_close (s);
  }
  return s->fault[0] == 0;
}

/* Is this connection's export the disk we know? Learns it if it is the first. */
static bool
check_export (struct disk *d, struct nbd_handle *h, uint64_t deadline)
{
  struct session *s = &d->session;
  struct identity *id = retain_identity (&d->retain);
  struct geometry g;
  char text[160];

  if (nbd_get_size (h) < 0) {
    session_fault (s, REFUSED, "the export has no size: %s", libnbd_error ());
    return false;
  }
  read_geometry (h, &g);
  if (!g.read_only && !g.can_flush && d->options.retain > 0) {
    session_fault (s, REFUSED, "the export has no FLUSH: nothing could ever be called safe");
    return false;
  }
  if (!identity_same_geometry (id, &g, text, sizeof text)) {
    session_fault (s, REFUSED, "%s", text);
    return false;
  }
  if (s->count > 1 && !g.can_multi_conn) {
    session_fault (s, REFUSED, "the export has CAN_MULTI_CONN on one connection and not on another");
    return false;
  }
  s->multi_conn = g.can_multi_conn;
  if (!id->known) {
    pthread_mutex_lock (&d->lock);
    identity_learn_geometry (id, &g, d->options.identify);
    pthread_cond_broadcast (&d->known);
    pthread_mutex_unlock (&d->lock);
  }
  if (id->head_bytes > 0 && !read_head (d, h, id->head_bytes, deadline))
    return false;
  if (id->head_bytes > 0 && !identity_same_head (id, d->probe_buffer)) {
    session_fault (s, REFUSED, "not the disk we know: its first %u bytes differ", id->head_bytes);
    return false;
  }
  pthread_mutex_lock (&d->lock);
  if (id->head_bytes > 0 && !id->head_known && !head_in_doubt (d))
    identity_learn_head (id, d->probe_buffer);
  if (d->growing) {
    if (g.size == d->options.grow_to)
      identity_grow (id, g.size);
    d->growing = false;         /* also where it is not grown: nobody must wait for that */
    pthread_cond_broadcast (&d->known);
  }
  pthread_mutex_unlock (&d->lock);
  return true;
}

/* Several connections only once the first has shown what this server says: an earlier one may have said something else. */
static unsigned
wanted_connections (const struct disk *d)
{
  return d->session.multi_conn ? d->options.connections : 1;
}

bool
session_dial (struct disk *d)
{
  struct session *s = &d->session;
  uint64_t deadline = now_ms () + d->options.dial_timeout_s * 1000u;
  unsigned checked = 0;

  s->fault[0] = 0;
  s->head_error = 0;
  s->useful = s->closing = s->multi_conn = false;
  s->began_ms = 0;
  do {
    while (s->count < wanted_connections (d))           /* in parallel: each may take a while */
      if (!connect_one (d))
        return false;
    if (!wait_ready (d, deadline))
      return false;
    for (; checked < s->count; checked++)
      if (!check_export (d, s->connection[checked], deadline))
        return false;
  } while (s->count < wanted_connections (d));
  s->began_ms = now_ms ();
  stall_start (&s->stall, d->options.timeout_s * 1000u, s->began_ms);
  return true;
}

void
session_close (struct session *s)
{
  s->closing = true;
  while (s->count > 0) {
    s->count--;
    transport_end (&s->transport[s->count]);            /* first: what it still holds must not be sent */
    nbd_close (s->connection[s->count]);
  }
  s->closing = false;
}
