#!/bin/sh
# Installs or upgrades wardgate from a folder of wheels, without a network. May be run again at any time.
#
# Releases stand side by side in /opt/wardgate/releases; `current` names the one that runs. An upgrade is switched to only
# when it accepts the configuration. Then it is on trial: it is taken back when it is not healthy, or when this script is
# interrupted meanwhile. Healthy: ready within a minute, and from then on the same process, which says that it lives (event
# loop and journal writer do). Devices and brokers have no say in that. While /opt/wardgate/trial exists a release is on
# trial; if the power goes, wardgate-trial.service comes to the verdict after the next start.
#
# Exit codes: 0 done, 1 not done (what ran before still runs), 2 usage.
set -eu
umask 022

READY_S=60
ENDS=3       # starts that fail before a release has had its chance
SILENT_S=15  # signs of life come every 5 s
STEADY_S=35  # a writer that is stuck lets none through from 15 s on
PATIENCE_S=5
KEEP=3

here=$(cd "$(dirname "$0")" && pwd)
wanted=""
root=""
wheels=$here/wheels
serial=no
finish=no

usage() {
    cat <<'END'
Usage: install.sh [--root DIR] [--wheels DIR | --release NAME] [--serial]
       install.sh --finish

  --root DIR      install into the file system of another machine, such as an image; starts nothing
  --wheels DIR    where the wheels are (default: wheels, beside this script)
  --release NAME  instead of new wheels, one of the releases in /opt/wardgate/releases
  --serial        open serial ports to the gateway (later, too: run it again)
  --finish        only come to a verdict on a release that was left on trial, as by a power cut
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
        --finish) finish=yes ;;
        --help | -h) usage; exit 0 ;;
        *) echo "install.sh: $1 is not known; see install.sh --help" >&2; exit 2 ;;
    esac
    shift
done

if [ $finish = yes ] && [ -n "$root" ]; then usage >&2; exit 2; fi
opt=$root/opt/wardgate
etc=$root/etc/wardgate
units=$root/etc/systemd/system

one_wheel() { # NAME: the only wheel of that name
    set -- "$wheels/$1"-*.whl
    if [ $# != 1 ] || [ ! -f "$1" ]; then fail "there must be one ${1##*/} in $wheels; make the bundle anew (make bundle)"; fi
    echo "$1"
}

runs_systemd() { [ -z "$root" ] && [ -d /run/systemd/system ]; }

is_started() { # also one that is started again and again
    runs_systemd || return 1
    case $(systemctl show --property=ActiveState --value wardgate) in active | activating | reloading) ;; *) return 1 ;; esac
}

put() { # SOURCE TARGET: whole or not at all, also when the disk is full
    install -D -m 0644 "$1" "$2.new"
    mv "$2.new" "$2"
}

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
    {
        python3 -c 'import sys; print(sys.implementation.cache_tag)' # another one with the next Debian
        cat "$here/requirements.lock" "$here"/*.service "$here"/*.conf "$here"/*.sh
    } | sha256sum | sed "s/^\(.\{8\}\).*/$(basename "$wheel" | cut -d- -f2)-\1/"
}

build_release() {
    [ ! -e "$release/.complete" ] || return 0
    for half in "$opt/releases"/*; do [ -e "$half/.complete" ] || rm -rf "$half"; done
    trap 'rm -rf "$release"' EXIT # half a release is no use, and the journal may need the room
    trap 'exit 1' HUP INT TERM
    mkdir -p "$release"
    # pip comes from the bundle, so neither Debian's pip nor its python3-venv is needed, and none stays behind.
    python3 -m venv --without-pip "$release"
    "$release/bin/python" "$pip/pip" --isolated install --quiet --no-compile --disable-pip-version-check --root-user-action ignore \
        --no-index --find-links "$wheels" --no-deps --require-hashes --requirement "$here/requirements.lock"
    # The service cannot write here. What does not compile is for other versions of Python, and nobody imports it.
    "$release/bin/python" -m compileall -q ${root:+-s "$root" -p /} "$release/lib" >/dev/null || true
    [ -z "$root" ] || move_release
    mkdir "$release/service"
    install -m 0644 "$here/wardgate.service" "$here/wardgate-trial.service" "$here/serial.conf" \
        "$here/modules-load.conf" "$here/sysusers.conf" "$release/service"
    install -m 0755 "$here/install.sh" "$here/uninstall.sh" "$release/service"
    for paper in LICENSE LICENCES.md wardgate.cdx.json; do
        [ ! -e "$here/$paper" ] || install -m 0644 "$here/$paper" "$release"
    done
    sync -f "$release" # before it is called complete: the power may go at any time
    touch "$release/.complete"
    trap - EXIT HUP INT TERM
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
    put "$opt/current/service/wardgate.service" "$units/wardgate.service"
    put "$opt/current/service/wardgate-trial.service" "$units/wardgate-trial.service"
    if [ $serial = yes ] || has_serial; then
        put "$opt/current/service/serial.conf" "$units/wardgate.service.d/serial.conf"
        put "$opt/current/service/modules-load.conf" "$root/etc/modules-load.d/wardgate.conf"
        ! runs_systemd || systemctl restart systemd-modules-load || true # adapters may be plugged in later today
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

# --- a release on trial -----------------------------------------------------------------------------------------------

look() { # at the service: MainPID is 0 unless it is ready
    MainPID=0 NRestarts=0 WatchdogTimestampMonotonic="" WatchdogUSec="" ActiveState=""
    names=ActiveState,MainPID,NRestarts,WatchdogTimestampMonotonic,WatchdogUSec
    eval "$(systemctl show --property=$names wardgate | sed "s/=\(.*\)/='\1'/")"
    case $ActiveState in active | reloading) ;; *) MainPID=0 ;; esac
    [ -n "$ActiveState" ]
}

is_healthy() { # [PID]: whether it gets there, and is no longer the process that ran before; `ill` says why not
    old=${1:-0} waited_s=0 steady_s=0 silent_s=0 pid=0 sign=""
    while [ $steady_s -lt $STEADY_S ]; do
        sleep 1
        until look; do sleep 1; done
        [ "$MainPID" != "$old" ] || MainPID=0 # it may take its time to stop
        if [ $pid = 0 ] && [ "$MainPID" = 0 ]; then
            waited_s=$((waited_s + 1))
            ill="it is not ready after $waited_s s"
            if [ $waited_s -ge $READY_S ] || [ "$NRestarts" -ge $ENDS ]; then return 1; fi
        else
            still_lives || return 1
            steady_s=$((steady_s + 1))
        fi
    done
}

still_lives() { # the process that got ready, by the signs of life that systemd has seen
    ill="it ended $steady_s s after it was ready"
    if [ $pid != 0 ] && [ "$MainPID" != $pid ]; then return 1; fi
    ill="it gives no sign of life: event loop or journal writer hangs"
    if [ "$WatchdogTimestampMonotonic" = "$sign" ]; then silent_s=$((silent_s + 1)); else silent_s=0; fi
    case $WatchdogUSec in 0 | infinity) silent_s=0 ;; esac # the site has done without the watchdog
    pid=$MainPID sign=$WatchdogTimestampMonotonic
    [ $silent_s -lt $SILENT_S ]
}

restart_healthy() {
    look || true
    old_pid=$MainPID
    systemctl reset-failed wardgate 2>/dev/null || true # the restarts are counted anew
    systemctl restart --no-block wardgate && is_healthy "$old_pid"
}

upgrade_running() {
    "$release/bin/wardgate" check --config "$etc" >&2 ||
        fail "release $id does not accept the configuration in $etc; $previous goes on as before"
    echo "$previous" >"$opt/trial"
    sync "$opt/trial" "$opt" # from here on the power may go
    trap 'exit 1' HUP INT TERM
    trap take_back EXIT
    switch_to "$id"
    restart_healthy || fail "release $id is not healthy: $ill"
    end_trial
    trap - EXIT HUP INT TERM
}

end_trial() { # once everything is as it is to stay
    [ -e "$opt/trial" ] || return 0
    sync -f "$opt"
    rm -f "$opt/trial"
}

take_back() { # at every end of a trial but the good one
    trap '' EXIT HUP INT TERM
    say "back to $previous; release $id stays in $opt/releases for a look at it. Its last words:"
    switch_to "$previous" || true # whatever of it fails, the service is to run
    end_trial
    # What hangs does not stop when it is asked to, but says where every thread stands.
    if [ "${silent_s:-0}" -ge $SILENT_S ]; then
        systemctl kill --kill-whom=main --signal=ABRT wardgate || true
        sleep 1
    fi
    journalctl --unit=wardgate --lines=20 --no-pager >&2 || true
    restart_healthy || fail "$previous is not healthy either: $ill; see journalctl -u wardgate"
    say "$previous runs again"
    exit 1
}

finish_trial() { # whoever began it is gone, and the switch may have been half done
    previous=$(cat "$opt/trial")
    id=$(basename "$(readlink "$opt/current")")
    switch_to "$id"
    if [ "$id" != "$previous" ] && [ -e "$opt/releases/$previous/.complete" ]; then
        say "release $id was left on trial"
        if ! is_healthy; then
            say "release $id is not healthy: $ill"
            take_back
        fi
    fi
    end_trial
    say "wardgate $id runs"
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
if [ $finish = yes ]; then
    flock 9 # whoever holds it comes to the verdict, or dies
    [ ! -e "$opt/trial" ] || finish_trial
    exit 0
fi
flock --wait "$PATIENCE_S" 9 || fail "another install.sh is at work on $opt, or wardgate-trial.service is; wait for it"
if [ -e "$opt/trial" ] && is_started; then finish_trial; fi
choose_release
previous=$(basename "$(readlink "$opt/current" || true)")

build_release
prepare_machine
if ! is_started; then
    switch_to "$id"
    end_trial
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
