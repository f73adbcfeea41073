#!/usr/bin/env bash
# Proves that the bundle works on 64-bit ARM: makes it, installs it without a network into a fresh Debian of each
# Python, runs it under qemu as the processors of a Raspberry Pi 4 and 5, and compares with x86-64.
#
#   sudo deploy/verify-aarch64.sh [--quick | --paired] [--unpacked] [3.11] [3.13]
#   --paired   Python 3.11 as a Pi 4 (Cortex-A72) and 3.13 as a Pi 5 (A76) only: half of the time
#   --quick    the same, without the real fields, and 10 s of live instead of 60
#   --unpacked Debian's packages unpacked and not configured, and the wheels unpacked by this computer rather than by the
#              emulated pip, which saves some minutes. The rest of install.sh runs as it is.
#
# Needs debootstrap, qemu-user-static and binfmt-support, an x86-64 computer with Python 3.11, and a network for the
# bundle and the roots, which come from DEBIAN_MIRROR, else from where this computer's apt has its packages.
# With EDGELEUK_DATA also 20 real fields. It takes about an hour; what was done is kept in $EDGELEUK_VERIFY_CACHE
# (or $XDG_CACHE_HOME/edgeleuk-verify, /tmp/edgeleuk-verify) and not done again for the same program.
# The report is deploy/verify-aarch64.txt.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${EDGELEUK_VERIFY_CACHE:-${XDG_CACHE_HOME:-/tmp}/edgeleuk-verify}
report=$here/verify-aarch64.txt
reference_python=${PYTHON_REFERENCE:-/usr/bin/python3.11}
mirror=${DEBIAN_MIRROR:-}
live_s=60
quick=no
paired=no
configured=configured
pythons=()
failures=0

fail() {
    echo "verify: error: $*" >&2
    exit 1
}
for argument in "$@"; do
    case $argument in
        --quick) quick=yes paired=yes live_s=10 ;;
        --paired) paired=yes ;;
        --unpacked) configured=unpacked ;;
        3.11 | 3.13) pythons+=("$argument") ;;
        *) sed -n '2,15s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && fail "$argument is not understood." ;;
    esac
done
[ ${#pythons[@]} -gt 0 ] || pythons=(3.11 3.13)
[ "$(id -u)" = 0 ] || fail "chroot needs root. Run it with sudo."
for tool in debootstrap qemu-aarch64-static unshare; do
    command -v $tool > /dev/null || fail "$tool is missing. apt install debootstrap qemu-user-static binfmt-support"
done
[ -x "$reference_python" ] || fail "$reference_python is missing. Name a Python 3.11 in PYTHON_REFERENCE."
mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
[ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] || update-binfmts --enable qemu-aarch64
mkdir -p "$cache/bundles" "$cache/results"

# --- The report ------------------------------------------------------------------------------------------------------

lines=$cache/report
: > "$lines"
tell() { echo "$*" | tee -a "$lines"; }
# The report is written after each line that matters, so that it is true also where the script was stopped.
publish() { cp "$lines" "$report"; }

tell "verify-aarch64 of $(date -u +%Y-%m-%dT%H:%MZ), commit $(git -C "$here" rev-parse --short=12 HEAD 2> /dev/null || echo unknown)$(
    [ -z "$(git -C "$here" status --porcelain -- .. 2> /dev/null)" ] || echo ' with uncommitted changes')"
tell "$(qemu-aarch64-static --version | sed -n 1p), on $(uname -m). Times are of emulation, not of a Pi."

# --- Bundles and roots -----------------------------------------------------------------------------------------------

# make_bundle ARCH PYTHON: the archive's name, made anew where the program changed.
make_bundle() {
    local archive
    if [ ! -e "$cache/bundles/made-from-$source_id" ]; then
        rm -rf "$cache/bundles"
        mkdir -p "$cache/bundles"
        touch "$cache/bundles/made-from-$source_id"
    fi
    archive=$(find "$cache/bundles" -name "edgeleuk-*-py${2/./}-$1.tar")
    if [ -z "$archive" ]; then
        PYTHON=${PYTHON:-python3} "$here/bundle.sh" --arch "$1" --python "$2" --out "$cache/bundles" >&2
        archive=$(find "$cache/bundles" -name "edgeleuk-*-py${2/./}-$1.tar")
    fi
    echo "$archive"
}
# What is in the bundle, but for its page: a change of this script or of a comparison repeats nothing.
source_id=$(cd "$here/.." && find edgeleuk models pyproject.toml deploy/systemd deploy/install.sh deploy/edgeleuk-live \
    deploy/bundle.sh deploy/constraints-*.txt -type f ! -name '*.pyc' -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12)

# reachable SUITE: a mirror that has it: the one that was named, else one that apt is set up with.
reachable() {
    local each
    for each in ${mirror:+"$mirror"} $(apt-get indextargets --format "\$(REPO_URI)" 'Created-By: Packages' | sort -u); do
        if python3 -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=20)' \
            "${each%/}/dists/$1/Release" 2> /dev/null; then
            echo "$each"
            return
        fi
    done
    fail "no mirror with Debian $1 can be reached. Name one in DEBIAN_MIRROR."
}

# make_root SUITE: a Debian as it comes, with Python and nothing else.
make_root() {
    local root=$cache/$1-arm64
    # A root of the other kind is made anew.
    if [ ! -e "$root/.$configured" ]; then
        rm -rf "$root"
        mkdir -p "$cache/debs"
        if [ $configured = unpacked ]; then
            bootstrap "$1" "$root" --foreign
            unpack "$root"
        else
            bootstrap "$1" "$root"
        fi
        touch "$root/.$configured"
    fi
    echo "$root"
}
bootstrap() {
    nice -n 5 debootstrap --arch=arm64 --variant=minbase --include=python3 --cache-dir="$cache/debs" "${@:3}" \
        "$1" "$2" "$(reachable "$1")" >&2
}
# What the configuration would have made, and the installer needs: users and groups, and an awk.
unpack() {
    local deb
    for deb in "$1"/var/cache/apt/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$1" --keep-directory-symlink
    done
    cp "$1/usr/share/base-passwd/passwd.master" "$1/etc/passwd"
    cp "$1/usr/share/base-passwd/group.master" "$1/etc/group"
    ln -sf mawk "$1/usr/bin/awk"
}

# lay_out ROOT PYTHON: the version's folder as install.sh would have built it, so that it has only to be tried and linked.
lay_out() {
    local bundle=$1/root/bundle version to site wheel
    version=$(sed -n 's/^version=//p' "$bundle/BUNDLE")-$(sha256sum "$bundle/SHA256SUMS" | cut -c1-8)
    to=/opt/edgeleuk/versions/$version
    site=$1$to/venv/lib/python$2/site-packages
    mkdir -p "$site" "$1$to/venv/bin"
    ln -s /usr/bin/python3 "$1$to/venv/bin/python"
    printf 'home = /usr/bin\ninclude-system-site-packages = true\n' > "$1$to/venv/pyvenv.cfg"
    printf '#!%s/venv/bin/python\nfrom edgeleuk.cli import main\nmain()\n' "$to" > "$1$to/venv/bin/edgeleuk"
    for wheel in "$bundle"/wheels/*.whl; do
        case ${wheel##*/} in pip-*) ;; *) python3 -m zipfile -e "$wheel" "$site" ;; esac
    done
    cp -r "$bundle/BUNDLE" "$bundle/README.md" "$bundle/install.sh" "$bundle/edgeleuk-live" "$bundle/licences" "$1$to/"
    chmod 755 "$1$to/edgeleuk-live" "$1$to/venv/bin/edgeleuk"
    (cd "$1$to" && find . -type f -print0 | xargs -0 sha256sum) > "$cache/sums"
    mv "$cache/sums" "$1$to/installed.sha256"
    touch "$1$to/whole"
}

# qemu shows the host's /proc/cpuinfo, at which onnxruntime's detection of the processor crashes. These are as the
# kernel of a Pi 4 and a Pi 5 writes them, for as many cores as the host has; only the second has asimddp, the dot product.
cpuinfo() {
    local features=$1 variant=$2 part=$3 revision=$4 core
    for ((core = 0; core < $(nproc); core++)); do
        printf 'processor\t: %s\nBogoMIPS\t: 108.00\nFeatures\t: %s\nCPU implementer\t: 0x41\nCPU architecture: 8\n' \
            "$core" "$features"
        printf 'CPU variant\t: %s\nCPU part\t: %s\nCPU revision\t: %s\n\n' "$variant" "$part" "$revision"
    done
}
cpuinfo "fp asimd evtstrm crc32 cpuid" 0x0 0xd08 3 > "$cache/cpuinfo-cortex-a72"
cpuinfo "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp" 0x4 0xd0b 1 \
    > "$cache/cpuinfo-cortex-a76"

# inside ROOT PROCESSOR COMMAND...: in the root, as that processor, with no network but a loopback that is down.
inside() {
    local root=$1 processor=$2
    shift 2
    # The command is a child of sh, not the first process: a crash of that one would hang instead of end it.
    # shellcheck disable=SC2016 # expanded by the inner shell
    nice -n "${EDGELEUK_VERIFY_NICE:-19}" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
        QEMU_CPU="$processor" OMP_NUM_THREADS=1 EDGELEUK_DATA=/data \
        unshare --net --mount --pid --fork --kill-child sh -c '
            mount -t proc proc "$0/proc"
            mount --bind "$1" "$0/proc/cpuinfo"
            mount -t sysfs -o ro sysfs "$0/sys"
            if [ -n "$2" ]; then mount --bind -o ro "$2" "$0/data"; fi
            root=$0; shift 2; chroot "$root" "$@"; exit $?' \
        "$root" "$cache/cpuinfo-$processor" "${EDGELEUK_DATA:-}" "$@"
}

# --- One check -------------------------------------------------------------------------------------------------------

# check NAME FILE COMMAND...: run it unless its result is kept; FILE takes what it prints.
check() {
    local name=$1 file=$2 began=$SECONDS code=0
    shift 2
    if [ -e "$file.done" ]; then
        tell "  ok   $name ($(cat "$file.done"), kept)"
        return 0
    fi
    "$@" > "$file" 2> "$file.err" || code=$?
    if [ $code = 0 ]; then
        echo "$((SECONDS - began)) s" > "$file.done"
        tell "  ok   $name ($((SECONDS - began)) s)"
    else
        failures=$((failures + 1))
        tell "  FAIL $name: exit $code: $(tail -n 1 "$file.err")"
    fi
    publish
    return $code
}

same() {
    local name=$1 code=0 said
    said=$("$reference_python" "$here/same_results.py" "$2" "$3") || code=$?
    if [ $code = 0 ]; then
        tell "  ok   $name as on x86-64: $said"
    else
        failures=$((failures + 1))
        tell "  FAIL $name as on x86-64: $said"
    fi
    publish
}

# --- x86-64 ----------------------------------------------------------------------------------------------------------

archive=$(make_bundle x86_64 3.11)
tell "x86-64, Python 3.11, bundle of $(($(stat -c %s "$archive") / 1000000)) MB"
results=$cache/results/x86_64-$source_id
mkdir -p "$results"
if [ ! -e "$results/installed" ]; then
    rm -rf "$cache/reference" "$cache/unpacked"
    mkdir -p "$cache/unpacked"
    tar -xf "$archive" -C "$cache/unpacked"
    PYTHON=$reference_python bash "$cache"/unpacked/*/install.sh --root "$cache/reference" > "$results/install.log" 2>&1 ||
        fail "the x86-64 bundle does not install: $(tail -n 1 "$results/install.log")"
    touch "$results/installed"
fi
reference=(env OMP_NUM_THREADS=1 "$cache/reference/usr/local/bin/edgeleuk")
fields=()
if [ -n "${EDGELEUK_DATA:-}" ] && [ "$quick" = no ]; then
    mapfile -t fields < <(cd "$EDGELEUK_DATA" && "$reference_python" -c '
import json
document = json.load(open("fields/txl_val.json"))
names = sorted(image["file_name"] for image in document["images"])
print(*("fields/images/" + n for n in names[:: max(1, len(names) // 20)][:20]), sep="\n")')
fi
check "demo" "$results/demo.json" "${reference[@]}" analyze --demo --json || true
check "demo at a given scale" "$results/given.json" "${reference[@]}" analyze --demo --um-per-px 0.0985 --json || true
if [ ${#fields[@]} -gt 0 ]; then
    check "${#fields[@]} real fields" "$results/fields.json" "${reference[@]}" analyze "${fields[@]/#/$EDGELEUK_DATA/}" --json || true
    check "eval whole on 20 pictures" "$results/eval.json" "${reference[@]}" eval whole "$EDGELEUK_DATA/fields/txl_val.json" \
        --images "$EDGELEUK_DATA/fields/images" --limit 20 --json || true
fi

# --- ARM -------------------------------------------------------------------------------------------------------------

for python in "${pythons[@]}"; do
    processors=(cortex-a72 cortex-a76)
    if [ "$python" = 3.11 ]; then
        suite=bookworm
        if [ $paired = yes ]; then processors=(cortex-a72); fi
    else
        suite=trixie
        if [ $paired = yes ]; then processors=(cortex-a76); fi
    fi
    archive=$(make_bundle aarch64 "$python")
    root=$(make_root $suite)
    tell "$suite arm64 ($configured), Python $python, bundle of $(($(stat -c %s "$archive") / 1000000)) MB"
    mkdir -p "$root/data" "$root/root/bundle"
    arm=$cache/results/$suite-$source_id
    mkdir -p "$arm"
    if [ ! -e "$arm/install.log.done" ]; then
        rm -rf "$root/root/bundle" "$root/opt/edgeleuk" "$root/var/lib/edgeleuk"
        mkdir -p "$root/root/bundle"
        tar -xf "$archive" -C "$root/root/bundle" --strip-components=1
        if [ $configured = unpacked ]; then lay_out "$root" "$python"; fi
    fi
    check "install, without a network" "$arm/install.log" inside "$root" cortex-a72 bash /root/bundle/install.sh || continue
    check "install again" "$arm/again.log" inside "$root" cortex-a72 bash /root/bundle/install.sh || true
    for processor in "${processors[@]}"; do
        tell " as $processor"
        out=$arm/$processor
        mkdir -p "$out"
        run=(inside "$root" "$processor" edgeleuk)
        if "${run[@]}" doctor --help > /dev/null 2>&1; then
            # What it finds is kept, and its exit code told but not judged: an emulator is no Pi.
            "${run[@]}" doctor > "$out/doctor.txt" 2>&1 && code=0 || code=$?
            tell "  ok   doctor ran (exit $code): $(grep -c '^warning ' "$out/doctor.txt" || true) warnings, $(
                grep -c '^failure ' "$out/doctor.txt" || true) failures"
            { grep '^failure ' "$out/doctor.txt" || true; } | while IFS= read -r line; do tell "       $line"; done
        else
            tell "  --   doctor is not in this version"
        fi
        check "models verify" "$out/models.txt" "${run[@]}" models verify || true
        check "demo" "$out/demo.json" "${run[@]}" analyze --demo --json && same "demo" "$results/demo.json" "$out/demo.json"
        # Apart from the scale that the red cells tell, which is found by a search and jumps by some tenths of a percent.
        check "demo at a given scale" "$out/given.json" "${run[@]}" analyze --demo --um-per-px 0.0985 --json &&
            same "demo at a given scale" "$results/given.json" "$out/given.json"
        check "$live_s s of live, simulated" "$out/live.txt" "${run[@]}" live --source simulated:3 --um-per-px 0.1 \
            --width 640 --height 360 --plain --no-keep --seconds "$live_s" &&
            tell "       $(grep -c ' field ' "$out/live.txt" || true) fields counted; $(tail -n 1 "$out/live.txt" | cut -c1-100)"
        if [ ${#fields[@]} -gt 0 ]; then
            check "eval whole on 20 pictures" "$out/eval.json" "${run[@]}" eval whole /data/fields/txl_val.json \
                --images /data/fields/images --limit 20 --json && same "eval whole" "$results/eval.json" "$out/eval.json"
            check "${#fields[@]} real fields" "$out/fields.json" "${run[@]}" analyze "${fields[@]/#//data/}" --json &&
                same "${#fields[@]} real fields" "$results/fields.json" "$out/fields.json"
            # The simulated slide may take longer to paint here than the program waits for a camera; pictures do not.
            check "live, pictures of a folder" "$out/folder.txt" "${run[@]}" live --source /data/fields/images/bccd --plain \
                --no-keep --seconds "$live_s" && tell "       $(tail -n 1 "$out/folder.txt" | cut -c1-100)"
        fi
    done
done

if [ $failures = 0 ]; then tell "passed in $SECONDS s"; else tell "$failures failed, in $SECONDS s"; fi
publish
[ $failures = 0 ]
