# What this host's MariaDB comes up with. Reads only. One line each:
#   name NAME          the host's
#   root yes|no        whether the user is root, or may run sh as root without a password
#   dir PATH           the folder of option files that is read last
#   argument ARG       an argument of a running server that names option files or read_only itself
#   option ARG         what the option files say of read_only, in their order: the last one counts
#   line TEXT          a line of Slipway's own file in that folder

file=zz-slipway-freeze.cnf

main() {
	LC_ALL=C
	PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
	export LC_ALL PATH
	printf 'name %s\n' "$(uname -n)"
	if [ "$(id -u)" = 0 ] || sudo -n sh -c : 2>/dev/null; then echo root yes; else echo root no; fi
	for d in /etc/mysql/mariadb.conf.d /etc/my.cnf.d; do
		if [ -d "$d" ]; then
			printf 'dir %s\n' "$d"
			[ ! -e "$d/$file" ] || sed 's/^/line /' "$d/$file" || exit 1
			break
		fi
	done
	for p in /proc/[0-9]*; do
		case $(cat "$p/comm" 2>/dev/null) in
		mariadbd | mysqld) tr '\0' '\n' <"$p/cmdline" 2>/dev/null | grep -E '^--(no-defaults|defaults-|read[-_]only|skip[-_]read[-_]only)' | sed 's/^/argument /' ;;
		esac
	done
	options=$(my_print_defaults --mysqld </dev/null) || exit 1
	printf '%s\n' "$options" | grep -E '^--(loose[-_])?(skip[-_])?read[-_]only' | sed 's/^/option /'
	return 0
}

main "$@"
