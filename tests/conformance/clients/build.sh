#!/bin/sh
# Builds the clients of the conformance suite that are not Python, each with its SDK as the registry of its language
# has it, at the versions of its lock file:
#
#     tests/conformance/clients/build.sh [FOLDER [NAME...]]        # javascript, go, minio, java and rust, or those named
#
# Puts one executable for each NAME into FOLDER (.cache/conformance here, if not said), and what it needs to run below
# FOLDER/build; nothing is written beside the sources. What is there already, from the very same sources, is left as it
# is. A client whose tools are missing or too old is passed over, and said to be; a build that fails ends it. The first
# time takes minutes, most of them for Rust.
# shellcheck disable=SC2016  # what stands in single quotes is for the shell of the executables
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/../../../.cache/conformance}
[ "$#" = 0 ] || shift
[ "$#" -gt 0 ] || set -- javascript go minio java rust
mkdir -p "$folder/build"
folder=$(cd "$folder" && pwd)

# One at a time: who comes second finds all done.
exec 9>"$folder/build/lock"
flock 9

say() { echo "build.sh: $*" >&2; }

# tool NAME NEEDED FOUND: whether a tool is there, and not older than what the SDK can do with.
tool() {
    if ! command -v "$1" >/dev/null; then
        say "no client $name: $1 is not installed"
        return 1
    elif ! printf '%s\n' "$2" "$3" | sort -C -V; then
        say "no client $name: $1 is of version $3, and the SDK wants $2"
        return 1
    fi
}
# version_of COMMAND...: the first number that it prints, without the colours that Maven puts there.
version_of() {
    "$@" 2>/dev/null | sed -n "s/$(printf '\033')"'\[[0-9;]*m//g; 1s/^[^0-9]*\([0-9][0-9.]*\).*/\1/p'
}

tools_for_javascript() { tool node 20 "$(version_of node --version)" && tool npm 9 "$(version_of npm --version)"; }
tools_for_go() { tool go 1.24 "$(version_of go env GOVERSION)"; }
tools_for_minio() { tool go 1.26 "$(version_of go env GOVERSION)"; }
tools_for_java() { tool javac 17 "$(version_of javac --version)" && tool mvn 3.6.3 "$(version_of mvn --version)"; }
tools_for_rust() { tool cargo 1.94.1 "$(version_of cargo --version)"; }

build_javascript() {
    cp "$here/javascript/package.json" "$here/javascript/package-lock.json" "$here/javascript/client.mjs" "$work"
    (cd "$work" && npm ci --loglevel=error --no-audit --no-fund --ignore-scripts >/dev/null)
    starts_with 'node "$build/javascript/client.mjs"'
}

build_go() {
    CGO_ENABLED=0 nice go -C "$here/$name" build -trimpath -buildvcs=false -ldflags='-s -w' -o "$work/client" .
    starts_with "\"\$build/$name/client\""
}
build_minio() { build_go; }

# The JVM is told that it will not live long, and has to share the machine.
build_java() {
    cp "$here/java/pom.xml" "$here/java/Client.java" "$work"
    (cd "$work" && nice mvn -B -q -C dependency:copy-dependencies compiler:compile) > "$work/log" 2>&1 || {
        cat "$work/log" >&2
        return 1
    }
    starts_with 'java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$build/java/target/classes:$build/java/target/lib/*" Client'
}

# What is compiled stays, outside of what is thrown away before each build: the SDK takes long, and our part a moment.
build_rust() {
    nice cargo build --quiet --locked --release --manifest-path "$here/rust/Cargo.toml" --target-dir "$folder/build/cargo"
    cp "$folder/build/cargo/release/rolecall-conformance-client" "$work/client"
    starts_with '"$build/rust/client"'
}

# starts_with COMMAND: the executable, which finds its parts wherever FOLDER is put, and keeps its process id.
starts_with() {
    {
        echo '#!/bin/sh'
        echo 'build=$(dirname "$0")/build'
        echo "exec $1 \"\$@\""
    } > "$work/start"
    chmod +x "$work/start"
    mv "$work/start" "$folder/$name"
}

for name in "$@"; do
    case $name in javascript | go | minio | java | rust) ;; *) say "there is no client named $name"; exit 2 ;; esac
    "tools_for_$name" || continue
    work=$folder/build/$name
    recipe=$(find "$here/$name" "$here/build.sh" -type f | sort | xargs cat | sha256sum | cut -d' ' -f1)
    [ ! -x "$folder/$name" ] || [ "$(cat "$work.recipe" 2>/dev/null)" != "$recipe" ] || continue
    rm -rf "$work" "${folder:?}/$name"
    mkdir "$work"
    begun=$(date +%s)
    "build_$name"
    echo "$recipe" > "$work.recipe"
    say "$name: built in $(($(date +%s) - begun)) s"
done
