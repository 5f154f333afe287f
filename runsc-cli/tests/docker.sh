#!/usr/bin/env bash
# Runs containers with `docker run --runtime=runsc-rs` on a Docker daemon of its own.
#
#   docker.sh BINARY [IMAGE.tar]
#
# The daemon lives in network, mount and pid namespaces of its own, with its own /run and data
# directory: nothing on the machine is touched, and everything ends with the script. Without
# IMAGE.tar a Debian root file system is made with mmdebstrap. Needs root, docker.io and, for the
# image, mmdebstrap. Set RUNTIME=runc to run the same list with Docker's own runtime.
set -euo pipefail

fail() { echo "docker.sh: $*" >&2; exit 1; }

if [ "${1:-}" != --inside ]; then
    [ "$(id -u)" = 0 ] || fail "must run as root: it starts a Docker daemon"
    for tool in dockerd docker containerd unshare script; do
        command -v "$tool" >/dev/null || fail "$tool is missing (Debian packages: docker.io util-linux bsdutils)"
    done
    binary=$(readlink -f "${1:?usage: docker.sh BINARY [IMAGE.tar]}")
    image=${2:-}
    work=$(mktemp -d /var/tmp/runsc-docker.XXXXXX)
    cgroup=runsc-docker-$$
    clean() {
        # The namespaces are gone, and with them all processes and mounts.
        for directory in $(find /sys/fs/cgroup -depth -type d -path "*/$cgroup*" 2>/dev/null); do
            rmdir "$directory" 2>/dev/null || true
        done
        rm -rf --one-file-system "$work"
    }
    trap clean EXIT
    if [ -z "$image" ]; then
        command -v mmdebstrap >/dev/null || fail "mmdebstrap is missing and no image is given"
        image=$work/image.tar
        echo "making an image with mmdebstrap"
        # The network may fail for a moment.
        for attempt in 1 2 3 4 5; do
            mmdebstrap --quiet --variant=minbase --include=procps \
                --aptopt='Acquire::Retries "5"' \
                --dpkgopt='path-exclude=/usr/share/locale/*' \
                --dpkgopt='path-exclude=/usr/share/doc/*' \
                --dpkgopt='path-exclude=/usr/share/man/*' bookworm "$image" && break
            [ "$attempt" -lt 5 ] || fail "mmdebstrap could not make a root file system"
            rm -f "$image"
            sleep $((attempt * 5))
        done
    fi
    status=0
    unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private \
        "$0" --inside "$binary" "$image" "$work" "$cgroup" || status=$?
    [ "$status" = 0 ] || { echo "--- end of the daemon's log"; tail -n 30 "$work/daemon.log" || true; }
    exit "$status"
fi

shift
binary=$1 image=$2 work=$3 cgroup=$4
runtime=${RUNTIME:-runsc-rs}
mount -t tmpfs tmpfs /run
ip link set lo up 2>/dev/null || true
mkdir -p "$work/data" "$work/volume"
cat > "$work/daemon.json" <<EOF
{
  "runtimes": { "runsc-rs": { "path": "$binary", "runtimeArgs": ["--debug-log", "$work/debug.log"] } },
  "cgroup-parent": "/$cgroup",
  "exec-opts": ["native.cgroupdriver=cgroupfs"],
  "data-root": "$work/data",
  "exec-root": "/run/docker",
  "pidfile": "/run/docker.pid",
  "hosts": ["unix:///run/docker.sock"],
  "iptables": false,
  "ip6tables": false,
  "bridge": "none"
}
EOF
dockerd --config-file "$work/daemon.json" > "$work/daemon.log" 2>&1 &
export DOCKER_HOST=unix:///run/docker.sock
for _ in $(seq 100); do
    docker version >/dev/null 2>&1 && break
    sleep 0.2
done
docker version >/dev/null || fail "the daemon did not start"
docker import "$image" test >/dev/null
[[ $image != "$work"/* ]] || rm "$image"

failures=0 cases=0
exec </dev/null
# check NAME EXPECTED-STATUS EXPECTED-OUTPUT-PATTERN COMMAND...
check() {
    local name=$1 want_status=$2 want_output=$3 output status=0
    shift 3
    output=$("$@" 2>&1 | tr -d '\0') || status=$?
    cases=$((cases + 1))
    # shellcheck disable=SC2053 # both are patterns
    if [[ $status == $want_status ]] && [[ $output == $want_output ]]; then
        echo "ok   $name"
    else
        echo "FAIL $name: status $status (want $want_status), output: $output (want $want_output)"
        failures=$((failures + 1))
    fi
}
docker() { timeout 60 docker "$@"; }
run() { docker run --rm --runtime="$runtime" --network none "$@"; }
# terminal ARGUMENTS...: docker on a terminal, its carriage returns removed
terminal() { timeout 60 script -qefc "docker $*" /dev/null | tr -d '\r'; }
count() { "$@" | wc -c; }
# types an interrupt after the program has started
interrupt_key() {
    (sleep 3; printf '\003'; sleep 1) | timeout 60 script -qefc \
        "docker run --rm --runtime=$runtime --network none -it test sh -c 'echo ready; sleep 30'" /dev/null
}

check "exit status 0" 0 "" run test true
check "exit status 3" 3 "" run test sh -c 'exit 3'
check "killed by a signal" 137 "*" run test sh -c 'sh -c "kill -9 \$\$"; exit $?'
check "no such program" 127 "*executable file not found*" run test nosuchprogram
check "no such path" 127 "*no such file or directory*" run test /no/such/program
check "not executable" 126 "*permission denied*" run test /etc/passwd
check "output" 0 "hello" run test echo hello
check "error stream" 0 "oops" run test sh -c 'echo oops >&2'
check "standard input" 0 "over there" run -i test cat <<< "over there"
check "large output" 0 "1000000" count run test head -c 1000000 /dev/zero
check "terminal" 0 "*/dev/*" terminal run --rm --runtime="$runtime" --network none -it test tty
check "terminal size" 0 "*[0-9]* [0-9]*" terminal run --rm --runtime="$runtime" --network none -it test stty size
check "user by number" 0 "1234:5678" run -u 1234:5678 test sh -c 'echo $(id -u):$(id -g)'
check "user by name" 0 "daemon" run -u daemon test id -un
check "working directory" 0 "/usr/lib" run -w /usr/lib test pwd
check "environment" 0 "bar /root" run -e FOO=bar test sh -c 'echo $FOO $HOME'
check "hostname" 0 "box" run --hostname box test cat /proc/sys/kernel/hostname
check "hosts file" 0 "*127.0.0.1*" run test cat /etc/hosts
check "read-only root" 1 "*Read-only file system*" run --read-only test touch /x
check "tmpfs" 0 "yes" run --read-only --tmpfs /scratch test sh -c 'echo yes > /scratch/f && cat /scratch/f'
echo from-host > "$work/volume/in"
check "volume" 0 "from-host" run -v "$work/volume:/v" test sh -c 'cat /v/in; echo from-guest > /v/out'
check "volume changes the host" 0 "from-guest" cat "$work/volume/out"
check "read-only volume" 1 "*Read-only file system*" run -v "$work/volume:/v:ro" test touch /v/x
check "pid 1" 0 "1" run test sh -c 'echo $$'
check "ulimit" 0 "77" run --ulimit nofile=77 test sh -c 'ulimit -n'
check "capabilities dropped" 1 "*not permitted*" run --cap-drop CHOWN test chown 1:1 /etc/passwd
check "supplementary groups" 0 "*4321*" run --group-add 4321 test id -G
check "init process" 0 "*docker-init*" run --init test cat /proc/1/cmdline
check "entry point" 0 "from entry" run --entrypoint /bin/echo test from entry
check "terminal only for output" 0 "*[0-9]* [0-9]*" terminal run --rm --runtime="$runtime" --network none -t test stty size
check "interrupt key" 130 "*" interrupt_key
check "memory limit" 0 "*" run -m 256m test grep MemTotal /proc/meminfo

docker run -d --name box --runtime="$runtime" --network none test \
    sh -c 'trap "echo stopping; exit 9" TERM; echo started; while :; do sleep 0.1; done' >/dev/null
check "detached container runs" 0 "true" docker inspect -f '{{.State.Running}}' box
check "exec" 0 "inside" docker exec box echo inside
check "exec sees the container" 0 "1" docker exec box sh -c 'ls /proc | grep -x 1'
check "exec status" 5 "" docker exec box sh -c 'exit 5'
check "exec of nothing" "12[67]" "*executable file not found*" docker exec box nosuchprogram
check "exec standard input" 0 "x y z" docker exec -i box cat <<< "x y z"
check "exec on a terminal" 0 "*/dev/*" terminal exec -it box tty
check "exec as user" 0 "1000" docker exec -u 1000 box id -u
check "exec with environment" 0 "v /tmp" docker exec -e A=v -w /tmp box sh -c 'echo $A $PWD'
check "detached exec" 0 "" docker exec -d box sh -c 'echo done > /tmp/flag'
sleep 1
check "detached exec has run" 0 "done" docker exec box cat /tmp/flag
check "copy out of a running container" 0 "*done*" docker cp box:/tmp/flag -
check "statistics" 0 "*%*" docker stats --no-stream box
check "top" 0 "*PID*" docker top box
check "stop" 0 "box" docker stop -t 20 box
check "status after stop" 0 "9" docker inspect -f '{{.State.ExitCode}}' box
check "logs" 0 "started*stopping" docker logs box
check "start again" 0 "box" docker start box
check "restart" 0 "box" docker restart -t 20 box
check "kill" 0 "box" docker kill box
check "status after kill" 0 "137" docker wait box
check "remove" 0 "box" docker rm box
docker run -d --name gone --runtime="$runtime" --network none test sleep 1000 >/dev/null
check "remove by force" 0 "gone" docker rm -f gone
check "nothing is left" 0 "" docker ps -aq

sleep 0.5
left=$(pgrep -af "$binary (boot|gofer)|runsc-rs (boot|gofer)" || true)
[ -z "$left" ] || { echo "FAIL processes left: $left"; failures=$((failures + 1)); }
state=$(find /run/docker/runtime-* -mindepth 2 -maxdepth 2 2>/dev/null || true)
[ -z "$state" ] || { echo "FAIL state left: $state"; failures=$((failures + 1)); }
echo "$cases cases, $failures failures with $runtime"
[ "$failures" = 0 ]
