# shellcheck shell=bash
# ./x up: from a fresh machine to the running reference platform.

PLATFORM=platforms/ytempire
UP_LITE=
UP_HTTP=

verb_up() {
  read_up_options "$@"
  local began
  began=$(uptime_ms)
  check_before_up
  step "packages" install_missing engine
  step "Docker" start_docker
  step "Compose" install_compose
  step "build mainstay" build_mainstay
  step "images" build_images
  step "platform" bring_platform_up
  say "up after $(seconds_since "$began")"
}

read_up_options() {
  while [ $# -gt 0 ]; do
    case $1 in
      --lite) UP_LITE=--lite ;;
      --http)
        UP_HTTP=${2:-}
        is_port "$UP_HTTP" || usage_error "--http takes a port from 1 to 65535"
        shift
        ;;
      *) usage_error "up does not know \`$1\`" ;;
    esac
    shift
  done
}

is_port() { [[ $1 =~ ^[1-9][0-9]{0,4}$ ]] && [ "$1" -le 65535 ]; }

check_before_up() {
  local missing
  check_rust
  check_root_for "running the platform"
  mapfile -t missing < <(missing_basics engine)
  check_installable "${missing[@]}"
  check_port "${UP_HTTP:-80}"
  if ! images_are_built; then check_space "$([ -n "$UP_LITE" ] && echo 5 || echo 12)"; fi
  refuse_on_problems
}

images_stamp() { printf '%s %s' "${UP_LITE:-full}" "$(digest_of lab/images "$PLATFORM")"; }

# The ids of what was built are part of the stamp: an image that was removed is built again.
built_images() {
  with_docker docker image ls --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}' 2>/dev/null |
    grep -E '^(ytempire|debian)[/:-]' | LC_ALL=C sort | sha256sum | cut -d ' ' -f 1
}

images_are_built() {
  docker_answers && [ -x "$(mainstay_binary)" ] && stamp_is images "$(images_stamp) $(built_images)"
}

build_images() {
  local script
  for script in lab/images/base.sh "$PLATFORM/secrets.sh" "$PLATFORM/build.sh"; do
    [ -x "$script" ] || die "$script is missing from this checkout" "run: git status $script"
  done
  "$PLATFORM/secrets.sh"
  if images_are_built; then
    note "nothing changed"
    return 0
  fi
  with_docker lab/images/base.sh
  with_docker "$PLATFORM/build.sh" ${UP_LITE:+"$UP_LITE"}
  set_stamp images "$(images_stamp) $(built_images)"
}

bring_platform_up() {
  (cd "$PLATFORM" && as_root "$(mainstay_binary)" up --yes)
}
