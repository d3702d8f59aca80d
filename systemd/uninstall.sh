#!/bin/sh
# Removes what install.sh put there. Configuration, journal and the user stay, unless --purge.
#
# Exit codes: 0 done, 1 not done, 2 usage.
set -eu

root=""
purge=no

usage() {
    cat <<'END'
Usage: uninstall.sh [--root DIR] [--purge]

  --root DIR   in the file system of another machine, such as an image
  --purge      configuration, journal, drop-ins and user, too: nothing can be brought back
END
}

while [ $# -gt 0 ]; do
    case $1 in
        --root)
            if [ $# -lt 2 ] || [ ! -d "$2" ]; then usage >&2; exit 2; fi
            root=$(cd "$2" && pwd)
            root=${root%/}
            shift
            ;;
        --purge) purge=yes ;;
        --help | -h) usage; exit 0 ;;
        *) echo "uninstall.sh: $1 is not known; see uninstall.sh --help" >&2; exit 2 ;;
    esac
    shift
done

fail() {
    echo "uninstall.sh: $*" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail "must be run as root; use sudo"
units=$root/etc/systemd/system
opt=$root/opt/wardgate

runs_systemd() { [ -z "$root" ] && [ -d /run/systemd/system ]; }

if [ -d "$opt" ]; then
    exec 9>"$opt/.lock"
    flock --wait 5 9 || fail "an install.sh is at work on $opt, or wardgate-trial.service is; wait for it"
fi
# The journal is closed in order before anything goes.
for unit in wardgate-trial wardgate; do
    if runs_systemd && [ -e "$units/$unit.service" ]; then systemctl stop $unit; fi
done

rm -f "$units/wardgate.service" "$units/wardgate-trial.service" "$units/multi-user.target.wants/wardgate.service" \
    "$units/wardgate.service.d/serial.conf" "$root/etc/modules-load.d/wardgate.conf" \
    "$root/etc/sysusers.d/wardgate.conf" "$root/usr/local/bin/wardgate"
rm -rf "$opt"
if [ $purge = yes ]; then
    rm -rf "$units/wardgate.service.d" "$root/etc/wardgate" "$root/var/lib/wardgate"
    if grep -q '^wardgate:' "$root/etc/passwd"; then userdel ${root:+--prefix "$root"} wardgate; fi
    if grep -q '^wardgate:' "$root/etc/group"; then groupdel ${root:+--prefix "$root"} wardgate; fi
    echo "wardgate is removed, with its configuration and its journal"
else
    rmdir "$units/wardgate.service.d" 2>/dev/null || true # there may be drop-ins of the site
    echo "wardgate is removed; $root/etc/wardgate and $root/var/lib/wardgate stay (uninstall.sh --purge removes them)"
fi
! runs_systemd || systemctl daemon-reload
