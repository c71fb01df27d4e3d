# What a line of the plugin's status, on stdin, says under a key, in words or as a number.
field() { sed -n "s/.*[{,]\"$1\":\"\\([^\"]*\\)\".*/\\1/p; t; s/.*[{,]\"$1\":\\([^\",}]*\\).*/\\1/p"; }
