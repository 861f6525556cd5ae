# SPDX-License-Identifier: Apache-2.0
#
# What the scripts of contrib/ share: messages, packages, configuring a build.
# Sourced by bash; $top is the root of the sources.
# shellcheck shell=bash disable=SC2034

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
jobs=$(nproc 2>/dev/null || echo 2)

if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then
    bold=$'\033[1m' red=$'\033[31m' green=$'\033[32m' plain=$'\033[0m'
else
    bold='' red='' green='' plain=''
fi

say() { printf '%s\n' "$*"; }
heading() { printf '\n%s==> %s%s\n' "$bold" "$*" "$plain"; }
die() {
    printf '%s: %s%s%s\n' "${0##*/}" "$red" "$1" "$plain" >&2
    shift
    [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
    exit 1
}

# Needed to build, and only then to test. Names are the same in Debian 12 and 13.
build_packages=(gcc libc6-dev make autoconf automake pkg-config
    libevent-dev libssl-dev libyaml-dev libpcre2-dev libnghttp2-dev libcurl4-openssl-dev
    libc-ares-dev libjansson-dev libhiredis-dev libxxhash-dev zlib1g-dev libisal-dev libbrotli-dev
    libzstd-dev)
unit_packages=(ca-certificates libcmocka-dev dnsmasq-base nginx openssl python3 redis-server)
clang_packages=(clang llvm libclang-rt-dev)
lint_packages=(git clang-format mandoc shellcheck)
e2e_packages=(dnsmasq-base python3 python3-pytest python3-pytest-xdist python3-yaml
    python3-jsonschema curl openssl procps iproute2 util-linux
    chromium chromium-driver nghttp2-client nghttp2-server python3-h2 python3-hpack
    python3-hyperframe python3-websockets python3-grpcio python3-redis redis-server
    python3-brotli python3-zstandard nginx)
# The engine that the e2e tests of Docker run for themselves, and its namespaces.
docker_packages=(docker.io docker-compose tini gcc libc6-dev)
dist_packages=(git xz-utils)

is_installed() { # package
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Installs those that are missing, and touches nothing when none is.
need_packages() { # package...
    local missing=() as_root=() package
    command -v dpkg-query >/dev/null ||
        die 'this is not a Debian system' "Install what these packages hold, and run it again: $*"
    for package in "$@"; do is_installed "$package" || missing+=("$package"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null ||
            die 'packages are missing, and there is no sudo' \
                "As root: apt-get install --no-install-recommends ${missing[*]}"
        as_root=(sudo)
    fi
    heading "Packages to be installed by ${as_root[*]+sudo }apt-get: ${missing[*]}"
    as_root+=(env DEBIAN_FRONTEND=noninteractive)
    local get=(apt-get -q -y -o Dpkg::Use-Pty=0 -o Acquire::Retries=3)
    install_now() {
        "${as_root[@]}" "${get[@]}" install --no-install-recommends "${missing[@]}" </dev/null
    }
    # A machine that has never asked has no lists; one that has may do without the network.
    "${as_root[@]}" "${get[@]}" -s install --no-install-recommends "${missing[@]}" \
        >/dev/null 2>&1 </dev/null || "${as_root[@]}" "${get[@]}" update </dev/null ||
        say 'apt-get update failed in part; going on with the lists that there are.'
    install_now || { "${as_root[@]}" "${get[@]}" update </dev/null && install_now; } ||
        die 'the packages could not be installed' \
            'Is the network there? What apt-get says above names the cause.' \
            "By hand, as root: apt-get install --no-install-recommends ${missing[*]}"
}

# Makes ./configure when it is missing or older than what it is made from.
need_configure() {
    local from stale=
    [ ! -e "$top/config.status" ] ||
        die 'the source folder itself is configured, so no other build can be made from it' \
            "Run: make -C $top distclean"
    [ -e "$top/configure" ] && [ -e "$top/Makefile.in" ] || stale=yes
    while IFS= read -r from; do
        [ "$top/Makefile.in" -nt "$from" ] || stale=yes
    done < <(printf '%s\n' "$top/configure.ac" "$top/Makefile.am"; find "$top" -name local.mk -not -path "$top/build*")
    [ -z "$stale" ] || (cd "$top" && autoreconf -fi)
}

# Configures DIR unless it is configured the same way already.
configure_in() { # dir, configure argument...
    local dir=$1
    shift
    mkdir -p "$dir"
    if [ -e "$dir/Makefile" ] && [ "$(cat "$dir/configured-with" 2>/dev/null)" = "$*" ] &&
        [ "$dir/config.status" -nt "$top/configure" ]; then
        return 0
    fi
    (cd "$dir" && "$top/configure" -q "$@") && printf '%s\n' "$*" >"$dir/configured-with"
}
