# For `tests/run`, `tests/soak`, `tests/bench/run` and `tests/bench/instructions`, which source it at the root of the workspace: what they need
# is installed and built by `set_up`; `tests/run` alone needs `install_browser`. `examples/accounts/wire-server` needs `install_wire_server` alone.

# Where rustup puts cargo, for shells that have not heard of it yet.
export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"

# Components are no programs of this machine (their exports have names that its linker does not take), so targets are picked by kind.
here=(--release -p wharf -p wharf-sdk -p wharf-tests -p schedules -p bench -p micro -p wire)

say() { printf '\n=== %s\n' "$*" >&2; }

# The distribution's packages: a linker for Rust and C for SQLite, the tools that check metrics and units of systemd, and servers of PostgreSQL
# and MariaDB, and a Python for that which speaks MongoDB's protocol, unless they are given by URL.
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
    if [ -z "${WHARF_TEST_MONGODB_URL:-}" ] && ! find_python >/dev/null; then
        packages+=(python3-venv)
    fi
    command -v promtool >/dev/null || packages+=(prometheus)
    command -v systemd-analyze >/dev/null || packages+=(systemd)
    install_missing "${packages[@]}"
}

# For the test of the page that the host shows: Chromium, and letters for it, which Debian only recommends.
install_browser() {
    command -v chromedriver >/dev/null || install_missing chromium chromium-driver fonts-liberation
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

# A Python that makes environments and is new enough for all that the server needs.
find_python() {
    local python
    for python in python3 /usr/bin/python3; do
        if "$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$python"
            return 0
        fi
    done
    return 1
}

# The server that speaks MongoDB's protocol, in a Python environment of its own, once: nothing is asked of the network while what is there
# is what is wanted. A folder that was copied from elsewhere works as well, as long as nobody runs its scripts but by its `bin/python`.
install_wire_server() {
    [ -z "${WHARF_TEST_MONGODB_URL:-}" ] || return 0
    local home="${CARGO_TARGET_DIR:-target}/wire-server" requirements=tests/support/mongodb/requirements.txt python wanted
    if ! python=$(find_python); then
        echo "missing: Python 3.11 or later with the modules venv and ensurepip, or WHARF_TEST_MONGODB_URL" >&2
        exit 1
    fi
    wanted=$("$python" --version && cat "$requirements")
    if [ -x "$home/bin/python" ] && [ "$(cat "$home/made-of" 2>/dev/null)" = "$wanted" ]; then
        return 0
    fi
    say "installing the server that speaks MongoDB's protocol"
    rm -rf "$home"
    if ! "$python" -m venv "$home" ||
        ! "$home/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --only-binary :all: \
            --requirement "$requirements"; then
        echo "the packages of $requirements cannot be installed: they come from PyPI; or set WHARF_TEST_MONGODB_URL" >&2
        exit 1
    fi
    # Last, so that what was broken off is begun anew.
    echo "$wanted" >"$home/made-of"
}

set_up() {
    install_packages
    install_wire_server
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
