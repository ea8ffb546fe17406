# shellcheck shell=bash
# What the scripts of the services share; to be sourced.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
self=$(basename "$0")
cache=${FERROSTASH_SERVICES_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/ferrostash-services}

log() { printf '%s: %s\n' "$self" "$*" >&2; }
die() { log "error: $*"; exit 1; }

# main VERB [--port N] [--dir DIR] [own options] [-- WORDS]: the script has the functions `install`, `start`,
# `halt_all SIGNAL`, and `own_option`, which takes one option of its own and sets SHIFT if that has a value; for each verb of
# its own a function `verb_VERB`, which finds the words in REST.
main() {
  [ $# -gt 0 ] || die "usage: $self install | start | run | stop | crash [--port N] [--dir DIR] ${USAGE:-}"
  local verb=$1; shift
  PORT='' DIR='' REST=()
  while [ $# -gt 0 ]; do
    case $1 in
      --port) [ $# -ge 2 ] || die '--port needs a number'; PORT=$2; shift 2 ;;
      --dir) [ $# -ge 2 ] || die '--dir needs a folder'; DIR=$2; shift 2 ;;
      --) shift; REST=("$@"); break ;;
      *) SHIFT=1; own_option "$@" || die "unknown option: $1"; shift "$SHIFT" ;;
    esac
  done
  case $verb in
    install) install ;;
    start) install; make_dir; start ;;
    run) install; run ;;
    stop) find_dir; halt_all TERM ;;
    crash) find_dir; halt_all KILL ;;
    *) declare -F "verb_$verb" >/dev/null || die "unknown verb: $verb"; install; find_dir; "verb_$verb" ;;
  esac
}

make_dir() {
  [ -n "$DIR" ] || DIR=$(mktemp -d "${TMPDIR:-/tmp}/$self.XXXXXX")
  mkdir -p "$DIR"
  DIR=$(cd "$DIR" && pwd)
}
find_dir() {
  [ -n "$DIR" ] || die 'needs --dir DIR'
  DIR=$(cd "$DIR" && pwd)
}

# Starts, and stops again once standard input ends, as it does when whoever holds the other end of it is gone, however
# that came. A folder of its own making goes as well.
run() {
  GIVEN=$DIR
  make_dir
  trap 'halt_all TERM >&2; [ -n "$GIVEN" ] || rm -rf "$DIR"' EXIT
  trap : INT TERM HUP # not ignored: what is started would ignore them, too
  start
  exec >&-
  cat >/dev/null
}

port_busy() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_ports N: the first of N free consecutive ports, below those that the system gives out.
free_ports() {
  local base i
  for _ in $(seq 50); do
    base=$((20000 + (RANDOM * 32768 + RANDOM) % 11900))
    for i in $(seq 0 $(($1 - 1))); do port_busy $((base + i)) && continue 2; done
    echo "$base"; return
  done
  die 'found no free ports'
}

# want_ports N: sets PORT, as given, as at the last start from DIR, or picked; N ports from there on are free.
want_ports() {
  local i
  [ -n "$PORT" ] || [ ! -s "$DIR/env" ] || PORT=$(sed -n 's/^ADDRESS=.*://p' "$DIR/env")
  if [ -z "$PORT" ]; then PORT=$(free_ports "$1"); return; fi
  for i in $(seq 0 $(($1 - 1))); do
    ! port_busy $((PORT + i)) || die "port $((PORT + i)) is in use"
  done
}

start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# remember NAME PID: a pid is kept with the time of its start, so that another process that got the number is let alone.
remember() { echo "$2 $(start_time "$2")" >"$DIR/$1.pid"; }

# spawn NAME COMMAND...: in a session of its own; says what it says in DIR/NAME.log.
spawn() {
  local name=$1; shift
  setsid "$@" >>"$DIR/$name.log" 2>&1 </dev/null &
  remember "$name" $!
}

alive() {
  local pid since
  read -r pid since 2>/dev/null <"$DIR/$1.pid" || return 1
  [ -n "$since" ] && [ "$(start_time "$pid")" = "$since" ] &&
    [ "$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d' ' -f1)" != Z ]
}

# halt NAME SECONDS SIGNAL: KILL where SIGNAL has not ended it after so long.
halt() {
  local pid
  if alive "$1"; then
    read -r pid _ <"$DIR/$1.pid"
    kill "-$3" "$pid" 2>/dev/null || :
    for _ in $(seq $(($2 * 10))); do alive "$1" || break; sleep 0.1; done
    if alive "$1"; then log "$1 did not stop in $2 s: KILL"; kill -KILL "$pid" 2>/dev/null || :; fi
  fi
  rm -f "$DIR/$1.pid"
}

# wait_ready NAME SECONDS CHECK...: until CHECK holds; else fails with the end of NAME's log.
wait_ready() {
  local name=$1 limit=$2 end=$((SECONDS + $2)); shift 2
  until "$@" >/dev/null 2>&1; do
    alive "$name" || give_up "$name" 'ended before it was ready'
    [ "$SECONDS" -lt "$end" ] || give_up "$name" "was not ready in $limit s"
    sleep 0.2
  done
}
give_up() {
  log "--- last lines of $DIR/$1.log"
  tail -n 40 "$DIR/$1.log" >&2 || :
  halt_all TERM
  die "$1 $2"
}

# announce KEY=VALUE...: prints the lines, to be read by key, and keeps them in DIR/env.
announce() { printf '%s\n' "$@" "DIR=$DIR" | tee "$DIR/env"; }

# once NAME FUNCTION: the folder $cache/NAME, filled by FUNCTION at the first time.
once() {
  local home=$cache/$1 part
  [ ! -d "$home" ] || return 0
  mkdir -p "$cache"
  (
    flock 9
    [ ! -d "$home" ] || exit 0
    log "installing $1 into $cache"
    part=$home.part; rm -rf "$part"; mkdir -p "$part"
    (set -e; "$2" "$part") >"$home.log" 2>&1 & # in the background: with || its -e would not count
    wait $! || { tail -n 20 "$home.log" >&2; die "$1 can't be installed"; }
    mv "$part" "$home"
  ) 9>"$cache/.lock-$1"
}

# maven GOAL OPTION...: quietly.
maven() { mvn -B -q "$@"; }
dependency=org.apache.maven.plugins:maven-dependency-plugin:3.6.1

# jars POM FOLDER: what the pom needs at run time.
jars() { maven -f "$1" $dependency:copy-dependencies -DoutputDirectory="$2" -DincludeScope=runtime; }

# Sets UNPRIVILEGED: in front of servers that refuse to run as root. For root that is a namespace of users, in which files
# stay its own; where there are none, the user nobody, who gets DIR.
unprivileged() {
  UNPRIVILEGED=()
  [ "$(id -u)" = 0 ] || return 0
  if unshare -U --map-user=65534 --map-group=65534 true 2>/dev/null; then
    UNPRIVILEGED=(unshare -U --map-user=65534 --map-group=65534)
  else
    chown -R nobody:nogroup "$DIR"
    UNPRIVILEGED=(setpriv --reuid=65534 --regid=65534 --clear-groups)
  fi
}

# certificates FOLDER: ca.pem, server.pem and .key (127.0.0.1, localhost), client.pem and .key.
certificates() {
  local to=$1 name extension
  [ ! -s "$to/client.pem" ] || return 0
  mkdir -p "$to"
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=test-ca -keyout "$to/ca.key" -out "$to/ca.pem" 2>/dev/null
  for name in server client; do
    extension=extendedKeyUsage=clientAuth
    [ $name = client ] || extension='extendedKeyUsage=serverAuth,clientAuth
subjectAltName=IP:127.0.0.1,DNS:localhost'
    openssl req -newkey rsa:2048 -nodes -subj "/CN=$name" -keyout "$to/$name.key" -out "$to/$name.csr" 2>/dev/null
    openssl x509 -req -in "$to/$name.csr" -CA "$to/ca.pem" -CAkey "$to/ca.key" -CAcreateserial -days 30 \
      -extfile <(printf '%s\n' "$extension") -out "$to/$name.pem" 2>/dev/null
  done
  chmod 644 "$to"/*.key
}
