# Runs one PostgreSQL server in a folder of its own for as long as somebody holds the other end of stdin, then removes both.
#
# Arguments: the folder with the server's programs, a free port, and then settings that go before those of here, such as
# `shared_buffers=256MB`. Says "ready FOLDER PASSWORD" or "failed", the latter after the log.
# Told "stop" on stdin it stops the server as if it had crashed and says "stopped"; told "start" it starts it again and says "started".
set -u
bin=$1
port=$2
shift 2
# Whatever ends the tests must not end this before it has cleaned up.
trap '' INT TERM HUP PIPE
umask 077

fail() {
    cat setup.log server.log 2>/dev/null
    cd / && rm -rf "$folder"
    echo failed
    exit 1
}

folder=$(mktemp -d "${TMPDIR:-/tmp}/wharf-postgres.XXXXXX") || { echo failed; exit 1; }
cd "$folder" || fail
password=secret-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
printf '%s' "$password" >password
"$bin/initdb" -D data -U postgres --pwfile=password -A scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync >setup.log 2>&1 </dev/null || fail
rm -f password

# A child of this shell, and not of pg_ctl, so that somebody collects it where process 1 does not.
start() {
    # The last word about a setting is the one that counts.
    for setting; do
        set -- "$@" -c "$setting"
        shift
    done
    "$bin/postgres" -D data -p "$port" -k "$folder" -c listen_addresses=127.0.0.1 -c max_connections=200 -c shared_buffers=32MB \
        -c fsync=off -c synchronous_commit=off -c full_page_writes=off "$@" >>server.log 2>&1 </dev/null &
    server=$!
    tries=0
    until grep -qs '^ready' data/postmaster.pid; do
        tries=$((tries + 1))
        kill -0 "$server" 2>/dev/null && [ "$tries" -lt 1200 ] || { kill -KILL "$server" 2>/dev/null; wait "$server"; fail; }
        sleep 0.02
    done
}

# Immediate shutdown: there is nothing worth keeping.
stop() {
    [ -n "$server" ] || return 0
    kill -QUIT "$server"
    wait "$server"
    server=
}

start "$@"
echo "ready $folder $password"
# Ends when the last holder of the pipe is gone, killed or not.
while read -r order; do
    case $order in
        stop) stop && echo stopped ;;
        start) start "$@" && echo started ;;
    esac
done
stop
cd / && rm -rf "$folder"
