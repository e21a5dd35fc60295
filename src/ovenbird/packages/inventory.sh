#!/bin/sh
# Say what is installed here: run as root, inside an instance that is thrown away afterwards.
# Debian's manager is asked first, then rpm. Then every file that no package brought, and each
# configuration file that is not as its package brought it, with its SHA-256. What an engine itself
# writes into every instance is left out.
set -u
export LC_ALL=C
there=/run/ovenbird-there.$$
brought=/run/ovenbird-brought.$$

owned() { :; }
conffiles() { :; }

one_name() { # /usr/lib and /lib are one folder where the two are merged
    sed -e 's#^/usr/\(bin\|sbin\|lib\|lib32\|lib64\|libx32\)/#/\1/#' | sort -u
}

echo '=== ovenbird packages'
if command -v dpkg-query >/dev/null 2>&1; then
    # shellcheck disable=SC2016  # dpkg-query's own variables
    dpkg-query -W -f='deb|${db:Status-Status}|${Package}|${Version}|${Architecture}|${source:Package}|${source:Version}\n'
    owned() {
        cat /var/lib/dpkg/info/*.list
        dpkg-divert --list | sed -n 's/.* to \(.*\) by .*/\1/p'
    }
    conffiles() {
        # shellcheck disable=SC2016
        dpkg-query -W -f='${Conffiles}\n' | sed -n 's/^ \(\/.*\) \([0-9a-f]\{32\}\)$/\2  \1/p'
    }
elif command -v rpm >/dev/null 2>&1; then
    rpm -qa --qf 'rpm|installed|%{NAME}|%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}|%{ARCH}|%{SOURCERPM}|\n'
    owned() { rpm -qla; }
fi

echo '=== ovenbird files'
find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp \
    -o -path /var/tmp -o -path /var/log -o -path /var/cache -o -path /var/lib/dpkg \
    -o -path /var/lib/rpm -o -path /var/lib/apt -o -path /etc/hostname -o -path /etc/hosts \
    -o -path /etc/resolv.conf -o -path /etc/machine-id \) -prune -o -type f -print | one_name >"$there"
owned | one_name >"$brought"
{
    comm -23 "$there" "$brought" | grep -v '\.pyc$'
    conffiles | md5sum -c --quiet 2>/dev/null | sed -n 's/: FAILED$//p'
} | tr '\n' '\0' | xargs -0 -r sha256sum 2>/dev/null
rm -f "$there" "$brought"
echo '=== ovenbird end'
