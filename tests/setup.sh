# For `tests/run`, `tests/soak`, `tests/bench/run` and `tests/bench/instructions`, which source it at the root of the workspace: what they need
# is installed and built by `set_up`.

# Where rustup puts cargo, for shells that have not heard of it yet.
export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"

# Components are no programs of this machine (their exports have names that its linker does not take), so targets are picked by kind.
here=(--release -p wharf -p wharf-sdk -p wharf-tests -p schedules -p bench -p micro)

say() { printf '\n=== %s\n' "$*" >&2; }

# The distribution's packages: a linker for Rust and C for SQLite, and servers of PostgreSQL and MariaDB unless they
# are given by URL.
install_packages() {
    local packages=()
    command -v cc >/dev/null || packages+=(gcc libc6-dev)
    command -v curl >/dev/null || packages+=(curl)
    if [ -z "${WHARF_TEST_POSTGRES_URL:-}" ] && ! command -v initdb >/dev/null && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
        packages+=(postgresql)
    fi
    if [ -z "${WHARF_TEST_MYSQL_URL:-}" ] && ! PATH="$PATH:/usr/sbin:/sbin" command -v mariadbd >/dev/null; then
        packages+=(mariadb-server)
    fi
    install_missing "${packages[@]}"
}

install_missing() (
    [ $# -gt 0 ] || return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing $*"
        # The tests start a server of their own; the package's would stay behind.
        mkdir -p /etc/postgresql-common
        [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
        # For that of MariaDB, Debian asks this file; it is taken away again if it was not there.
        policy=/usr/sbin/policy-rc.d
        if [ ! -e "$policy" ]; then
            printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod 755 "$policy"
            trap 'rm -f "$policy"' EXIT
        fi
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"
    else
        echo "missing: $* (names of Debian's packages; as root, this script installs them)" >&2
        exit 1
    fi
)

set_up() {
    install_packages
    if [ ! -d "$(rustc --print target-libdir --target wasm32-wasip2)" ]; then
        say "adding the target wasm32-wasip2"
        rustup target add wasm32-wasip2
    fi
    # All of the lock file, also what other systems build: the test of licences reads it, and no test fetches anything.
    cargo fetch --locked --quiet
    say "building the host"
    cargo build "${here[@]}" --lib --bins
    say "building the guests and the plugins"
    cargo build --profile plugin --target wasm32-wasip2 -p guests -p wharf-sdk --examples
    cargo build --profile plugin --target wasm32-wasip2 -p clinic --lib
    cargo build --profile plugin --target wasm32-wasip2 -p accounts -p outbox --lib
}
