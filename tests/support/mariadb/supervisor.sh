# Runs one MariaDB server in a folder of its own for as long as somebody holds the other end of stdin, then removes both.
#
# Arguments: a free port, further options of the server. Says "ready FOLDER PASSWORD" or "failed", the latter after the log.
# Told "stop" on stdin it stops the server as if it had crashed and says "stopped"; told "end" it asks the server to shut down and says
# "ended"; told "start" it starts it again and says "started".
set -u
port=$1
shift
PATH="$PATH:/usr/sbin:/sbin"
# Whatever ends the tests must not end this before it has cleaned up.
trap '' INT TERM HUP PIPE
umask 077

fail() {
    cat setup.log server.log 2>/dev/null
    cd / && rm -rf "$folder"
    echo failed
    exit 1
}

folder=$(mktemp -d "${TMPDIR:-/tmp}/wharf-mariadb.XXXXXX") || { echo failed; exit 1; }
cd "$folder" || fail
mkdir tmp
password=secret-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
mariadb-install-db --no-defaults --auth-root-authentication-method=normal --skip-test-db --datadir="$folder/data" \
    >setup.log 2>&1 </dev/null || fail
# One statement a line. Nobody else gets in, and nobody gets in without a password.
{
    echo "CREATE USER admin@'%' IDENTIFIED BY '$password';"
    echo "GRANT ALL ON *.* TO admin@'%' WITH GRANT OPTION;"
    echo "DELETE FROM mysql.global_priv WHERE User IN ('', 'root', 'PUBLIC');"
    echo "FLUSH PRIVILEGES;"
} >init.sql

# A child of this shell, and not of mariadbd-safe, so that somebody collects it where process 1 does not.
# A server that starts deletes what looks like a temporary table of an earlier one, so the folder of those must be its own.
# Only the performance schema tells of every transaction and of every lock. The disk is not waited for, as in PostgreSQL's tests: a server
# whose log is full would answer nobody for seconds meanwhile.
start() {
    # The child empties its log too late for who looks into it at once: the last server was ready, too.
    : >server.log
    mariadbd --no-defaults --datadir="$folder/data" --socket="$folder/socket" --pid-file="$folder/pid" --tmpdir="$folder/tmp" "$@" \
        --bind-address=127.0.0.1 --port="$port" --skip-name-resolve --max-connections=200 --innodb-buffer-pool-size=32M \
        --max-allowed-packet=512M --innodb-flush-log-at-trx-commit=0 --innodb-use-native-aio=0 \
        --innodb-flush-method=nosync --skip-innodb-doublewrite \
        --performance-schema=ON --performance-schema-instrument=transaction=ON \
        --performance-schema-instrument=wait/lock/metadata/sql/mdl=ON \
        --performance-schema-consumer-events-transactions-current=ON >>server.log 2>&1 </dev/null &
    server=$!
    tries=0
    until grep -qs 'ready for connections' server.log; do
        tries=$((tries + 1))
        kill -0 "$server" 2>/dev/null && [ "$tries" -lt 1200 ] || { kill -KILL "$server" 2>/dev/null; wait "$server"; fail; }
        sleep 0.02
    done
}

# There is nothing worth keeping, unless the server is asked to shut down.
stop() {
    [ -n "$server" ] || return 0
    kill "-${1:-KILL}" "$server"
    wait "$server" 2>/dev/null
    server=
    return 0
}

start --init-file="$folder/init.sql" "$@"
rm -f init.sql
echo "ready $folder $password"
# Ends when the last holder of the pipe is gone, killed or not.
while read -r order; do
    case $order in
        stop) stop && echo stopped ;;
        end) stop TERM && echo ended ;;
        start) start "$@" && echo started ;;
    esac
done
stop
cd / && rm -rf "$folder"
