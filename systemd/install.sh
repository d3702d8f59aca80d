#!/bin/sh
# Installs or upgrades wardgate from a folder of wheels, without a network. May be run again at any time.
#
# Releases stand side by side in /opt/wardgate/releases; `current` names the one that runs. An upgrade is switched to only
# when it accepts the configuration, and taken back when it is not healthy (ready within a minute, and then the same process
# for longer than the watchdog needs to find one that hangs) or when this script is interrupted meanwhile. Devices and
# brokers have no say in that.
#
# Exit codes: 0 done, 1 not done (what ran before still runs), 2 usage.
set -eu
umask 022

STEADY_S=50 # a writer that is stuck is not fed any more after 15 s, and the watchdog acts 30 s later
HEALTHY_S=$((60 + STEADY_S))
KEEP=3

here=$(cd "$(dirname "$0")" && pwd)
wanted=""
root=""
wheels=$here/wheels
serial=no

usage() {
    cat <<'END'
Usage: install.sh [--root DIR] [--wheels DIR | --release NAME] [--serial]

  --root DIR      install into the file system of another machine, such as an image; starts nothing
  --wheels DIR    where the wheels are (default: wheels, beside this script)
  --release NAME  instead of new wheels, one of the releases in /opt/wardgate/releases
  --serial        open serial ports to the gateway (later, too: run it again)
END
}

say() { # to whoever is still there: a terminal that is gone must not end an upgrade half way
    echo "install.sh: $*" >&2 || true
}

fail() {
    say "$*"
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
        --root | --wheels)
            [ $# -ge 2 ] || { usage >&2; exit 2; }
            [ -d "$2" ] || { echo "install.sh: $2 is not a folder" >&2; exit 2; }
            folder=$(cd "$2" && pwd)
            if [ "$1" = --root ]; then root=${folder%/}; else wheels=$folder; fi
            shift
            ;;
        --release)
            [ $# -ge 2 ] || { usage >&2; exit 2; }
            wanted=$2
            shift
            ;;
        --serial) serial=yes ;;
        --help | -h) usage; exit 0 ;;
        *) echo "install.sh: $1 is not known; see install.sh --help" >&2; exit 2 ;;
    esac
    shift
done

opt=$root/opt/wardgate
etc=$root/etc/wardgate
units=$root/etc/systemd/system

one_wheel() { # NAME: the only wheel of that name
    set -- "$wheels/$1"-*.whl
    [ $# = 1 ] && [ -f "$1" ] || fail "there must be one ${1##*/} in $wheels; make the bundle anew (make bundle)"
    echo "$1"
}

runs_systemd() { [ -z "$root" ] && [ -d /run/systemd/system ]; }

# --- the release ------------------------------------------------------------------------------------------------------

choose_release() { # one that is here already, or the one that the wheels make
    if [ -n "$wanted" ]; then
        id=$wanted
        [ -e "$opt/releases/$id/.complete" ] || fail "there is no release $id; there are: $(cd "$opt/releases" && echo *)"
        here=$opt/releases/$id/service
    else
        wheel=$(one_wheel wardgate)
        pip=$(one_wheel pip)
        id=$(release_id)
    fi
    release=$opt/releases/$id
}

release_id() { # its version, and what tells two builds of one version apart: the list holds the hash of every wheel
    version=$(basename "$wheel" | cut -d- -f2)
    echo "$version-$(cat "$here/requirements.lock" "$here/wardgate.service" "$here/serial.conf" | sha256sum | cut -c1-8)"
}

build_release() {
    [ ! -e "$release/.complete" ] || return 0
    rm -rf "$release"
    mkdir -p "$release"
    # pip comes from the bundle, so neither Debian's pip nor its python3-venv is needed, and none stays behind.
    python3 -m venv --without-pip "$release"
    "$release/bin/python" "$pip/pip" --isolated install --quiet --no-compile --disable-pip-version-check --root-user-action ignore \
        --no-index --find-links "$wheels" --no-deps --require-hashes --requirement "$here/requirements.lock"
    # The service cannot write here. What does not compile is for other versions of Python, and nobody imports it.
    "$release/bin/python" -m compileall -q ${root:+-s "$root" -p /} "$release/lib" >/dev/null || true
    [ -z "$root" ] || move_release
    mkdir "$release/service"
    install -m 0644 "$here/wardgate.service" "$here/serial.conf" "$here/modules-load.conf" "$here/sysusers.conf" \
        "$release/service"
    install -m 0755 "$here/install.sh" "$here/uninstall.sh" "$release/service"
    for paper in LICENSE LICENCES.md wardgate.cdx.json; do
        [ ! -e "$here/$paper" ] || install -m 0644 "$here/$paper" "$release"
    done
    sync -f "$release" # before it is called complete: the power may go at any time
    touch "$release/.complete"
}

move_release() { # what names a folder or the interpreter names it as the other machine will see it
    grep -rlI --null "$root/" "$release/bin" "$release/pyvenv.cfg" | xargs -0 -r sed -i "s|$root/|/|g"
    [ -L "$root/usr/bin/python3" ] || return 0
    theirs=$(basename "$(readlink "$root/usr/bin/python3")")
    ours=$(python3 -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    [ "$theirs" = "$ours" ] || fail "$root has $theirs, but python3 is $ours here: install on a machine with the same Debian"
    ln -sfn /usr/bin/python3 "$release/bin/python3"
    ln -sfn python3 "$release/bin/python"
    sed -i -e 's|^home = .*|home = /usr/bin|' -e '/^executable/d' -e '/^command/d' "$release/pyvenv.cfg"
}

drop_old_releases() { # all but the newest few; never the current one or the one before it
    # shellcheck disable=SC2012  # the names are ours
    ls -1t "$opt/releases" | tail -n "+$((KEEP + 1))" | while read -r old; do
        case $old in "$id" | "$previous") ;; *) rm -rf "${opt:?}/releases/$old" ;; esac
    done
}

# --- what stands outside the release ----------------------------------------------------------------------------------

has_serial() { [ -e "$units/wardgate.service.d/serial.conf" ]; }

switch_to() { # ID: `current` in one step, and the unit that belongs to it
    ln -sfn "releases/$1" "$opt/current.new"
    mv -T "$opt/current.new" "$opt/current"
    install -D -m 0644 "$opt/current/service/wardgate.service" "$units/wardgate.service"
    if [ $serial = yes ] || has_serial; then
        install -D -m 0644 "$opt/current/service/serial.conf" "$units/wardgate.service.d/serial.conf"
        install -D -m 0644 "$opt/current/service/modules-load.conf" "$root/etc/modules-load.d/wardgate.conf"
    fi
    ! runs_systemd || systemctl daemon-reload
}

prepare_machine() { # user, group, folders, command; an operator who disabled the service wants it disabled
    install -D -m 0644 "$here/sysusers.conf" "$root/etc/sysusers.d/wardgate.conf"
    systemd-sysusers ${root:+"--root=$root"} "$here/sysusers.conf"
    group=$(sed -n 's/^wardgate:[^:]*:\([0-9]*\):.*/\1/p' "$root/etc/group")
    install -d -m 0750 -g "${group:?no group wardgate}" "$etc"
    mkdir -p "$root/usr/local/bin" "$units/multi-user.target.wants"
    ln -sfn /opt/wardgate/current/bin/wardgate "$root/usr/local/bin/wardgate"
    [ -n "$previous" ] || ln -sfn ../wardgate.service "$units/multi-user.target.wants/wardgate.service"
}

# --- the running service ----------------------------------------------------------------------------------------------

main_pid() { # 0 unless the service is active, which it is from ready on
    if systemctl --quiet is-active wardgate; then systemctl show --property=MainPID --value wardgate; else echo 0; fi
}

restart_healthy() { # ready within the time, and then the same process for a while
    before=$(main_pid)
    systemctl restart --no-block wardgate
    waited_s=0
    steady_s=0
    last=0
    while [ $steady_s -lt $STEADY_S ]; do
        [ $waited_s -lt $HEALTHY_S ] || return 1
        sleep 1
        waited_s=$((waited_s + 1))
        pid=$(main_pid)
        [ "$pid" != "$before" ] || pid=0 # it may take its time to stop
        if [ "$pid" != 0 ] && [ "$pid" = "$last" ]; then steady_s=$((steady_s + 1)); else steady_s=0; fi
        last=$pid
    done
}

upgrade_running() {
    "$release/bin/wardgate" check --config "$etc" >&2 ||
        fail "release $id does not accept the configuration in $etc; $previous goes on as before"
    trap 'exit 1' HUP INT TERM
    trap take_back EXIT
    switch_to "$id"
    restart_healthy || fail "release $id is not healthy"
    trap - EXIT HUP INT TERM
}

take_back() { # at every end of a trial but the good one
    trap '' EXIT HUP INT TERM
    say "back to $previous; release $id stays in $opt/releases for a look at it. Its last words:"
    journalctl --unit=wardgate --lines=20 --no-pager >&2 || true
    switch_to "$previous"
    if restart_healthy; then say "$previous runs again"; else say "$previous is not healthy either; see journalctl -u wardgate"; fi
    exit 1
}

is_current() { # nothing would change
    [ "$previous" = "$id" ] && { [ $serial = no ] || has_serial; }
}

# --- in order ---------------------------------------------------------------------------------------------------------

[ "$(id -u)" = 0 ] || fail "must be run as root; use sudo"
case "$root$here$wheels" in *[[:space:]]*) fail "a folder with a space in its name cannot be used" ;; esac
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "needs python3, 3.11 or newer"
mkdir -p "$opt/releases"
exec 9>"$opt/.lock"
flock --nonblock 9 || fail "another install.sh is at work on $opt"
choose_release
previous=$(basename "$(readlink "$opt/current" || true)")

build_release
prepare_machine
if ! runs_systemd || ! systemctl --quiet is-active wardgate; then
    switch_to "$id"
    echo "wardgate $id is installed in $opt and does not run."
    [ -e "$etc/gateway.yaml" ] || echo "Write its configuration in $etc."
    [ -n "$root" ] || echo "Then: wardgate check && systemctl start wardgate"
elif is_current; then
    echo "wardgate $id runs already; nothing to do"
else
    upgrade_running
    echo "wardgate $id runs"
fi
drop_old_releases
