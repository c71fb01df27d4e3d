# shellcheck shell=bash
# What is up. Exit code 0: both hosts run; 3: not (as systemctl status has it).

verb_status() {
  no_arguments status "$@"
  local host code=0
  printf 'lab     %s, namespace %s, files in %s\n' "$LAB_NAME" "$NAMESPACE" "$STATE"
  for host in "${HOSTS[@]}"; do
    if ! alive "$host"; then
      printf '%-7s off\n' "$host"
      code=3
    elif guest_answers "$host"; then
      printf '%-7s up, %s, pid %s\n' "$host" "${ADDRESS[$host]}" "$(pid_of "$host")"
    else
      printf '%-7s runs (pid %s) but its sshd does not answer\n' "$host" "$(pid_of "$host")"
      code=3
    fi
  done
  if namespace_exists; then
    if link_is_cut; then printf 'link    cut'; else printf 'link    whole'; fi
    printf ', shape %s\n' "$(shape_wish)"
  fi
  printf 'ssh     ssh -F %s server\n' "$SSH_CONFIG"
  exit "$code"
}
