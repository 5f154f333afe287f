# Shared by the programs of the benchmark: bash scripts that print what they measure themselves,
# so that the start of a sandbox does not count. A line is `ns NANOSECONDS`, `rate PER_SECOND` or
# `skip REASON`; the argument is how often to measure.
set -eu
runs=$1
cd /work

skip() {
    echo "skip $*"
    exit 0
}

need() {
    local name
    for name; do
        command -v "$name" >/dev/null || skip "no $name in the root file system"
    done
}

# Done before each run, and not timed.
prepare() { :; }

# Runs a function that often and prints how long it takes. Reading the clock starts no process.
timed() {
    local run start end
    for ((run = 0; run < runs; run++)); do
        prepare
        start=${EPOCHREALTIME/./}
        "$1" >/dev/null
        end=${EPOCHREALTIME/./}
        echo "ns $(((end - start) * 1000))"
    done
}

# Waits until a command succeeds, for at most a minute.
await() {
    local i
    for ((i = 0; i < 600; i++)); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    echo "it never happened: $*" >&2
    return 1
}
