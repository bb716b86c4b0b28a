# Runs one server that speaks MongoDB's protocol in a folder of its own for as long as somebody holds the other end of stdin, then removes
# both.
#
# Arguments: the Python of the server's environment, a free port, further options of the server. Says "ready FOLDER PASSWORD" or "failed",
# the latter after the log.
# Told "stop" on stdin it stops the server as if it had crashed and says "stopped"; told "end" it asks the server to shut down and says
# "ended"; told "start" it starts it again and says "started".
set -u
python=$1
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

folder=$(mktemp -d "${TMPDIR:-/tmp}/wharf-mongodb.XXXXXX") || { echo failed; exit 1; }
cd "$folder" || fail
password=secret-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
# What was answered survives a crash of the server, though not one of the machine: written, but the disk is not waited for.
mkdir data && echo 'transaction_sync=(enabled=true,method=none)' >data/WiredTiger.config || fail
# The first user is made while nobody has to say who they are; nobody is told where that is. To stop that server takes two seconds.
password=$password "$python" -I -c '
import os, pymongo, secantus.server
server = secantus.server.SecantusDBServer(host="127.0.0.1", port=0, storage_path="data")
server.start()
client = pymongo.MongoClient(server.uri, directConnection=True)
client.admin.command("createUser", "admin", pwd=os.environ["password"], roles=["root"])
os._exit(0)
' >setup.log 2>&1 </dev/null || fail
# So that none is looked for elsewhere.
: >secantusd.toml

# A child of this shell, so that somebody collects it where process 1 does not.
start() {
    # The child empties its log too late for who looks into it at once.
    : >server.log
    "$python" -I -m secantus --config secantusd.toml --host 127.0.0.1 --port "$port" --storage-path data --cache-size 256M \
        --auth --enable-test-commands --log-level INFO "$@" >>server.log 2>&1 </dev/null &
    server=$!
    echo "$server" >pid
    tries=0
    until grep -qs 'secantus listening on' server.log; do
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

start "$@"
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
