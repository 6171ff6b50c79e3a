# shellcheck shell=bash disable=SC2016 # commands are quoted for the shell that runs them
# Which packages are found missing on which distribution.

in_x 'compose_package'
expect "nothing brings Compose where no archive has it" 0 ''

in_x 'PACKAGES="docker-compose 1.29.2-3"; compose_package'
expect "Debian 12's docker-compose is the old program and does not count" 0 ''

in_x 'PACKAGES="docker-compose 2.26.1-4"; compose_package'
expect "from Debian 13 on docker-compose is version 2" 0 'docker-compose'

in_x 'PACKAGES=$(printf "docker-compose 1.29.2-6\ndocker-compose-v2 2.24.6"); compose_package'
expect "Ubuntu has docker-compose-v2" 0 'docker-compose-v2'

in_x 'PACKAGES=$(printf "docker-compose-v2 2.24.6\ndocker-compose-plugin 2.40.3"); compose_package'
expect "Docker's own plugin goes before the distribution's" 0 'docker-compose-plugin'

in_x 'DOCKERD_BINARIES=; INSTALLED="gcc make debootstrap"; missing_basics build'
expect "building alone needs no engine" 0 ''

in_x 'INSTALLED="make dockerd iptables debootstrap docker"; missing_basics engine'
expect "only what is missing is named" 0 'gcc'

in_x 'PACKAGES="gcc 12"; install_packages gcc lost'
expect "one package that cannot be had stops all before anything is installed" 1 \
  'x: the package `lost` is not in this system'\''s package lists*'

in_x 'INSTALLED="gcc make debootstrap dockerd iptables docker"; install_missing engine'
expect "the package manager is not asked when nothing is missing" 0 '  nothing missing'
