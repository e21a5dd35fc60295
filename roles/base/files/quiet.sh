# Masks what works behind our back, or cannot work in a container and would leave it "degraded".
# Reads nothing; prints "changed" when something was not masked yet.
set -eu

# First of all: an unattended apt would hold dpkg's lock in the middle of the bake.
first='apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service'
# Nobody may change an instance, so nothing in it looks for updates or rotates backups; and an
# instance waits for its launch data, not for every network link.
rest='unattended-upgrades.service apt-listchanges.timer dpkg-db-backup.timer e2scrub_all.timer
  e2scrub_reap.service fstrim.timer man-db.timer motd-news.timer systemd-binfmt.service
  proc-sys-fs-binfmt_misc.automount systemd-networkd-wait-online.service
  systemd-networkd-wait-online@.service systemd-pstore.service'

changed=
for unit in $first $rest; do
    [ "$(readlink "/etc/systemd/system/$unit" || true)" = /dev/null ] && continue
    changed="$changed $unit"
done
[ -n "$changed" ] || exit 0
# Timers only, and before they are masked: an apt that runs already is waited for by its lock, and
# not cut off half-way. A pattern that matches nothing is not an error.
systemctl stop --quiet 'apt-*.timer' 'dpkg-db-backup*.timer' 'e2scrub*.timer' 'fstrim*.timer' \
    'man-db*.timer' 'motd-news*.timer'
# shellcheck disable=SC2086 # words on purpose
systemctl mask --quiet $changed
echo changed
