#!/usr/bin/env bash
# Proves installer and service under a real systemd: a Debian that boots in a container, with a camera that is made to fail.
#
#   sudo deploy/verify-service.sh [--quick] [--bundle FILE]       --quick: three of the ten stages at which an upgrade fails
#
# Installs, upgrades with a failing step at each stage while the service counts, then kills it, freezes its camera, fills
# its disk and sets its clock back a year. After each, all that was announced must be kept, in order. Needs debootstrap,
# systemd-container and a network; without --bundle it makes one. Sets no clock of this computer (libfaketime does it to
# the service alone). What was made is kept in $EDGELEUK_VERIFY_CACHE, or /tmp/edgeleuk-verify; the report is
# deploy/verify-service.txt. Takes about half an hour.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${EDGELEUK_VERIFY_CACHE:-${XDG_CACHE_HOME:-/tmp}/edgeleuk-verify}
report=$here/verify-service.txt
mirror=${DEBIAN_MIRROR:-} # where it is empty, the one that debootstrap takes by itself
arch=$(uname -m)
root=$cache/service-root
bundle=
failures=0
init=
container=
standin=
# As install.sh runs them; the last one fails after everything was done.
steps=(build try account halt save files switch prove start after-start)
# Of the service's own patience: WatchdogSec and RestartSec of its unit, and time for a slow computer.
PATIENCE_S=600

fail() {
    echo "verify: error: $*" >&2
    exit 1
}
while [ $# -gt 0 ]; do
    case $1 in
        --quick) steps=(save switch after-start) && shift ;;
        --bundle) bundle=${2:?} && shift 2 ;;
        *) sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && fail "$1 is not understood." ;;
    esac
done
[ "$(id -u)" = 0 ] || fail "a container needs root. Run it with sudo."
for tool in debootstrap systemd-nspawn nsenter; do
    command -v $tool > /dev/null || fail "$tool is missing. apt install debootstrap systemd-container"
done
mkdir -p "$cache"
: > "$cache/service-report"
tell() {
    echo "$*" | tee -a "$cache/service-report"
    cp "$cache/service-report" "$report"
}

# --- The container ---------------------------------------------------------------------------------------------------

make_root() {
    [ ! -e "$root/.done" ] || return 0
    rm -rf "$root"
    debootstrap --variant=minbase --include=python3,python3-venv,systemd,systemd-sysv,dbus,udev,libfaketime \
        bookworm "$root" ${mirror:+"$mirror"} >&2
    touch "$root/.done"
}

# As it was before anything was installed.
clean() {
    rm -rf "$root"/opt/edgeleuk "$root"/var/lib/edgeleuk "$root"/etc/edgeleuk "$root"/etc/systemd/system/edgeleuk-* \
        "$root"/var/log/journal "$root/run/systemd/system/edgeleuk-live.service.d"
    mkdir -p "$root/var/log/journal"
}

# boot STATES: until the system is in one of them.
boot() {
    # Neither registered nor in a unit of its own: this computer need not run under systemd.
    nice -n 5 systemd-nspawn -q -D "$root" --boot --register=no --keep-unit --private-network --console=pipe \
        < /dev/null > "$cache/console" 2>&1 &
    local second
    container=$!
    for ((second = 0; second < 120; second++)); do
        init=$(pgrep -P "$container" -x systemd || true)
        if [ -n "$init" ] && inside systemctl is-system-running 2> /dev/null | grep -qE "$1"; then return; fi
        sleep 1
    done
    fail "the container does not boot: $(tail -n 1 "$cache/console")"
}

inside() {
    nsenter -t "$init" -m -u -i -n -p -C -r -w env -i HOME=/root LANG=C.UTF-8 \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}
python() { inside /opt/edgeleuk/current/venv/bin/python "$@"; }
# The stand-in of a camera, over the container's own loopback.
camera_on() {
    inside sh -c 'exec /opt/edgeleuk/current/venv/bin/python /root/standin_camera.py 8080 3 /root/slide-*/simulated.png' \
        > "$cache/camera.log" 2>&1 &
    standin=$!
}
# As with its power button; the tree is busy until it is off. First the camera's nsenter, a child of the shell in the
# background: it stops itself when it sees the camera stopped, as systemd does before it ends what runs, and the container
# would wait for it for ever.
end() {
    [ -z "$standin" ] || pkill -P "$standin" 2> /dev/null || true
    [ -z "$init" ] || kill -s RTMIN+4 "$init" 2> /dev/null || true
    [ -z "$container" ] || wait "$container" || true
}
trap end EXIT

# --- What is looked at -----------------------------------------------------------------------------------------------

journal() { inside journalctl -q --no-pager -o cat -u edgeleuk-live "$@"; }
now() { date +%s.%6N; }

# says SINCE TEXT: wait until the service, or systemd about it, has said that.
says() {
    local since=$1 text=$2 second
    for ((second = 0; second < PATIENCE_S; second++)); do
        if journal --since "@$since" | grep -q -- "$text"; then return 0; fi
        sleep 1
    done
    return 1
}
counts() { says "$1" ' field  '; }
# The same, of a count that began since then: the one before may still have had time for a field.
counts_anew() { says "$1" '  started  ' && counts "$(began_since "$1")"; }
began_since() { inside journalctl -q --no-pager -o short-unix -u edgeleuk-live --since "@$1" | awk '/  started  / {print $1; exit}'; }
# The session that a count began or went on with: the last one since then.
session_since() { journal --since "@$1" | sed -n 's/.* started .* session \([^ ]*\)\. .*/\1/p' | tail -n 1; }
lost_nothing() { journal | python /root/nothing_lost.py /var/lib/edgeleuk/sessions.db; }
camera() { python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/$1', timeout=20)"; }

# expect WHAT COMMAND...: a line of the report.
expect() {
    local what=$1 said code=0
    shift
    said=$("$@" 2>&1 | tail -n 1) || code=$?
    if [ $code = 0 ]; then
        tell "  ok   $what${said:+: $said}"
    else
        failures=$((failures + 1))
        tell "  FAIL $what${said:+: $said}"
    fi
}
another_session() { [ -n "$1" ] && [ -n "$2" ] && [ "$1" != "$2" ] && echo "$2"; }
same_session() { [ -n "$1" ] && [ "$1" = "$2" ] && echo "$1"; }

# --- The proof -------------------------------------------------------------------------------------------------------

make_root
if [ -z "$bundle" ]; then
    rm -rf "$cache/service-bundle"
    bash "$here/bundle.sh" --arch "$arch" --python 3.11 --out "$cache/service-bundle" >&2
    bundle=$(echo "$cache"/service-bundle/*.tar)
fi
tell "verify-service of $(date -u +%Y-%m-%dT%H:%MZ), bundle of commit $(
    tar -xOf "$bundle" --wildcards '*/BUNDLE' | sed -n 's/^commit=//p'), Debian bookworm on $arch, $(
    chroot "$root" systemctl --version | sed -n 1p)"
for version in new old; do
    rm -rf "${root:?}/root/$version"
    mkdir -p "$root/root/$version"
    tar -xf "$bundle" -C "$root/root/$version" --strip-components=1
done
# The same program under an older version's name: what is proven here is the way from one to the other.
sed -i 's/^version=.*/version=0.0.1/' "$root/root/old/BUNDLE"
(cd "$root/root/old" && rm SHA256SUMS && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum > ../sums && mv ../sums SHA256SUMS)
cp "$here/nothing_lost.py" "$here/standin_camera.py" "$root/root/"
clean
boot 'running|degraded'

tell "install"
expect "installed" inside bash /root/old/install.sh
for seed in 1 2 3 4 5 6; do inside edgeleuk simulate --seed $seed --out "/root/slide-$seed" > /dev/null 2>&1; done
camera_on
sed -i -e 's#^EDGELEUK_SOURCE=.*#EDGELEUK_SOURCE=http://127.0.0.1:8080/#' -e 's/^EDGELEUK_UM_PER_PX=.*/EDGELEUK_UM_PER_PX=0.1/' \
    -e 's/^EDGELEUK_OPTIONS=.*/EDGELEUK_OPTIONS="--threads 1"/' "$root/etc/edgeleuk/live.env"
since=$(now)
expect "installed again, with the service" inside bash /root/old/install.sh --service live
expect "the service counts" counts "$since"
old=$(readlink "$root/opt/edgeleuk/current")

tell "upgrade with a failing step, while the service counts"
for step in "${steps[@]}"; do
    ended=0
    inside env EDGELEUK_INSTALL_FAIL_AT="$step" bash /root/new/install.sh --upgrade > "$cache/upgrade.log" 2>&1 || ended=$?
    since=$(now)
    whole() { [ "$ended" != 0 ] && [ "$(readlink "$root/opt/edgeleuk/current")" = "$old" ] && grep 'rolled back' "$cache/upgrade.log"; }
    expect "fails at $step" whole
    expect "  and the old one counts on" counts "$since"
done
expect "nothing is lost" lost_nothing
expect "upgrade" inside bash /root/new/install.sh --upgrade
since=$(now)
expect "  and the new one counts" counts "$since"
expect "nothing is lost" lost_nothing

tell "damaged installation"
since=$(now)
# shellcheck disable=SC2016 # expanded by the inner shell
inside sh -c 'printf lost | dd of="$(find /opt/edgeleuk/current/ -path "*100x*" -name "finder*.onnx")" bs=1 seek=100000 conv=notrunc status=none'
unsound() { ! inside edgeleuk models verify; }
mended() { inside bash /root/new/install.sh > "$cache/again.log" 2>&1 && grep 'it is damaged' "$cache/again.log"; }
expect "a model is not as published" unsound
expect "installed again" mended
expect "the models are as published" inside edgeleuk models verify
expect "  and the service counts" counts_anew "$since"
expect "nothing is lost" lost_nothing

tell "a model from a stick that the service's user may not read"
inside edgeleuk models pack 100x --out /root/100x.zip 2> /dev/null
expect "installed through standard input" inside sh -c 'edgeleuk-service models install - < /root/100x.zip'
used() { inside edgeleuk-service models list | grep -E '100x .* yes .* whole'; }
expect "is in use" used
since=$(now)
inside systemctl restart edgeleuk-live
expect "  and the service counts" counts_anew "$since"
expect "nothing is lost" lost_nothing

tell "killed (kill -9)"
before=$(session_since 0) since=$(now)
inside systemctl kill -s KILL edgeleuk-live
expect "started again, and counts" counts_anew "$since"
expect "goes on with the same session" same_session "$before" "$(session_since "$since")"
expect "nothing is lost" lost_nothing

tell "power cut: every process of the container killed at once, and booted again, the camera plugged in later"
before=$(session_since 0) since=$(now)
kill -KILL "$init"
wait "$container" || true
# It has not come up before the service has, which waits for its camera.
boot 'running|degraded|starting'
expect "the service says that it waits for the camera" says "$since" 'http://127.0.0.1:8080/'
camera_on
expect "started by itself, and counts" counts_anew "$since"
expect "another session begins" another_session "$before" "$(session_since "$since")"
state_of() { python -c "import json, sys; print(*(s['state'] for s in json.load(sys.stdin)['sessions'] if s['id'] == '$1'))"; }
kept() { inside edgeleuk-service sessions list --json | state_of "$before" | grep -x interrupted; }
expect "the one before is kept, as interrupted" kept
expect "nothing is lost" lost_nothing

tell "frozen camera"
before=$(session_since 0) since=$(now)
camera freeze
expect "says so" says "$since" 'the same picture again and again'
expect "systemd's watchdog ends it" says "$since" 'Watchdog timeout'
thawed=$(now)
camera go
expect "counts again" counts "$thawed"
expect "goes on with the same session" same_session "$before" "$(session_since "$since")"
expect "nothing is lost" lost_nothing

tell "full disk (80 MB)"
inside systemctl stop edgeleuk-live
rm -rf "$root/root/kept"
inside sh -c 'cp -a /var/lib/edgeleuk /root/kept && mount -t tmpfs -o size=80m,mode=750 tmpfs /var/lib/edgeleuk &&
    cp -a /root/kept/. /var/lib/edgeleuk/ && chown -R edgeleuk:edgeleuk /var/lib/edgeleuk'
since=$(now)
inside systemctl start edgeleuk-live
expect "counts" counts "$since"
before=$(session_since 0) since=$(now)
# shellcheck disable=SC2016 # expanded by the inner shell
inside sh -c 'fallocate -l "$(($(df -B1 --output=avail /var/lib/edgeleuk | tail -n 1) - 20000000))" /var/lib/edgeleuk/ballast'
expect "says so" says "$since" 'Counting is paused'
status() { inside systemctl show -p StatusText edgeleuk-live | grep 'Counting is paused'; }
sleep 12 # a status is told no oftener than that
expect "systemctl status says so" status
freed=$(now)
inside rm /var/lib/edgeleuk/ballast
expect "with space it counts on by itself" counts "$freed"
expect "in the same session" same_session "$before" "$(inside edgeleuk-service sessions list --json | grep -m 1 -o '"id": "[^"]*"' | cut -d '"' -f 4)"
expect "nothing is lost" lost_nothing

tell "clock set back a year in the middle of a session"
inside systemctl stop edgeleuk-live
mkdir -p "$root/etc/systemd/system/edgeleuk-live.service.d"
cat > "$root/etc/systemd/system/edgeleuk-live.service.d/clock.conf" << EOF
[Service]
Environment=LD_PRELOAD=/usr/lib/$arch-linux-gnu/faketime/libfaketime.so.1 FAKETIME_TIMESTAMP_FILE=/etc/edgeleuk/clock
Environment=FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1
EOF
echo +0 > "$root/etc/edgeleuk/clock"
since=$(now)
inside systemctl daemon-reload
inside systemctl start edgeleuk-live
expect "counts" counts "$since"
before=$(session_since 0) since=$(now)
echo -365d > "$root/etc/edgeleuk/clock"
expect "says so" says "$since" 'clock was set back by 365 days'
back=$(now)
expect "counts on" counts "$back"
since=$(now)
inside systemctl kill -s KILL edgeleuk-live
expect "killed, and counts again" counts_anew "$since"
expect "goes on with the same session" same_session "$before" "$(session_since "$since")"
expect "nothing is lost" lost_nothing
since=$(now)
inside systemctl restart edgeleuk-live
expect "the next session counts" counts_anew "$since"
newest() { same_session "$(session_since "$since")" "$(inside edgeleuk-service sessions list --json | grep -m 1 -o '"id": "[^"]*"' | cut -d '"' -f 4)"; }
expect "the next session, a year earlier by the clock, is listed as the newest" newest
expect "nothing is lost" lost_nothing

tell "uninstall"
expect "uninstalled" inside bash /root/new/install.sh --uninstall
gone() { ! inside systemctl cat edgeleuk-live > /dev/null 2>&1 && [ ! -e "$root/opt/edgeleuk" ]; }
expect "program and units are gone" gone
data() { inside sh -c '[ -s /var/lib/edgeleuk/sessions.db ] && [ -s /etc/edgeleuk/live.env ]'; }
expect "sessions and options are there" data
inside umount /var/lib/edgeleuk
expect "purged" inside bash /root/new/install.sh --uninstall --purge
nobody() { ! inside getent passwd edgeleuk && [ ! -e "$root/var/lib/edgeleuk" ] && [ ! -e "$root/etc/edgeleuk" ]; }
expect "data, options and user are gone" nobody

if [ $failures = 0 ]; then tell "passed in $SECONDS s"; else tell "$failures failed, in $SECONDS s"; fi
[ $failures = 0 ]
