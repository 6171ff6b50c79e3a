# shellcheck shell=bash
# Stamps: what a slow step was given last time, so that a second run can leave it out.
# A stamp counts only while what the step made is still there, which the caller checks.

# digest_of PATH…: one hash over the names, modes and contents of the files below.
# Files git ignores are left out: they are results or secrets, not inputs.
digest_of() {
  # shellcheck disable=SC2016 # expanded by the inner shell
  input_files "$@" | LC_ALL=C sort -z |
    xargs -0 -r sh -c 'for f; do if [ -f "$f" ]; then stat -c "%a %n" "$f"; cat "$f"; fi; done' sh |
    sha256sum | cut -d ' ' -f 1
}

# A checkout that root uses and somebody else owns is still this checkout; one unpacked from an archive has no git.
input_files() {
  git -c safe.directory="$ROOT" ls-files --cached --others --exclude-standard -z -- "$@" 2>/dev/null ||
    find "$@" -name node_modules -prune -o -name __pycache__ -prune -o -name '.*' -prune -o -type f -print0
}

stamp_is() { [ "$(cat "$X_CACHE/$1.stamp" 2>/dev/null)" = "$2" ]; }
set_stamp() { printf '%s\n' "$2" >"$X_CACHE/$1.stamp"; }
