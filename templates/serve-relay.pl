#!/usr/bin/perl
# Disk {{name}}: forced command of its key. Written by netdisk.
# Runs as {{user}}, who may do nothing but open this disk's socket. Hands on what the client asked for (SSH_ORIGINAL_COMMAND)
# with the key's own id in front, which no client can choose, then the answer, then relays NBD.
use strict;
use warnings;
use Socket;

my ($socket, $key) = ("{{socket}}", $ARGV[0] // "");
my $asked = $ENV{SSH_ORIGINAL_COMMAND} // "";

sub refuse { print STDERR "netdisk-serve: {{name}}: $_[0]\n"; exit 1 }

my ($verb, @client) = $asked =~ /\A(serve|takeover|release|lease) ([0-9a-f]{16}) ([0-9a-f]{32}) ([A-Za-z0-9._-]{1,64})\z/;
refuse("this key serves the disk {{name}} and nothing else") unless $verb && $key =~ /\A[0-9a-f]{16}\z/;
my $server;
socket($server, PF_UNIX, SOCK_STREAM, 0) && connect($server, pack_sockaddr_un($socket))
  or refuse("$socket: $!");

syswrite($server, "$verb $key @client\n");
# Lines for the user until "ok"; what follows are NBD's bytes, so not one byte more is read here.
for (;;) {
  my $line = "";
  while (sysread($server, my $byte, 1)) {
    last if $byte eq "\n";
    $line .= $byte;
  }
  exit 1 if $line eq "";
  last if $line eq "ok";
  print STDERR "netdisk-serve: {{name}}: $line\n";
}
exit 0 if $verb ne "serve";

{{relay}}
relay(\*STDIN, \*STDOUT, $server);
exit 0;
