/* plugin: nbdkit's side. Parameters in, callbacks through to disk.h; nothing here knows how a disk rides out an outage.
 *
 * No callback ever fails for a fault of the link or the server: it takes as long as it takes.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <libnbd.h>

#include "control.h"
#include "disk.h"
#include "orphan.h"

#if NBDKIT_VERSION_MAJOR == 1 && NBDKIT_VERSION_MINOR < 34
#error "netdisk-session needs nbdkit 1.34 or newer: older ones abort, and with them the retained writes, when a client hangs up early"
#endif

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL
#define ARGUMENTS_MAX 64
#define MIB (UINT64_C (1) << 20)

static char *arguments[ARGUMENTS_MAX + 1];
static unsigned n_arguments;
static struct options options = {
  .name = NULL, .export = "", .retain = 64 * MIB, .chunk = 256 << 10, .connections = 1, .depth = 128, .timeout_s = 30,
  .dial_timeout_s = 30, .max_wait_s = 5, .max_wait_refused_s = 60, .max_wait_error_s = 60, .stop_timeout_s = 5,
  .identify = IDENTITY_BYTES, .lock_memory = true,
};
static struct disk disk;
static bool disk_made;
static struct orphan orphan;
static int control_fd = -1;

/* Built against a new nbdkit, loaded by an old one: the headers cannot tell. nbdkit_disconnect came with 1.34. */
static void
session_load (void)
{
  if (dlsym (RTLD_DEFAULT, "nbdkit_disconnect") == NULL) {
    fprintf (stderr, "nbdkit: error: netdisk-session needs nbdkit 1.34 or newer: older ones abort, and with them the "
             "retained writes, when a client hangs up early. Install a newer nbdkit (Debian 13 has 1.42).\n");
    exit (EXIT_FAILURE);
  }
}

static int
add_argument (const char *value)
{
  if (n_arguments == ARGUMENTS_MAX) {
    nbdkit_error ("more than %d arguments for the command", ARGUMENTS_MAX);
    return -1;
  }
  arguments[n_arguments] = strdup (value);
  return arguments[n_arguments++] ? 0 : -1;
}

static int
set_text (const char **to, const char *value)
{
  *to = strdup (value);
  return *to ? 0 : -1;
}

static int
set_path (const char **to, const char *value)
{
  *to = nbdkit_absolute_path (value);
  return *to ? 0 : -1;
}

static int
set_size (const char *key, const char *value, uint64_t min, uint64_t max, uint64_t *to)
{
  int64_t size = nbdkit_parse_size (value);

  if (size == -1)
    return -1;
  if ((uint64_t) size < min || (uint64_t) size > max) {
    nbdkit_error ("%s=%s: must be between %ju and %ju bytes", key, value, (uintmax_t) min, (uintmax_t) max);
    return -1;
  }
  *to = (uint64_t) size;
  return 0;
}

static int
set_number (const char *key, const char *value, unsigned min, unsigned max, unsigned *to)
{
  if (nbdkit_parse_unsigned (key, value, to) == -1)
    return -1;
  if (*to < min || *to > max) {
    nbdkit_error ("%s=%s: must be between %u and %u", key, value, min, max);
    return -1;
  }
  return 0;
}

static int
session_config (const char *key, const char *value)
{
  static const struct { const char *key; unsigned min, max, *to; } numbers[] = {
    { "connections", 1, MAX_CONNECTIONS, &options.connections },
    { "depth", 1, 512, &options.depth },
    { "timeout", 1, 3600, &options.timeout_s },
    { "dial-timeout", 1, 3600, &options.dial_timeout_s },
    { "max-wait", 1, 3600, &options.max_wait_s },
    { "max-wait-refused", 1, 3600, &options.max_wait_refused_s },
    { "max-wait-error", 1, 3600, &options.max_wait_error_s },
    { "stop-timeout", 0, 3600, &options.stop_timeout_s },
  };
  static const struct { const char *key; uint32_t min, max, unit, *to; } sizes[] = {
    { "chunk", 4096, MIB, 4096, &options.chunk },
    { "identify", 0, IDENTITY_BYTES, 1, &options.identify },
  };
  static const struct { const char *key; bool *to; } switches[] = {
    { "lock-memory", &options.lock_memory },
    { "one-flush", &options.one_flush },
  };
  uint64_t size;
  int flag;

  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
    if (strcmp (key, numbers[i].key) == 0)
      return set_number (key, value, numbers[i].min, numbers[i].max, numbers[i].to);
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
    if (strcmp (key, sizes[i].key) == 0) {
      if (set_size (key, value, sizes[i].min, sizes[i].max, &size) == -1)
        return -1;
      *sizes[i].to = (uint32_t) (size / sizes[i].unit * sizes[i].unit);
      return 0;
    }
  for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++)
    if (strcmp (key, switches[i].key) == 0) {
      if ((flag = nbdkit_parse_bool (value)) == -1)
        return -1;
      *switches[i].to = flag;
      return 0;
    }
  if (strcmp (key, "command") == 0 && n_arguments > 0) {
    nbdkit_error ("command= must come once and before arg=");
    return -1;
  }
  if (strcmp (key, "arg") == 0 && n_arguments == 0) {
    nbdkit_error ("arg= must come after command=");
    return -1;
  }
  if (strcmp (key, "command") == 0 || strcmp (key, "arg") == 0)
    return add_argument (value);
  if (strcmp (key, "socket") == 0)
    return set_path (&options.socket, value);
  if (strcmp (key, "export") == 0)
    return set_text (&options.export, value);
  if (strcmp (key, "name") == 0)
    return set_text (&options.name, value);
  if (strcmp (key, "control") == 0)
    return set_path (&options.control, value);
  if (strcmp (key, "on-disconnect") == 0)
    return set_text (&options.on_disconnect, value);
  if (strcmp (key, "retain-file") == 0)
    return set_path (&options.retain_file, value);
  if (strcmp (key, "retain") == 0 && strcmp (value, "0") == 0) {
    options.retain = 0;
    return 0;
  }
  if (strcmp (key, "retain") == 0)
    return set_size (key, value, MIB, 4096 * MIB, &options.retain);
  if (strcmp (key, "grow-to") == 0)
    return set_size (key, value, 1, INT64_MAX, &options.grow_to);
  nbdkit_error ("unknown parameter '%s'", key);
  return -1;
}

static int
session_config_complete (void)
{
  if ((options.socket != NULL) == (n_arguments > 0)) {
    nbdkit_error ("give either command= (with arg=) or socket=: the way to the server");
    return -1;
  }
  if (options.identify % 512 != 0) {
    nbdkit_error ("identify= must be a multiple of 512");
    return -1;
  }
  if (n_arguments > 0)
    options.command = arguments;
  if (!options.name)
    options.name = options.export[0] ? options.export : "disk";
  return 0;
}

/* Whatever may fail fails here, in front of the user's eyes, before nbdkit goes into the background. */
static int
session_get_ready (void)
{
  char text[512];

  if (!disk_init (&disk, &options, text, sizeof text)) {
    nbdkit_error ("%s", text);
    return -1;
  }
  if (options.control && (control_fd = control_listen (options.control, text, sizeof text)) == -1) {
    nbdkit_error ("%s", text);
    return -1;
  }
  orphan_init (&orphan, options.on_disconnect);
  disk.control_fd = control_fd;
  disk_made = true;
  if (options.retain == 0)
    nbdkit_debug ("retain=0: a server that loses power loses acknowledged writes, and nobody will notice");
  return 0;
}

static int
session_after_fork (void)       /* threads and locked memory do not survive a fork */
{
  char text[512];

  if (!disk_start (&disk, text, sizeof text) || !orphan_start (&orphan, text, sizeof text)) {
    nbdkit_error ("%s", text);
    return -1;
  }
  return 0;
}

static void
session_cleanup (void)
{
  orphan_stop (&orphan);
  if (disk_made)
    disk_stop (&disk);
  disk_made = false;
  if (control_fd != -1) {
    unlink (options.control);
    close (control_fd);
  }
}

static void *
session_open (int readonly)
{
  (void) readonly;
  if (!disk_wait_known (&disk)) {
    nbdkit_error ("the disk was given up before its server was ever reached");
    return NULL;
  }
  orphan_opened (&orphan);
  return NBDKIT_HANDLE_NOT_NEEDED;
}

static void
session_closed (void *handle)
{
  (void) handle;
  orphan_closed (&orphan);
}

static const struct geometry *
geometry (void)
{
  return &retain_identity (&disk.retain)->geometry;
}

static int
result (int error)
{
  if (error == 0)
    return 0;
  nbdkit_set_error (error);
  return -1;
}

static uint32_t
nbd_flags (uint32_t flags, bool zero)
{
  return (flags & NBDKIT_FLAG_FUA ? LIBNBD_CMD_FLAG_FUA : 0u) |
    (zero && !(flags & NBDKIT_FLAG_MAY_TRIM) ? LIBNBD_CMD_FLAG_NO_HOLE : 0u);
}

static int64_t
session_get_size (void *handle)
{
  (void) handle;
  return (int64_t) geometry ()->size;
}

static int
session_block_size (void *handle, uint32_t *min, uint32_t *preferred, uint32_t *max)
{
  const struct geometry *g = geometry ();

  (void) handle;
  *min = g->block_min ? g->block_min : 1;
  *preferred = g->block_preferred ? g->block_preferred : 4096;
  *max = g->block_max ? g->block_max : 32 << 20;
  return 0;
}

static int session_can_write (void *h) { (void) h; return !geometry ()->read_only; }
static int session_can_flush (void *h) { (void) h; return geometry ()->can_flush; }
static int session_can_trim (void *h) { (void) h; return geometry ()->can_trim; }
static int session_can_zero (void *h) { (void) h; return geometry ()->can_zero; }
static int session_can_multi_conn (void *h) { (void) h; return 1; }     /* one log for all of them */

static int
session_can_fua (void *handle)
{
  (void) handle;
  return geometry ()->can_fua ? NBDKIT_FUA_NATIVE : NBDKIT_FUA_EMULATE;
}

static int
session_pread (void *handle, void *buffer, uint32_t length, uint64_t offset, uint32_t flags)
{
  (void) handle, (void) flags;
  return result (disk_read (&disk, buffer, length, offset));
}

static int
session_pwrite (void *handle, const void *data, uint32_t length, uint64_t offset, uint32_t flags)
{
  (void) handle;
  return result (disk_change (&disk, OP_WRITE, data, length, offset, nbd_flags (flags, false)));
}

static int
session_trim (void *handle, uint32_t length, uint64_t offset, uint32_t flags)
{
  (void) handle;
  return result (disk_change (&disk, OP_TRIM, NULL, length, offset, nbd_flags (flags, false)));
}

static int
session_zero (void *handle, uint32_t length, uint64_t offset, uint32_t flags)
{
  (void) handle;
  return result (disk_change (&disk, OP_ZERO, NULL, length, offset, nbd_flags (flags, true)));
}

static int
session_flush (void *handle, uint32_t flags)
{
  (void) handle, (void) flags;
  return result (disk_flush (&disk));
}

static struct nbdkit_plugin plugin = {
  .name = "netdisk-session",
  .longname = "netdisk's client: an NBD client that waits, replays and never fails",
  .version = NETDISK_VERSION,
  .load = session_load,
  .config = session_config,
  .config_complete = session_config_complete,
  .config_help = "command=PROGRAM arg=… | socket=PATH   the way to the server\n"
    "export=NAME name=NAME control=SOCKET retain-file=FILE retain=64M\n"
    "timeout=30 dial-timeout=30 max-wait=5 max-wait-refused=60 max-wait-error=60\n"
    "on-disconnect=COMMAND\n"
    "connections=1 depth=128 chunk=256K identify=4096 grow-to=SIZE stop-timeout=5 lock-memory=true one-flush=false",
  .get_ready = session_get_ready,
  .after_fork = session_after_fork,
  .cleanup = session_cleanup,
  .open = session_open,
  .close = session_closed,
  .get_size = session_get_size,
  .block_size = session_block_size,
  .can_write = session_can_write,
  .can_flush = session_can_flush,
  .can_trim = session_can_trim,
  .can_zero = session_can_zero,
  .can_fua = session_can_fua,
  .can_multi_conn = session_can_multi_conn,
  .pread = session_pread,
  .pwrite = session_pwrite,
  .trim = session_trim,
  .zero = session_zero,
  .flush = session_flush,
};

NBDKIT_REGISTER_PLUGIN (plugin)
