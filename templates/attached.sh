# The note is `DEVICE PID`, as the kernel had both when the connection was made. They stay so for as long as the connection
# lasts, through any number of plugins; the next one has another pid. The link to the device cannot tell: others may have been
# given that device by now. True while this disk's own connection lasts; $node is its device then, `nbd3`.
attached() {
  [ -e "$note" ] && read -r node pid <"$note" && [ "$(cat "/sys/block/$node/pid" 2>/dev/null)" = "${pid:-none}" ]
}
