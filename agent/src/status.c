#include "status.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "disk.h"

/* As a JSON string. What it holds came from a server: nothing in it may break out. */
static void
quote (const char *from, char *to, size_t size)
{
  size_t n = 0;

  for (; *from && n + 8 < size; from++) {
    unsigned char c = (unsigned char) *from;
    if (c == '"' || c == '\\') {
      to[n++] = '\\';
      to[n++] = (char) c;
    }
    else if (c < ' ' || c >= 0x7f)
      n += (size_t) snprintf (to + n, size - n, "\\u%04x", c);
    else
      to[n++] = (char) c;
  }
  to[n] = 0;
}

/* The kernel's requests that wait, and since when the oldest does. */
static unsigned
count_waiting (const struct disk *d, uint64_t now, uint64_t *oldest_ms)
{
  const struct requests *lists[] = { &d->sent, &d->pending };
  const struct request *r;
  unsigned n = 0;

  *oldest_ms = 0;
  for (int i = 0; i < 2; i++)
    TAILQ_FOREACH (r, lists[i], link)
      if (r->waiter) {
        n++;
        if (now - r->since_ms > *oldest_ms)
          *oldest_ms = now - r->since_ms;
      }
  return n + d->room_waiters;
}

void
status_json (struct disk *d, char *text, size_t size)
{
  static const char *const states[] = { "starting", "up", "replaying", "parked", "ended" };
  static const char *const kinds[] = { "unanswered", "refused", "error" };
  char name[256], reason[1024];
  uint64_t now, oldest, next, parked;
  unsigned waiting;

  pthread_mutex_lock (&d->lock);
  now = now_ms ();              /* nothing of the disk is younger */
  waiting = count_waiting (d, now, &oldest);
  next = d->next_dial_ms > now ? d->next_dial_ms - now : 0;
  parked = d->state == PARKED && now - d->since_ms > d->longest_park_ms ? now - d->since_ms : d->longest_park_ms;
  quote (d->options.name, name, sizeof name);
  quote (d->reason, reason, sizeof reason);
  snprintf (text, size,
            "{\"name\":\"%s\",\"pid\":%d,\"state\":\"%s\",\"since\":%.1f,\"reason\":\"%s\",\"kind\":\"%s\","
            "\"next_dial\":%.1f,\"size\":%" PRIu64 ",\"connections\":%u,\"waiting\":%u,\"oldest\":%.1f,\"in_flight\":%u,"
            "\"retained\":%" PRIu64 ",\"retain_used\":%" PRIu64 ",\"retain_limit\":%" PRIu64 ",\"sessions\":%" PRIu64
            ",\"dials\":%" PRIu64 ",\"faults\":%" PRIu64 ",\"replayed\":%" PRIu64 ",\"read\":%" PRIu64
            ",\"written\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"longest_park\":%.1f}\n",
            name, (int) getpid (), states[d->state], (double) (now - d->since_ms) / 1e3, reason,
            d->state == PARKED ? kinds[d->why] : "", (double) next / 1e3, retain_identity (&d->retain)->geometry.size,
            d->connections_up, waiting, (double) oldest / 1e3, d->sent_count, d->retain.kept_bytes,
            retain_used (&d->retain), retain_limit (&d->retain), d->sessions, d->dials, d->faults,
            d->replay.total_bytes, d->read_bytes, d->written_bytes, d->lost_bytes, (double) parked / 1e3);
  pthread_mutex_unlock (&d->lock);
}

void
answer_json (bool ok, const char *message, char *text, size_t size)
{
  char quoted[1024];

  quote (message, quoted, sizeof quoted);
  snprintf (text, size, "{\"ok\":%s,\"message\":\"%s\"}\n", ok ? "true" : "false", quoted);
}
