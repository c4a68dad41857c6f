# What the service could do if somebody took it over: systemd's own judgement, what the kernel says of the process, and
# attempts, made by a program under the very sandbox of the service; and outside of it, where each must succeed.

is_active || systemctl start "$unit"

verified=$(systemd-analyze verify --man=no /usr/lib/systemd/system/"$unit" 2>&1)
[ -z "$verified" ] || failed "systemd-analyze verify: $verified"
systemd-analyze security --no-pager "$unit"
exposure=$(systemd-analyze security --no-pager "$unit" | sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\).*/\1/p')
figure exposure "$exposure"
awk "BEGIN { exit !($exposure <= 1.5) }" || failed "systemd-analyze security: $exposure"

status=/proc/$(of_unit MainPID)/status
grep -E '^(Uid|Cap|NoNewPrivs|Seccomp)' "$status"
awk '$1 == "Uid:" && $2 == 0 { exit 1 }' "$status" || failed "it runs as root"
! grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb):' "$status" | grep -v '0000000000000000$' || failed "it has capabilities"
grep -q '^NoNewPrivs:.1$' "$status" || failed "it could gain privileges"
grep -q '^Seccomp:.2$' "$status" || failed "its system calls are not filtered"
[ "$(of_unit MemoryDenyWriteExecute)" = yes ] || failed "memory may be made executable"

mkdir -p /home/ada /var/lib/other
echo secret >/home/ada/diary
chmod -R a+rwX /home/ada /var/lib/other
cat >/usr/local/bin/attempts <<'ATTEMPTS'
#!/bin/bash
# Each attempt on a line: possible or refused. The first must be possible everywhere.
try() { if (eval "$2") >/dev/null 2>&1; then echo "possible $1"; else echo "refused $1"; fi; }
try own-folder 'echo x >/var/lib/facewarden/attempt && rm /var/lib/facewarden/attempt'
try read-home 'cat /home/ada/diary'
try list-home 'ls /home/ada'
try list-root-home 'ls /root/.'
try write-home 'echo x >/home/ada/attempt'
try write-other-state 'echo x >/var/lib/other/attempt'
try write-etc 'echo x >/etc/attempt'
try write-usr 'echo x >/usr/attempt'
try write-config 'echo "# x" >>/etc/facewarden/facewarden.yaml'
try read-shadow 'cat /etc/shadow'
try read-disk 'head -c 1 /dev/ubda'
try kernel-setting 'echo 1 >/proc/sys/kernel/panic_on_oops'
try kernel-log 'dmesg'
try own-namespace 'unshare --user true'
try mount 'mount -t tmpfs none /mnt'
try kill-another "kill -0 1"
try network-socket 'exec 3<>/dev/udp/127.0.0.1/9'
ATTEMPTS
chmod 755 /usr/local/bin/attempts
mkdir -p /run/systemd/system/"$unit".d
printf '[Service]\nExecStartPre=/bin/sh -c "/usr/local/bin/attempts >/var/lib/facewarden/attempts"\n' \
    >/run/systemd/system/"$unit".d/attempts.conf
systemctl daemon-reload
systemctl restart "$unit"
rm -r /run/systemd/system/"$unit".d
systemctl daemon-reload
/usr/local/bin/attempts >/run/rig/outside
cat /var/lib/facewarden/attempts
! grep -v '^possible' /run/rig/outside || failed "an attempt fails outside the sandbox as well, and shows nothing"
[ "$(wc -l </var/lib/facewarden/attempts)" = "$(wc -l </run/rig/outside)" ] || failed "not all was attempted"
[ "$(grep '^possible' /var/lib/facewarden/attempts)" = "possible own-folder" ] ||
    failed "possible in the sandbox: $(grep '^possible' /var/lib/facewarden/attempts | xargs)"
figure refused "$(grep -c '^refused' /var/lib/facewarden/attempts)"
umount /mnt 2>/dev/null || true
