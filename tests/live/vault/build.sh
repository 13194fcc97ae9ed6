#!/bin/sh
# Builds the Vault server that the tests of agent/keys/vault_transit speak to, from Vault's published Go module:
#
#     tests/live/vault/build.sh FOLDER        # puts vault-for-tests into FOLDER, unless the very same is there already
#
# Wants go and, the first time, the Go module proxy. Takes minutes where nothing of it has been built before.
#
# Vault is one module that expects three others beside it in its repository, which a download does not bring. They are
# published as well, but not in the very state that Vault was built with: three lines call functions that differ there.
# Those lines have to do with restoring backups and deduplicating identities, neither of which any test of ours does.
set -eu

VERSION=v1.21.4
SDK=v0.21.0

folder=${1:?usage: build.sh FOLDER}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

recipe="$VERSION $SDK $(cat "$here/main.go" "$here/build.sh" | sha256sum | cut -d' ' -f1)"
if [ -x "$folder/vault-for-tests" ] && [ "$(cat "$folder/vault-for-tests.recipe" 2>/dev/null)" = "$recipe" ]; then
    exit 0
fi

work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
export GOFLAGS=-buildvcs=false

cd "$work"
source=$(go mod download -json "github.com/hashicorp/vault@$VERSION" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p')
cp -r "$source" vault
chmod -R u+w vault
cd vault
for module in api api/auth/approle api/auth/kubernetes api/auth/userpass sdk; do
    go mod edit -dropreplace "github.com/hashicorp/vault/$module"
done
go mod edit -require "github.com/hashicorp/vault/sdk@$SDK"

# replace FILE OLD NEW: change one line, and stop if it is not there, since then Vault is not what this was written for.
replace() {
    grep -qF "$2" "$1" || { echo "build.sh: $1 of Vault $VERSION has changed" >&2; exit 1; }
    sed -i "s#$2#$3#" "$1"
}
replace vault/identity_store.go 'ActivationFunc: iStore.activateDeduplication,' \
    'ActivationFunc: func(ctx context.Context, req *logical.Request, _ string) error { return iStore.activateDeduplication(ctx, req) },'
replace vault/logical_system_activation_flags.go 'ActivationFunc(ctx, nil)' 'ActivationFunc(ctx, nil, "")'
replace builtin/logical/transit/path_restore.go 'err := b.lm.RestorePolicy(' 'err := keyName, b.lm.RestorePolicy('

mkdir vault-for-tests
cp "$here/main.go" vault-for-tests/
go build -mod=mod -trimpath -ldflags='-s -w' -o "$work/built" ./vault-for-tests
mv "$work/built" "$folder/vault-for-tests"
echo "$recipe" > "$folder/vault-for-tests.recipe"
