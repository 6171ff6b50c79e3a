# shellcheck shell=bash
# ./x up: from a fresh machine to the running reference platform.

PLATFORM=platforms/ytempire
UP_LITE=
UP_HTTP=
UP_NAME=
UP_ROOT=()

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
  check_space "$(needed_space)"
  refuse_on_problems
}

# The scripts know by themselves which image is up to date; the mark only tells how much space a run may need.
build_images() {
  local script
  for script in lab/images/base.sh "$PLATFORM/secrets.sh" "$PLATFORM/build.sh"; do
    [ -x "$script" ] || die "$script is missing from this checkout" "run: git status $script"
  done
  with_docker lab/images/base.sh
  check_data_has_its_secrets
  "$PLATFORM/secrets.sh"
  with_docker "$PLATFORM/build.sh" ${UP_LITE:+"$UP_LITE"}
  touch "$(built_mark)"
}

# Data that outlived its clone opens only with the passwords it was made with; new ones would fail service by service.
check_data_has_its_secrets() {
  local volumes
  [ ! -e "$PLATFORM/.env" ] || return 0
  volumes=$(with_docker docker volume ls --quiet --filter "name=^${UP_NAME:-ytempire}_" \
    --filter "name=^${UP_NAME:-ytempire}-production_" | tr '\n' ' ')
  [ -n "$volumes" ] || return 0
  problem "this machine holds data of an earlier clone, and the passwords that open it are not here" \
    "put that clone's .env into $PLATFORM, or give the data up: docker volume rm $volumes"
  refuse_on_problems
}

built_mark() { printf '%s/built%s' "$X_CACHE" "$UP_LITE"; }

needed_space() {
  if [ -e "$(built_mark)" ]; then say 1; elif [ -n "$UP_LITE" ]; then say 5; else say 12; fi
}

bring_platform_up() {
  local folder
  folder=$(platform_folder)
  as_root "$(mainstay_binary)" up --yes "${UP_ROOT[@]}" -C "$folder"
}

# Without options the platform's own folder. With --lite or --http a view of it, all links but the platform file:
# there the production environment is without the profile `full`, or has another port.
platform_folder() {
  if [ -z "$UP_LITE$UP_HTTP" ]; then
    printf '%s' "$ROOT/$PLATFORM"
    return 0
  fi
  local view=$X_CACHE/platform
  rm -rf "$view"
  mkdir -p "$view"
  find "$ROOT/$PLATFORM" -mindepth 1 -maxdepth 1 ! -name mainstay.yaml -exec ln -s -t "$view" {} +
  adapted_platform_file "$ROOT/$PLATFORM/mainstay.yaml" >"$view/mainstay.yaml"
  # Volumes and networks have the name of the Compose project, so another platform is another project.
  if [ -n "$UP_NAME" ]; then
    rm "$view/compose.yaml"
    sed "s/^name: .*/name: $UP_NAME/" "$ROOT/$PLATFORM/compose.yaml" >"$view/compose.yaml"
  fi
  printf '%s' "$view"
}

# adapted_platform_file FILE: fails rather than leave out a change that was asked for.
adapted_platform_file() {
  awk -v lite="$UP_LITE" -v http="$UP_HTTP" -v name="$UP_NAME" '
    name != "" && $1 == "platform:" { $0 = "platform: " name; name = "" }
    environment == "production:" && lite != "" && $1 == "profiles:" { $0 = "    profiles: []"; lite = "" }
    environment == "production:" && http != "" && $1 == "edge:" { $0 = "    edge: {http: " http "}"; http = "" }
    /^  [a-z]/ { environment = $1 }
    { print }
    END { exit (lite != "" || http != "" || name != "") }
  ' "$1" || die "$1 has no production environment with its profiles and edge on lines of their own" \
    "change x.d/up.sh together with it"
}
