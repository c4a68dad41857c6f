# Sourced by tests/rig/run. Makes the guest's root file system: a small Debian with systemd, in one file.

# What facewarden.deb depends on has to be among these: the guest has no network.
root_packages=usr-is-merged,systemd,systemd-sysv,udev,dbus,kmod,procps,jq,ca-certificates,libgcc-s1,libstdc++6

# Jobs that have nothing to do in a machine that lives for minutes, and cost it seconds.
root_without=(
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
    systemd-timesyncd.service systemd-networkd.service systemd-networkd.socket systemd-network-generator.service
    systemd-networkd-wait-online.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount
    systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-random-seed.service
    systemd-pcrphase.service systemd-pcrphase-sysinit.service systemd-firstboot.service systemd-machine-id-commit.service
    systemd-journal-flush.service getty@tty1.service serial-getty@ttyS0.service systemd-udev-trigger.service
    modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service modprobe@efi_pstore.service
    modprobe@fuse.service modprobe@loop.service kmod-static-nodes.service
    dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount
)

root_key() {
    {
        uname -m
        package_versions ${root_packages//,/ }
        cat "$here/root.sh" "$here/guest/rig.service" "$here/guest/start"
    } | key_of_text
}

# build_root FOLDER: leaves root.ext4 there.
build_root() {
    local folder=$1
    # The archives of this very system, whichever they are.
    apt-get indextargets --format '$(ORIGIN) deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        sed -n 's/^Debian deb/deb/p' >"$folder/sources.list"
    [ -s "$folder/sources.list" ] ||
        return "$(because "apt-get knows no archive of Debian: the rig is for Debian 12")"
    mmdebstrap --quiet --variant=minbase --include="$root_packages" \
        --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/info/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
        --customize-hook='rm "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap"' \
        --customize-hook="copy-in '$here/guest/rig.service' /etc/systemd/system" \
        --customize-hook="copy-in '$here/guest/start' /usr/local/sbin" \
        bookworm "$folder/root.tar" "$folder/sources.list" ||
        return "$(because "mmdebstrap cannot make the root file system: is the package archive reachable from here?")"
    # Owners have to be root's also where we are not: fakeroot remembers them while the image is made.
    local -a as_root=()
    [ "$(id -u)" = 0 ] || as_root=(fakeroot)
    "${as_root[@]}" bash -euo pipefail -c "$(declare -p root_without); $(declare -f fill_root); fill_root '$folder'" ||
        return "$(because "the image of the root file system cannot be made: is the disk full?")"
    rm -rf "$folder/root" "$folder/root.tar" "$folder/sources.list"
}

fill_root() {
    local folder=$1 root=$1/root unit
    mkdir "$root"
    # Device files come from the guest's kernel.
    tar -C "$root" --exclude './dev/*' -xpf "$folder/root.tar"
    for unit in "${root_without[@]}"; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants" "$root/etc/systemd/journald.conf.d" "$root/rig" "$root/out"
    ln -s ../rig.service "$root/etc/systemd/system/multi-user.target.wants/rig.service"
    ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
    # The kernel's modules are shared by the host.
    rm -rf "$root/usr/lib/modules"
    ln -s /rig/modules "$root/usr/lib/modules"
    printf '[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n' >"$root/etc/systemd/journald.conf.d/rig.conf"
    echo rig >"$root/etc/hostname"
    echo LANG=C.UTF-8 >"$root/etc/default/locale"
    # Any will do; without one the first boot takes longer.
    echo 00000000000000000000000000000001 >"$root/etc/machine-id"
    : >"$root/etc/fstab"
    mke2fs -q -t ext4 -O '^has_journal,^metadata_csum' -d "$root" "$folder/root.ext4" \
        "$(($(du -sm "$root" | cut -f1) + 600))M"
}
