# shellcheck shell=bash
# Snapshots of both guests' disks, to come back to, for instance, "all packages are installed".

verb_snapshot() {
  local what=${1:-} name=${2:-} owner=${3:-$LAB_NAME} dir
  [[ $what =~ ^(save|restore|list|delete)$ ]] || usage_error "snapshot: there is no \"$what\"" "Run \"lab/lab snapshot --help\"."
  if [[ $what == list ]]; then snapshot_list; return; fi
  [[ $name =~ ^[A-Za-z0-9][A-Za-z0-9_.-]*$ && $name != *.new ]] ||
    usage_error "snapshot $what: \"$name\" is no name for a snapshot" "Use letters, digits, - _ and ., beginning with a letter or digit."
  lock_lab
  [[ $what == restore || $owner == "$LAB_NAME" ]] ||
    usage_error "snapshot $what: only restore takes another lab's" "Run \"lab/lab snapshot --help\"."
  dir=$CHECKOUT/.lab/$owner/snapshots/$name
  [[ $what == save || -d $dir ]] || die "the lab \"$owner\" has no snapshot \"$name\"" "\"lab/lab snapshot list\" shows what there is."
  case $what in
    save) snapshot_save "$dir" ;;
    restore) snapshot_restore "$dir" ;;
    delete) rm -rf "$dir" ;;
  esac
}

snapshot_list() {
  [[ -d $STATE/snapshots ]] || return 0
  find "$STATE/snapshots" -mindepth 1 -maxdepth 1 -type d ! -name '*.new' -printf '%f\n' | sort
}

# Disks that are in use can't be copied truly, so the guests are shut down for it, and booted again if they ran.
snapshot_save() {
  local dir=$1 host running=()
  [[ -f $STATE/server.cow && -f $STATE/client.cow ]] || die "the lab \"$LAB_NAME\" has no disks yet" "Run \"lab/lab up\"."
  for host in "${HOSTS[@]}"; do if alive "$host"; then running+=("$host"); fi; done
  shutdown_guests
  rm -rf "$dir.new"
  mkdir -p "$dir.new"
  copy_disks "$STATE" "$dir.new"
  rm -rf "$dir"
  mv "$dir.new" "$dir"
  if ((${#running[@]})); then boot "${running[@]}"; fi
}

snapshot_restore() {
  local dir=$1 host
  for host in "${HOSTS[@]}"; do end_process "$host"; done
  forget_disks
  rm -f "$STATE/shape"
  if namespace_exists; then link_isolate off; fi
  copy_disks "$dir" "$STATE"
  up
}

copy_disks() { cp --sparse=always --reflink=auto "$1"/{server.cow,client.cow,server-disk.img,image} "$2/"; }
