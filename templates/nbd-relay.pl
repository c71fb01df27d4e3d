# Relays NBD (the protocol's doc/proto.md), and carries out FUA. nbd-server does so itself, but takes no notice of an error
# of its fdatasync, which Linux then tells nobody else who has that file open. Its FLUSH does. So FUA is announced in its
# place, a change that wants it is sent without, and answered when a FLUSH behind it was. Never two FLUSHes at once: of two,
# one would get an error that is meant for both. Whatever waits meanwhile shares the next one.
use constant { WRITE => 1, FLUSH => 3 };
use constant { OPTION => "IHAVEOPT", REQUEST => 0x25609513, REPLY => 0x67446698, CHUNK => 0x668e33ef };
use constant { EXPORT_NAME => 1, GO => 7, ACK => 1, INFO => 3, INFO_EXPORT => 0, STRUCTURED => 8 };
use constant { CAN_FLUSH => 1 << 2, CAN_FUA => 1 << 3, READ_ONLY => 1 << 1 };
# Of a chunk: the last one of its reply; success, without content; the bit that every error has.
use constant { DONE => 1, NONE => 0, ERROR => 1 << 15, EIO => 5 };
# Of ours; libnbd counts its own from 1 on.
use constant OWN => "netdisk\0";
use constant ENOUGH => 1 << 20;

# What has come from each side, is to go there, and how much of what comes next is not looked into.
my %in = (client => "", server => "");
my %out = (client => "", server => "");
my %pass = (client => 0, server => 18);
# Changes without their FUA; what the next FLUSH is for; what the one that was sent is for.
my (%fua, @waiting, @flushed);
my ($greeted, $transmission, $structured, $fua_announced) = (0, 0, 0, 0);
# Of the chunks so far that answer the FLUSH.
my $flush_error = 0;
# Reads by cookie, of a server without structured replies.
my %reads;

sub answer { my ($cookie, $error) = @_; $out{client} .= pack("NN", REPLY, $error) . $cookie }

# Not into the midst of a write's data.
sub flush_next {
  return if @flushed || !@waiting || $pass{client};
  @flushed = splice @waiting;
  $out{server} .= pack("Nnn", REQUEST, 0, FLUSH) . OWN . pack("x12");
}

sub flushed {
  my ($error) = @_;
  $flush_error = 0;
  answer($_, $error) for splice @flushed;
  flush_next();
}

# What the next FLUSH is answered, this one is.
sub answer_once_flushed { push @waiting, shift; flush_next() }

# Takes one message off the client's bytes; false while it has not come whole.
sub from_client {
  my $in = \$in{client};
  if (substr($$in, 0, 8) eq OPTION) {
    return if length $$in < 16;
    my ($option, $length) = unpack("x8 N N", $$in);
    refuse("the client does not know NBD_OPT_GO") if $option == EXPORT_NAME;
    $out{server} .= substr $$in, 0, 16, "";
    $pass{client} = $length;
    return 1;
  }
  # First of all, the client's flags.
  if (!$greeted) {
    return if length $$in < 4;
    $greeted = 1;
    $out{server} .= substr $$in, 0, 4, "";
    return 1;
  }
  return if length $$in < 28;
  my ($magic, $flags, $command, $cookie, $length) = unpack("N n n a8 x8 N", $$in);
  refuse("the client sent no request") unless $magic == REQUEST && $transmission;
  my $request = substr $$in, 0, 28, "";
  $pass{client} = $length if $command == WRITE;
  $reads{$cookie} = $length if !$structured && $command == 0;
  if ($command == FLUSH) {
    answer_once_flushed($cookie);
    return 1;
  }
  if ($fua_announced && $flags & 1) {
    $fua{$cookie} = 1;
    substr $request, 4, 2, pack("n", $flags & ~1);
  }
  $out{server} .= $request;
  return 1;
}

# The same of the server's while options are haggled over.
sub option_reply {
  my $in = \$in{server};
  return if length $$in < 20;
  my ($option, $type, $length) = unpack("x8 N N N", $$in);
  return if length $$in < 20 + $length;
  my $reply = substr $$in, 0, 20 + $length, "";
  $structured = 1 if $option == STRUCTURED && $type == ACK;
  $transmission = 1 if $option == GO && $type == ACK;
  if ($type == INFO && $length == 12 && unpack("x20 n", $reply) == INFO_EXPORT) {
    my $flags = unpack("x30 n", $reply);
    $fua_announced = ($flags & (CAN_FLUSH | CAN_FUA | READ_ONLY)) == CAN_FLUSH;
    substr $reply, 30, 2, pack("n", $flags | CAN_FUA) if $fua_announced;
  }
  $out{client} .= $reply;
  return 1;
}

sub from_server {
  my $in = \$in{server};
  return option_reply() unless $transmission;
  return if length $$in < 16;
  my $magic = unpack("N", $$in);
  if ($magic == CHUNK) {
    return if length $$in < 20;
    my ($flags, $type, $cookie, $length) = unpack("x4 n n a8 N", $$in);
    if ($cookie eq OWN) {
      return if length $$in < 20 + $length;
      my $content = substr substr($$in, 0, 20 + $length, ""), 20;
      # What is neither success nor an error with its number says nothing of what is safe, either.
      $flush_error ||= $type & ERROR && unpack("N", $content) || EIO if $type != NONE;
      flushed($flush_error) if $flags & DONE;
      return 1;
    }
    if (delete $fua{$cookie} && $type == NONE) {
      substr $$in, 0, 20, "";
      answer_once_flushed($cookie);
      return 1;
    }
    $out{client} .= substr $$in, 0, 20, "";
    $pass{server} = $length;
    return 1;
  }
  refuse("nbd-server sent no reply") if $magic != REPLY;
  my ($error, $cookie) = unpack("x4 N a8", substr $$in, 0, 16, "");
  if ($cookie eq OWN) {
    flushed($error);
  } elsif (delete $fua{$cookie} && !$error) {
    answer_once_flushed($cookie);
  } else {
    answer($cookie, $error);
    my $length = delete $reads{$cookie};
    $pass{server} = $length if $length && !$error;
  }
  return 1;
}

# Moves what has come from $from on its way to $to.
sub advance {
  my ($from, $to, $take) = @_;
  while (length $in{$from}) {
    if ($pass{$from}) {
      my $bytes = substr $in{$from}, 0, $pass{$from}, "";
      $pass{$from} -= length $bytes;
      $out{$to} .= $bytes;
      flush_next() unless $pass{$from};
    } elsif (!$take->()) {
      last;
    }
  }
}

# Until one of the two has ended.
sub relay {
  my ($client_in, $client_out, $server) = @_;
  my %from = (client => $client_in, server => $server);
  my %to = (client => $client_out, server => $server);
  my $ended = 0;
  $_->blocking(0) for $client_in, $client_out, $server;
  for (;;) {
    my ($r, $w) = ("", "");
    vec($r, fileno $from{client}, 1) = 1 if length $out{server} < ENOUGH;
    vec($r, fileno $from{server}, 1) = 1 if length $out{client} < ENOUGH;
    for (qw(client server)) { vec($w, fileno $to{$_}, 1) = 1 if length $out{$_} }
    next if select($r, $w, undef, undef) < 0;
    for (qw(client server)) {
      next unless vec($w, fileno $to{$_}, 1);
      my $sent = syswrite $to{$_}, $out{$_};
      return if !defined $sent && !$!{EAGAIN} && !$!{EINTR};
      substr $out{$_}, 0, $sent // 0, "";
    }
    for (qw(client server)) {
      next unless vec($r, fileno $from{$_}, 1);
      my $got = sysread $from{$_}, $in{$_}, 1 << 18, length $in{$_};
      $ended = 1 if defined $got ? $got == 0 : !$!{EAGAIN} && !$!{EINTR};
    }
    advance("client", "server", \&from_client);
    advance("server", "client", \&from_server);
    next unless $ended;
    # The last words of nbd-server.
    $client_out->blocking(1);
    while (length $out{client}) { substr $out{client}, 0, syswrite($client_out, $out{client}) || return, "" }
    return;
  }
}
