# Takes out of an image what belongs to one machine, to one person, or to the bake.
# The last thing that runs in a build instance: every instance of the image starts without it.
# What must be gone is said a second time, and checked, in tests/images/test_hygiene.py.
set -eu

# Files that keep their place but lose their content. Engines mount over some of them, and
# a mounted file can be emptied but not removed.
empty() {
    for file in "$@"; do
        if [ -f "$file" ] && [ ! -L "$file" ]; then : > "$file"; fi
    done
}

homes() { # print the folder of every account that may have one
    echo /root
    cut -d: -f6 /etc/passwd | grep -E '^/(home|srv|opt|var/lib|var/www)/.' || true
    ls -d /home/*/ 2> /dev/null || true
}

# Whose machine it is. An empty machine-id gets a new one at the next boot; without the file
# systemd would take that boot for the first ever and reset which units are enabled.
: > /etc/machine-id
rm -f /var/lib/dbus/machine-id
empty /etc/hostname /etc/mailname
rm -f /var/lib/systemd/random-seed /var/lib/urandom/random-seed /var/lib/misc/random-seed
rm -f /var/lib/systemd/credential.secret /loader/random-seed /boot/efi/loader/random-seed
rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
rm -f /etc/ssl/private/ssl-cert-snakeoil.key /etc/ssl/certs/ssl-cert-snakeoil.pem
rm -f /etc/iscsi/initiatorname.iscsi /etc/nvme/hostid /etc/nvme/hostnqn
rm -f /etc/udev/rules.d/70-persistent-*.rules /etc/machine-info
rm -f /var/lib/NetworkManager/secret_key /var/lib/NetworkManager/*.lease
rm -rf /var/lib/dhcp/* /var/lib/dhcpcd/* /var/lib/dhclient/* /var/lib/systemd/network/*

# What cloud-init believes to have done already.
rm -rf /var/lib/cloud/* /run/cloud-init/* /etc/netplan/50-cloud-init.yaml
rm -f /etc/network/interfaces.d/50-cloud-init* /etc/cloud/cloud.cfg.d/90-installer-network.cfg

# Who may enter, and what people typed.
rm -rf /etc/ssh/authorized_keys /etc/ssh/authorized_keys.d
rm -f /etc/sudoers.d/90-cloud-init-users
homes | sort -u | while read -r home; do
    [ -d "$home" ] || continue
    rm -rf "$home/.ssh" "$home/.ansible" "$home/.gnupg/random_seed" "$home/.cache"
    rm -f "$home"/.*_history "$home/.lesshst" "$home/.viminfo" "$home/.wget-hsts"
done
# Password hashes become "no password works"; so does the empty password, which every one would.
sed -i -E 's/^([^:]+):(!*\$[^:]*|):/\1:!*:/' /etc/shadow
rm -f /etc/passwd- /etc/shadow- /etc/group- /etc/gshadow- /etc/subuid- /etc/subgid-
rm -rf /var/backups/*

# What apt and debconf fetched and remembered. The parent folders stay: apt wants them.
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb
rm -rf /var/cache/apt/archives/partial/* /var/cache/debconf/*-old /var/cache/debconf/passwords.dat
rm -f /var/lib/dpkg/*-old /var/lib/apt/periodic/* /var/lib/systemd/timers/stamp-*
# An empty folder tells apt that there are no lists; without "partial" it complains.
mkdir -p /var/lib/apt/lists/partial

# Logs and dumps. A log that a running program holds open is emptied, not removed. The journal
# goes on in memory: it would begin a new file for the words of the shutdown.
if [ -d /run/systemd/journal ]; then timeout 30 journalctl --relinquish-var 2> /dev/null || true; fi
rm -rf /var/lib/systemd/coredump/* /var/crash/* /var/log/journal/* /var/log/installer
rm -f /core /core.[0-9]* /root/core /root/core.[0-9]*
find /var/log -xdev -type f \( -name '*.gz' -o -name '*.xz' -o -name '*.old' -o -name '*.[0-9]' \
    -o -name 'cloud-init*' -o -path '/var/log/apt/*' \) -delete
find /var/log -xdev -type f -size +0 -exec sh -c 'for f; do : > "$f"; done' sh {} +

# The bake's own litter. Sockets and folders of units that still run are emptied, too: what is
# in them is in memory or gone after the next boot.
find /tmp /var/tmp -xdev -mindepth 1 -delete 2> /dev/null || find /tmp /var/tmp -xdev -type f -delete
