#!/usr/bin/env bash
# Makes one archive with all that edgeleuk needs on a computer without a network. Run it on any machine with one.
#
#   deploy/bundle.sh [--arch aarch64|x86_64] [--python 3.11|3.13] [--out DIR] [--wheel FILE]
#
# 3.11 is for Raspberry Pi OS Bookworm, 3.13 for Trixie. The archive holds the wheels of edgeleuk (with its models) and
# of every dependency, pip, the installer, the services, the licences of all that, a list of it (SBOM), and checksums.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
project=$(dirname "$here")
arch=aarch64
python=3.11
out=$PWD
wheel=
host=${PYTHON:-python3}
# Optional parts that come along, since they cannot be had later: iPhone pictures, signatures of models.
extras=heif,signing,web

say() { echo "bundle: $*"; }
fail() {
    echo "bundle: error: $*" >&2
    exit 1
}
usage() { sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

while [ $# -gt 0 ]; do
    case $1 in
        --arch) arch=${2:?} && shift 2 ;;
        --python) python=${2:?} && shift 2 ;;
        --out) out=${2:?} && shift 2 ;;
        --wheel) wheel=${2:?} && shift 2 ;;
        -h | --help) usage && exit 0 ;;
        *) usage >&2 && fail "$1 is not understood." ;;
    esac
done
case $arch in aarch64 | x86_64) ;; *) fail "no bundle for $arch. Use --arch aarch64 or x86_64." ;; esac
# The glibc of the distribution that has this Python: Bookworm 2.36, Trixie 2.41.
case $python in
    3.11) glibc=36 ;;
    3.13) glibc=41 ;;
    *) fail "no bundle for Python $python. Use --python 3.11 (Bookworm) or 3.13 (Trixie)." ;;
esac
"$host" -m pip --version > /dev/null 2>&1 || fail "$host has no pip. Set PYTHON to one that has."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out" "$work/wheels"

if [ -n "$wheel" ]; then
    cp "$wheel" "$work/wheels/"
else
    say "building the wheel"
    "$host" -m pip wheel -q --disable-pip-version-check --no-deps -w "$work/wheels" "$project"
fi
wheel=$(echo "$work"/wheels/edgeleuk-*.whl)
[ -f "$wheel" ] || fail "there is no wheel of edgeleuk. Give one with --wheel."
version=$(basename "$wheel" | cut -d- -f2)

platforms=()
for ((minor = glibc; minor >= 17; minor--)); do platforms+=(--platform "manylinux_2_${minor}_$arch"); done
platforms+=(--platform "manylinux2014_$arch")
say "downloading wheels for Python $python on $arch"
"$host" -m pip download -q --disable-pip-version-check --only-binary=:all: "${platforms[@]}" --implementation cp \
    --python-version "$python" -c "$here/constraints-$python.txt" -d "$work/wheels" "${wheel}[$extras]" pip ||
    fail "the wheels could not be had: check the network, and that each dependency has a wheel for $arch."

name=edgeleuk-$version-py${python/./}-$arch
bundle=$work/$name
mkdir -p "$bundle"
mv "$work/wheels" "$bundle/wheels"
cp "$here/install.sh" "$here/edgeleuk-live" "$here/README.md" "$here/PROGRAMME.md" "$here/site.toml" "$bundle/"
cp -r "$here/systemd" "$bundle/systemd"
"$host" "$here/licences.py" "$bundle/wheels" "$bundle/licences"
cp "$project/LICENSE" "$bundle/licences/edgeleuk-LICENSE"
chmod 755 "$bundle/install.sh" "$bundle/edgeleuk-live"

commit=$(git -C "$project" rev-parse --short=12 HEAD 2> /dev/null || echo unknown)
[ -z "$(git -C "$project" status --porcelain 2> /dev/null)" ] || commit=$commit-changed
# The same commit gives the same archive, wherever it is made from the same wheels.
stamp=$(git -C "$project" log -1 --format=%ct 2> /dev/null || date +%s)
"$host" "$here/sbom.py" "$bundle/wheels" "$bundle/sbom.cdx.json" "$stamp"
cat > "$bundle/BUNDLE" << EOF
version=$version
python=$python
arch=$arch
extras=$extras
commit=$commit
EOF
(cd "$bundle" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) > "$work/SHA256SUMS"
mv "$work/SHA256SUMS" "$bundle/"

archive=$out/$name.tar
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$stamp" -C "$work" -cf "$archive.partial" "$name"
mv "$archive.partial" "$archive"
(cd "$out" && sha256sum "$name.tar" > "$name.tar.sha256")
say "$(find "$bundle/wheels" -name '*.whl' | wc -l) wheels, $(($(stat -c %s "$archive") / 1000000)) MB: $archive"
