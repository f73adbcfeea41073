#!/usr/bin/env bash
# Installs edgeleuk from the bundle that this file lies in. No step needs a network.
#
#   sudo ./install.sh                       install; again: repair, nothing is lost
#   sudo ./install.sh --upgrade             replace another version; on a failure the old one is as it was
#   sudo ./install.sh --uninstall           remove the program; sessions, profiles and options stay
#   sudo ./install.sh --uninstall --purge   remove these too
#   --service live|console|web|none         what starts at boot (live: no screen; console: dashboard on tty1; web: pages)
#   --answers FILE                          site, device, objective and more from a file like site.toml beside this one
#   --root DIR                              a tree instead of this computer: no user, no service; it runs in place
#
# Layout: /opt/edgeleuk/versions/VERSION-ID, of which `current` is one; /etc/edgeleuk; /var/lib/edgeleuk.
set -euo pipefail

bundle=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
action=install
service=
answers=
purge=no
root=
user=edgeleuk
host=${PYTHON:-python3}
# For tests only: the step of this name fails, as it would on a full disk or a bad card.
fail_at=${EDGELEUK_INSTALL_FAIL_AT:-}
NEEDED_MB=700

say() { echo "edgeleuk: $*"; }
fail() {
    echo "edgeleuk: error: $*" >&2
    exit 1
}
usage() { sed -n '2,13s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

while [ $# -gt 0 ]; do
    case $1 in
        --upgrade) action=upgrade && shift ;;
        --uninstall) action=uninstall && shift ;;
        --purge) purge=yes && shift ;;
        --service) service=${2:?--service needs live, console, web or none} && shift 2 ;;
        --answers) answers=${2:?--answers needs a file} && shift 2 ;;
        --root) root=${2:?--root needs a folder} && shift 2 ;;
        -h | --help) usage && exit 0 ;;
        *) usage >&2 && fail "$1 is not understood." ;;
    esac
done
case $service in '' | live | console | web | none) ;; *) fail "--service $service is none of live, console, web, none." ;; esac
[ -z "$answers" ] || [ "$action" != uninstall ] || fail "--answers does not go with --uninstall."
[ "$purge" = no ] || [ "$action" = uninstall ] || fail "--purge goes with --uninstall only."
if [ -n "$root" ]; then
    mkdir -p "$root"
    root=$(cd "$root" && pwd)
    [ "$root" != / ] || root=
fi
[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "installing needs root. Run: sudo $0"

opt=$root/opt/edgeleuk
etc=$root/etc/edgeleuk
data=$root/var/lib/edgeleuk
undo=$opt/.undo
units=$root/etc/systemd/system
bin=$root/usr/local/bin

# Services are managed only where this computer runs under systemd (not in a tree, not in a chroot).
managed() { [ -z "$root" ] && [ -d /run/systemd/system ]; }
current() { readlink "$opt/current" 2> /dev/null | sed 's#^versions/##' || true; }

# --- What the bundle is, and whether it fits this computer -----------------------------------------------------------

value() { sed -n "s/^$1=//p" "$bundle/BUNDLE"; }

check() {
    if [ ! -f "$bundle/BUNDLE" ] || [ ! -f "$bundle/SHA256SUMS" ]; then
        fail "$bundle is no bundle. Unpack the archive (tar xf edgeleuk-*.tar) and run the install.sh in it."
    fi
    local arch python here
    arch=$(value arch) python=$(value python) here=$(uname -m)
    [ "$arch" = "$here" ] ||
        fail "this bundle is for $arch, this computer is $here. Make one with bundle.sh --arch $here$(
            [ "$here" = armv7l ] && echo ', or use the 64-bit Raspberry Pi OS')."
    command -v "$host" > /dev/null || fail "there is no $host. Install Python $python (apt install python3)."
    here=$("$host" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    [ "$python" = "$here" ] ||
        fail "this bundle is for Python $python, here is $here. Make one with bundle.sh --python $here (Bookworm has 3.11, Trixie 3.13)."
    "$host" -c 'import venv' 2> /dev/null || fail "this Python has no venv. Install the package python3-venv."
    say "checking the bundle's files"
    (cd "$bundle" && sha256sum --quiet --strict -c SHA256SUMS) >&2 ||
        fail "the bundle is damaged (above). Copy it again, and compare the archive with its .sha256 file."
    version=$(value version)-$(sha256sum "$bundle/SHA256SUMS" | cut -c1-8)
    [[ $version =~ ^[A-Za-z0-9.+_-]+$ ]] || fail "the bundle's version is malformed. Make the bundle again."
    mkdir -p "$opt/versions"
}
room() {
    local free
    free=$(df -Pm "$opt" | awk 'NR == 2 {print $4}')
    [ "$free" -ge "$NEEDED_MB" ] ||
        fail "$free MB are free under $opt, $NEEDED_MB are needed. Delete something, or use a larger card."
}

# --- Answers ---------------------------------------------------------------------------------------------------------
# Read and checked before anything is changed. Each answer becomes a variable here; absent ones are empty.
answer_site='' answer_device='' answer_profile='' answer_objective='' answer_target='' answer_language='' answer_service='' answer_identity=''

read_answers() {
    [ -n "$answers" ] || return 0
    local told
    told=$("$host" - "$answers" << 'EOF'
import json, re, shlex, sys, tomllib
from pathlib import Path

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
CHOICES = {
    "objective": ("100x", "40x", "10x"),
    "language": ("en", "fr", "ur"),
    "service": ("live", "console", "web", "none"),
}
KNOWN = ("site", "device", "operator", "profile", "objective", "target", "language", "service")


def fault(name, value):
    if name not in KNOWN:
        return f"{name} is unknown; known here: {', '.join(KNOWN)}"
    if name == "target":
        return "" if type(value) is int and 0 < value <= 10000 else "target is no whole number from 1 to 10000"
    if not isinstance(value, str):
        return f"{name} is no text"
    if name in CHOICES:
        return "" if value in CHOICES[name] else f"{name} is none of {', '.join(CHOICES[name])}"
    if name == "profile":
        return "" if not value or NAME.fullmatch(value) else "profile is no name of a profile"
    if len(value) > 80 or not value.isprintable() or value != value.strip():
        return f"{name} has more than 80 characters, control characters, or spaces at its ends"
    return "" if value or name == "operator" else f"{name} is empty"


try:
    found = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8-sig"))
except (OSError, ValueError) as error:
    sys.exit(f"{sys.argv[1]} cannot be read: {error}")
faults = [text for name, value in found.items() if (text := fault(name, value))]
faults += [f"{name} is missing" for name in ("site", "device") if name not in found]
if faults:
    sys.exit(f"{sys.argv[1]}: {'; '.join(faults)}")
for name in ("site", "device", "profile", "objective", "target", "language", "service"):
    print(f"answer_{name}={shlex.quote(str(found.get(name, '')))}")
lines = [f"{name} = {json.dumps(found.get(name, ''), ensure_ascii=False)}" for name in ("site", "device", "operator")]
print("answer_identity=" + shlex.quote("\n".join(lines)))
EOF
    ) || fail "the answers cannot be used (above). Compare them with $bundle/site.toml; nothing was changed."
    eval "$told"
    [ -n "$service" ] || service=$answer_service
}

# One option of a service, in place of what stands there.
set_option() {
    local file=$1 name=$2 text=$3
    [ -n "$text" ] || return 0
    grep -q "^$name=" "$root$file" || echo "$name=" >> "$root$file"
    sed "s#^$name=.*#$name=$text#" "$root$file" > "$root$file.partial"
    chmod --reference="$root$file" "$root$file.partial"
    mv -f "$root$file.partial" "$root$file"
}

# The identity of this machine, and the options of its services.
answered() {
    [ -n "$answers" ] || return 0
    remember /etc/edgeleuk/site.toml
    printf '%s\n' "$answer_identity" > "$etc/site.toml.partial"
    chmod 644 "$etc/site.toml.partial"
    mv -f "$etc/site.toml.partial" "$etc/site.toml"
    local file
    for file in /etc/edgeleuk/live.env /etc/edgeleuk/web.env; do
        [ -e "$undo/files$file" ] || [ -e "$undo/files$file.absent" ] || remember "$file"
        set_option "$file" EDGELEUK_MAG "$answer_objective"
        set_option "$file" EDGELEUK_LANG "$answer_language"
    done
    set_option /etc/edgeleuk/live.env EDGELEUK_TARGET "$answer_target"
    set_option /etc/edgeleuk/live.env EDGELEUK_PROFILE "$answer_profile"
    say "this machine is device $answer_device of site $answer_site"
}

# --- Undoing ---------------------------------------------------------------------------------------------------------
# Everything that a roll-back needs lies in $undo, on the disk: it also works after a power cut, by the next run.

# Remember a file as it is, or that it is not there.
remember() {
    local kept=$undo/files$1
    mkdir -p "$(dirname "$kept")"
    if [ -e "$root$1" ]; then cp -a "$root$1" "$kept"; else touch "$kept.absent"; fi
}

begin_undo() {
    rm -rf "$undo.partial"
    mkdir -p "$undo.partial"
    current > "$undo.partial/current"
    echo "$version" > "$undo.partial/new"
    if managed; then
        for unit in live console web; do
            systemctl -q is-active "edgeleuk-$unit" && echo "$unit" >> "$undo.partial/active"
            systemctl -q is-enabled "edgeleuk-$unit" 2> /dev/null && echo "$unit" >> "$undo.partial/enabled"
        done
    fi
    sync -f "$undo.partial" 2> /dev/null || true
    mv "$undo.partial" "$undo"
}

roll_back() {
    set +e
    local old new kept path
    old=$(cat "$undo/current") new=$(cat "$undo/new")
    managed && systemctl -q stop edgeleuk-live edgeleuk-console edgeleuk-web 2> /dev/null
    if [ -n "$old" ]; then link "$old"; else rm -f "$opt/current"; fi
    if [ -d "$undo/files" ]; then
        find "$undo/files" -type f -print0 | while IFS= read -r -d '' kept; do
            path=$root${kept#"$undo/files"}
            case $kept in
                *.absent) rm -f "${path%.absent}" ;;
                *) cp -a "$kept" "$path.partial" && mv -f "$path.partial" "$path" ;;
            esac
        done
    fi
    # The new program may have brought the sessions' file up to its own schema, which the old one cannot read.
    if [ -e "$undo/data.whole" ]; then
        rm -rf "$data.partial" && cp -a "$undo/data" "$data.partial" &&
            rm -rf "$data" && mv "$data.partial" "$data"
    fi
    if [ "$new" != "$old" ]; then rm -rf "${opt:?}/versions/$new"; fi
    if [ -d "$undo/damaged" ]; then
        rm -rf "${opt:?}/versions/$new" && mv -T "$undo/damaged" "$opt/versions/$new"
    fi
    if managed; then
        systemctl -q daemon-reload
        for unit in live console web; do
            if grep -qsx "$unit" "$undo/enabled"; then
                systemctl -q enable "edgeleuk-$unit"
            else
                systemctl -q disable "edgeleuk-$unit" 2> /dev/null
            fi
            grep -qsx "$unit" "$undo/active" && systemctl -q start "edgeleuk-$unit"
        done
    fi
    sync -f "$opt" 2> /dev/null
    rm -rf "$undo"
    set -e
    if [ -n "$old" ]; then say "rolled back: $old is as it was, and so are its sessions." >&2; else say "rolled back: nothing is installed." >&2; fi
}

ended() {
    local code=$?
    trap - EXIT
    if [ "$code" != 0 ] && [ -d "$undo" ]; then
        say "step \"$step\" failed." >&2
        roll_back
    fi
    exit "$code"
}

step=check
run() {
    step=$1
    [ "$fail_at" != "$step" ] || fail "step \"$step\" was asked to fail (EDGELEUK_INSTALL_FAIL_AT)."
    "$step"
    # After the step too: what it did is then there to be undone.
    [ "$fail_at" != "after-$step" ] || fail "\"after-$step\" was asked to fail (EDGELEUK_INSTALL_FAIL_AT)."
}

# --- The steps of an installation, in order --------------------------------------------------------------------------

# `current` is replaced by a rename, so that there is always one.
link() {
    ln -sfn "versions/$1" "$opt/current.partial"
    mv -T "$opt/current.partial" "$opt/current"
}

# The sum of each file, as pip left it: also of what it compiled, since that is what runs.
seal() {
    (cd "$1" && find . -type f ! -name whole -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) > "$undo/sums"
    mv "$undo/sums" "$1/installed.sha256"
}
# Whether a version's folder is as it was sealed; names what is not. A worn card loses bits.
whole() {
    [ -e "$1/whole" ] && [ -x "$1/venv/bin/python" ] &&
        (cd "$1" && sha256sum --quiet --strict -c installed.sha256) >&2
}

build() {
    local to=$opt/versions/$version
    if [ -d "$to" ]; then
        say "$version is already unpacked; checking its files"
        if whole "$to"; then return; fi
        say "it is damaged, and is built anew"
    fi
    if [ "$(current)" = "$version" ] && [ -d "$to" ]; then
        room
        halt
        # Kept aside, not removed: where it cannot be built anew, most of it may still work.
        mv -T "$to" "$undo/damaged"
    else
        rm -rf "$to"
        room
    fi
    say "installing $version into $to (a few minutes on a small computer)"
    mkdir -p "$to"
    # Without pip, which needs a package that Debian leaves out; pip's own wheel is in the bundle, and runs as it is.
    # With the system's packages, for picamera2, which only Raspberry Pi OS has.
    "$host" -m venv --without-pip --system-site-packages "$to/venv"
    local pip extras
    pip=$(echo "$bundle"/wheels/pip-*.whl)
    extras=$(value extras)
    # --ignore-installed: nothing of the system's stands in for what was tested together.
    PYTHONPATH=$pip "$to/venv/bin/python" -m pip install -q --no-index --find-links "$bundle/wheels" --no-cache-dir \
        --disable-pip-version-check --ignore-installed --no-warn-script-location --root-user-action=ignore "edgeleuk${extras:+[$extras]}"
    cp "$bundle/BUNDLE" "$bundle/README.md" "$bundle/install.sh" "$bundle/sbom.cdx.json" "$to/"
    install -m 755 "$bundle/edgeleuk-live" "$to/edgeleuk-live"
    cp -r "$bundle/licences" "$to/licences"
    seal "$to"
    sync -f "$to" 2> /dev/null || true
    touch "$to/whole"
}

# The new program must start and find its models whole before anything else is touched.
try() {
    local to=$opt/versions/$version
    say "trying it: $("$to/venv/bin/edgeleuk" --version)"
    "$to/venv/bin/edgeleuk" models verify > /dev/null ||
        fail "the models are not as published. The card may be bad: copy the bundle again, or use another card."
    if "$to/venv/bin/python" -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("picamera2"))'; then
        "$to/venv/bin/python" -c 'import picamera2' 2> /dev/null ||
            say "warning: picamera2 is here but cannot be imported; use another camera, or install its package again (apt install --reinstall python3-picamera2)"
    fi
}

account() {
    mkdir -p "$etc" "$data"
    [ -z "$root" ] || return 0
    if ! getent passwd "$user" > /dev/null; then
        say "making the user $user"
        useradd --system --home-dir /var/lib/edgeleuk --no-create-home --shell /usr/sbin/nologin "$user"
    fi
    for group in video render; do
        if getent group "$group" > /dev/null; then usermod -a -G "$group" "$user"; fi
    done
    chown -R "$user:$user" "$data"
    chmod 750 "$data"
}

halt() {
    managed || return 0
    systemctl -q stop edgeleuk-live edgeleuk-console edgeleuk-web 2> /dev/null || true
}

# A copy of the sessions while nobody writes them, kept until the new version has proved itself.
save() {
    local need free
    need=$(du -sm "$data" | cut -f1)
    free=$(df -Pm "$opt" | awk 'NR == 2 {print $4}')
    [ "$free" -gt $((need + 50)) ] ||
        fail "a copy of the sessions needs $need MB, $free are free. Export and delete old sessions, or use a larger card."
    rm -rf "$undo/data"
    cp -a "$data" "$undo/data"
    sync -f "$undo" 2> /dev/null || true
    touch "$undo/data.whole"
}

# One file into the system, whole or not at all, the old one remembered. Paths in it are moved with --root.
place() {
    local from=$1 to=$2 mode=${3:-644}
    remember "$to"
    mkdir -p "$(dirname "$root$to")"
    sed -e "s#/opt/edgeleuk#$opt#g" -e "s#/etc/edgeleuk#$etc#g" -e "s#/var/lib/edgeleuk#$data#g" "$from" > "$root$to.partial"
    chmod "$mode" "$root$to.partial"
    mv -f "$root$to.partial" "$root$to"
}

wrapper() {
    cat > "$undo/wrapper" << 'EOF'
#!/bin/sh
# Of edgeleuk, written by its installer.
export EDGELEUK_SITE_FILE="${EDGELEUK_SITE_FILE:-/etc/edgeleuk/site.toml}"
exec /opt/edgeleuk/current/venv/bin/edgeleuk "$@"
EOF
    place "$undo/wrapper" /usr/local/bin/edgeleuk 755
    cat > "$undo/wrapper" << 'EOF'
#!/bin/sh
# `edgeleuk` as the service runs it: its user, its sessions, its settings, in its folder. Written by edgeleuk's installer.
cd /var/lib/edgeleuk
exec runuser -u edgeleuk -- env HOME=/var/lib/edgeleuk XDG_DATA_HOME=/var/lib XDG_CONFIG_HOME=/var/lib/edgeleuk/config \
    EDGELEUK_SESSIONS=/var/lib/edgeleuk/sessions.db EDGELEUK_MACHINE=/var/lib/edgeleuk/machine.json \
    EDGELEUK_PROFILES=/var/lib/edgeleuk/profiles EDGELEUK_SITE_FILE=/etc/edgeleuk/site.toml \
    /opt/edgeleuk/current/venv/bin/edgeleuk "$@"
EOF
    place "$undo/wrapper" /usr/local/bin/edgeleuk-service 755
}

# 0 where there is none, as in a container.
systemd_version() { { systemctl --version 2> /dev/null || true; } | awk 'NR == 1 {n = $2 + 0} END {print n + 0}'; }

files() {
    wrapper
    place "$bundle/systemd/edgeleuk-live.service" /etc/systemd/system/edgeleuk-live.service
    place "$bundle/systemd/edgeleuk-console.service" /etc/systemd/system/edgeleuk-console.service
    place "$bundle/systemd/edgeleuk-web.service" /etc/systemd/system/edgeleuk-web.service
    local systemd
    systemd=$(systemd_version)
    if [ "$systemd" -ge 254 ]; then
        place "$bundle/systemd/10-backoff.conf" /etc/systemd/system/edgeleuk-live.service.d/10-backoff.conf
        place "$bundle/systemd/10-backoff.conf" /etc/systemd/system/edgeleuk-console.service.d/10-backoff.conf
        place "$bundle/systemd/10-backoff.conf" /etc/systemd/system/edgeleuk-web.service.d/10-backoff.conf
    fi
    place "$bundle/systemd/journald-edgeleuk.conf" /etc/systemd/journald.conf.d/edgeleuk.conf
    place "$bundle/systemd/70-edgeleuk.rules" /etc/udev/rules.d/70-edgeleuk.rules
    # The operator's own settings are never replaced.
    [ -e "$etc/live.env" ] || place "$bundle/systemd/live.env" /etc/edgeleuk/live.env
    [ -e "$etc/web.env" ] || place "$bundle/systemd/web.env" /etc/edgeleuk/web.env
}

switch() { link "$version"; }

# The new program must read the sessions that are there; an older one cannot read those of a newer.
prove() {
    local found reads=env
    found=$("$bin/edgeleuk" --version) || fail "the installed program does not start."
    [ -n "$root" ] || reads="runuser -u $user -- env"
    if [ -e "$data/sessions.db" ]; then
        $reads EDGELEUK_SESSIONS="$data/sessions.db" "$bin/edgeleuk" sessions list > /dev/null ||
            fail "$found cannot read the sessions in $data."
    fi
    say "$found is installed"
}

start() {
    managed || return 0
    systemctl -q daemon-reload
    systemctl -q try-restart systemd-journald 2> /dev/null || true
    udevadm control --reload 2> /dev/null || true
    udevadm trigger --subsystem-match=dma_heap 2> /dev/null || true
    for unit in live console web; do
        if [ "$service" = "$unit" ]; then
            systemctl -q enable "edgeleuk-$unit"
            # Not waited for: without a camera it is up only when one is plugged in, which is no failed installation.
            systemctl -q restart --no-block "edgeleuk-$unit"
        elif [ -n "$service" ]; then
            systemctl -q disable --now "edgeleuk-$unit" 2> /dev/null || true
        elif grep -qsx "$unit" "$undo/active"; then
            systemctl -q restart --no-block "edgeleuk-$unit"
        fi
    done
}

# From here on nothing can fail that would be worth a roll-back.
finish() {
    local old each
    old=$(cat "$undo/current")
    rm -rf "$undo"
    # One version back is kept, for a roll-back by hand; older ones only fill the card.
    for each in "$opt"/versions/*; do
        each=$(basename "$each")
        [ "$each" = "$version" ] || [ "$each" = "$old" ] || rm -rf "${opt:?}/versions/$each"
    done
    sync -f "$opt" 2> /dev/null || true
}

# Not a step: a camera that is not there yet is no failed installation. Asked of whom it is for: the service's user, or
# whoever called sudo.
examine() {
    local doctor=("$bin/edgeleuk" doctor --quick)
    if [ -z "$root" ] && [ "${service:-none}" != none ]; then
        doctor=("$bin/edgeleuk-service" doctor --quick)
    elif [ -z "$root" ] && [ -n "${SUDO_USER:-}" ]; then
        doctor=(runuser -u "$SUDO_USER" -- "${doctor[@]}")
    fi
    "${doctor[@]}" || say "mend what failed above, and look again: edgeleuk doctor"
}

# --- What was asked for ----------------------------------------------------------------------------------------------

uninstall() {
    if managed; then
        systemctl -q disable --now edgeleuk-live edgeleuk-console edgeleuk-web 2> /dev/null || true
    fi
    rm -rf "$opt" "$units/edgeleuk-live.service" "$units/edgeleuk-console.service" "$units/edgeleuk-web.service" \
        "$units/edgeleuk-live.service.d" "$units/edgeleuk-console.service.d" "$units/edgeleuk-web.service.d" \
        "$root/etc/systemd/journald.conf.d/edgeleuk.conf" "$root/etc/udev/rules.d/70-edgeleuk.rules" \
        "$bin/edgeleuk" "$bin/edgeleuk-service"
    if managed; then systemctl -q daemon-reload; fi
    if [ "$purge" = yes ]; then
        rm -rf "$etc" "$data"
        if [ -z "$root" ] && getent passwd "$user" > /dev/null; then userdel "$user"; fi
        say "removed, with its sessions, profiles and options."
    else
        say "removed. Sessions and profiles are still in $data, options in $etc; --uninstall --purge removes them too."
    fi
}

put_in() {
    check
    read_answers
    local old
    old=$(current)
    if [ "$action" = install ] && [ -n "$old" ] && [ "$old" != "$version" ]; then
        fail "edgeleuk $old is installed, this bundle is $version. Run install.sh --upgrade to replace it."
    fi
    if [ "$action" = upgrade ] && [ -z "$old" ]; then
        fail "there is nothing to upgrade. Run install.sh without --upgrade."
    fi
    trap ended EXIT
    trap 'exit 130' INT TERM HUP
    begin_undo
    for each in build try account halt save files answered switch prove start; do run "$each"; done
    finish
    trap - EXIT
    examine
    say "done. Next: edgeleuk analyze --demo; edgeleuk cameras; options of the service: $etc/live.env"
}

if [ -d "$undo" ]; then
    say "an earlier installation was cut off; undoing it first"
    roll_back
fi
if [ "$action" = uninstall ]; then uninstall; else put_in; fi
