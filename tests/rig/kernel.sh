# Sourced by tests/rig/run. Builds the kernel as a program (User-Mode Linux) from Debian's source package, which is
# unpacked and never installed.

kernel_package=linux-source-6.1

kernel_key() {
    {
        uname -m
        gcc --version | head -n 1
        package_versions "$kernel_package"
        cat "$here/kernel.config" "$here/kernel.sh"
    } | key_of_text
}

# build_kernel FOLDER: leaves the program `linux` and the folder `modules` there.
build_kernel() {
    local folder=$1 option
    (cd "$folder" && apt-get download -qq "$kernel_package") ||
        return "$(because "apt-get cannot download $kernel_package: is the package archive reachable from here?")"
    dpkg-deb --fsys-tarfile "$folder/$kernel_package"_*.deb |
        tar -xO "./usr/src/$kernel_package.tar.xz" | tar -xJ -C "$folder" ||
        return "$(because "the kernel's source cannot be unpacked: is the disk full?")"
    rm "$folder/$kernel_package"_*.deb
    local -a make=(make -s -C "$folder/$kernel_package" ARCH=um "INSTALL_MOD_PATH=$folder/installed" INSTALL_MOD_STRIP=1)
    "${make[@]}" KCONFIG_ALLCONFIG="$here/kernel.config" allnoconfig ||
        return "$(because "the kernel cannot be configured")"
    # An option whose conditions are not met is dropped without a word.
    while read -r option; do
        grep -qxF "$option" "$folder/$kernel_package/.config" || [[ $option == *=n ]] ||
            return "$(because "the kernel does not take $option of kernel.config")"
    done < <(grep '^CONFIG_' "$here/kernel.config")
    "${make[@]}" -j "$(nproc)" linux modules && "${make[@]}" modules_install ||
        return "$(because "the kernel cannot be built")"
    strip -g -o "$folder/linux" "$folder/$kernel_package/linux" &&
        mv "$folder/installed/lib/modules" "$folder/modules" &&
        rm -rf "$folder"/modules/*/build "$folder"/modules/*/source "$folder/installed" "${folder:?}/$kernel_package" ||
        return "$(because "the kernel cannot be put together: is the disk full?")"
}
