# shellcheck shell=bash
# ./x bench celery: a Celery worker is deployed again and again while tasks are queued. The run is in bench/celery.

CELERY_TOOLS=('celery[redis]==5.7.0')

bench_celery() {
  check_before_bench
  {
    prepare_load
    step "Celery" celery_tools
  } >&2
  MAINSTAY=$(mainstay_binary) as_root "$X_CACHE/celery/bin/python" bench/celery/run.py "$@"
}

# Who queues the tasks is the library itself, in a folder of its own.
celery_tools() {
  "$X_CACHE/celery/bin/python" -c 'import celery, redis' 2>/dev/null && return 0
  python3 -c 'import ensurepip' 2>/dev/null || { refresh_package_lists; install_packages python3-venv; }
  python3 -m venv "$X_CACHE/celery"
  "$X_CACHE/celery/bin/pip" install --quiet "${CELERY_TOOLS[@]}"
}
